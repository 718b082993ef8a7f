//! Audio to `.spic` files.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;

use crate::container::{Corrections, Header, Summary, Tags, Writer, stored_size};
use crate::error::ModelError;
use crate::events::Methods;
use crate::format::{Format, Samples};
use crate::network::{ActivityCost, Firing};
use crate::pipeline::{
    Analysis, ChunkEncoder, EncodedChunk, LateCorrections, Listening, Setting, Shortfall, Size, TRIALS,
    estimated_shortfall, excite, search, usual_step,
};
use crate::signal::{HOP, SAMPLE_RATE};
use crate::{Error, Gain, Model, Quality, Result};

/// Kilobits per second when nothing else is asked for.
const DEFAULT_KBPS: f64 = 3.0;

/// Frames in a chunk: 10.24 seconds, twenty slots of stereo parameters. On the validation recordings at 3 kbit/s, chunks
/// cost 0.9 % against one long chunk, and the container takes 112 bytes a minute; with 384 frames it was 1.1 % and 148.
const CHUNK_FRAMES: u16 = 640;

/// Chunks that the rate search looks at, spread evenly over the file: some four minutes.
const SEARCH_CHUNKS: u32 = 24;

/// A size within this share of the asked one is near enough, if there are no corrections to make up for it;
const LEAST_TOLERANCE: f64 = 0.01;
/// and never beyond this one.
const MOST_TOLERANCE: f64 = 0.025;
/// A size within this share can be reached by excitation.
const EXCITABLE: f64 = 0.08;

/// Steps of encoding and decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Reading and analysing the samples. Told of by those who know how many are to come, not by [`Encoder`].
    Analysis,
    /// Finding the quality that gives the asked bitrate.
    RateSearch,
    /// Writing the events.
    Writing,
    /// Decoding events and rebuilding the sound. Told of by those who drive a [`DecodedStream`](crate::DecodedStream).
    Decoding,
}

/// Told of each step and of the share of it that is done, from 0 to 1; cancels the work by [`ControlFlow::Break`].
pub type Progress<'a> = dyn FnMut(Stage, f64) -> ControlFlow<()> + 'a;

/// What an encoder is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    /// Kilobits per second of the whole file.
    Bitrate(f64),
    Quality(Quality),
}

/// Compresses audio with a model: at 3 kbit/s unless another bitrate or a quality is asked for.
///
/// The same samples and settings give the same bytes on one machine, whatever the number of threads and however the samples are cut
/// into blocks.
///
/// ```
/// # #[cfg(feature = "built-in-model")]
/// # fn main() -> spiccato::Result<()> {
/// use spiccato::{Encoder, Format, Model};
///
/// let model = Model::built_in()?;
/// let sine: Vec<f32> = (0..48_000).map(|i| 0.3 * (i as f32 * 0.05).sin()).collect();
/// let file = Encoder::new(&model).bitrate(3.0)?.encode(&sine, Format { rate: 48_000, channels: 1 })?;
/// assert!(file.len() < 800);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "built-in-model"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    model: Model,
    target: Target,
    cost: ActivityCost,
    effort: u8,
    tags: Tags,
}

/// Rounds of refinement at each effort.
const ROUNDS: [usize; 4] = [0, 8, 24, 80];

/// Size of refined events relative to those that the encoder chooses at the same quality, as a first guess.
const REFINED_SIZE: f64 = 1.08;

impl Encoder {
    /// The highest effort.
    pub const MOST_EFFORT: u8 = ROUNDS.len() as u8 - 1;

    /// An encoder with this model.
    pub fn new(model: &Model) -> Self {
        let (cost, tags) = (ActivityCost::default(), Tags::default());
        Self { model: model.clone(), target: Target::Bitrate(DEFAULT_KBPS), cost, effort: 0, tags }
    }

    /// Asks for a bitrate of the whole file, container included, in kilobits per second.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not a number above 0.
    pub fn bitrate(self, kbps: f64) -> Result<Self> {
        if !(kbps.is_finite() && kbps > 0.0) {
            return Err(Error::usage(format!("the bitrate must be a number of kbit/s above 0, not {kbps}")));
        }
        Ok(Self { target: Target::Bitrate(kbps), ..self })
    }

    /// Asks for a constant quality: simple passages take fewer bits than others.
    pub fn quality(self, quality: Quality) -> Self {
        Self { target: Target::Quality(quality), ..self }
    }

    /// Sets what events cost: thresholds rise with activity, so that fewer neurons fire. A bitrate holds all the same.
    ///
    /// # Errors
    /// [`Error::Usage`] if a cost is below 0 or not a number.
    pub fn activity_cost(self, cost: ActivityCost) -> Result<Self> {
        cost.check()?;
        Ok(Self { cost, ..self })
    }

    /// Sets how long to search for better events, from 0 (the default: those that the encoder network chooses) to
    /// [`Encoder::MOST_EFFORT`]. At a bitrate the sound gets better, at a quality both sound and size change. Decoding is the same.
    /// An activity cost has no effect on events that are searched for. `docs/performance.md` says what each effort takes and gains.
    ///
    /// # Errors
    /// [`Error::Usage`] if `effort` is higher; later on, if the model has no prior.
    pub fn effort(self, effort: u8) -> Result<Self> {
        match effort {
            0..=Self::MOST_EFFORT => Ok(Self { effort, ..self }),
            _ => Err(Error::usage(format!("the effort must be from 0 to {}, not {effort}", Self::MOST_EFFORT))),
        }
    }

    /// Sets the title, artist and the like that the file shall carry.
    pub fn tags(self, tags: Tags) -> Self {
        Self { tags, ..self }
    }

    /// Compresses `samples` to a `.spic` file in memory: a slice of interleaved samples, or anything that gives them piece by
    /// piece (see [`Samples`]).
    ///
    /// # Errors
    /// [`Error::Usage`] if the format is out of range, there are no samples or some are not finite, and what the source of the
    /// samples says.
    pub fn encode<I>(&self, samples: I, format: Format) -> Result<Vec<u8>>
    where
        I: IntoIterator<Item: Samples>,
    {
        let mut file = Vec::new();
        self.encode_to(samples, format, &mut file, &mut |_, _| ControlFlow::Continue(()))?;
        Ok(file)
    }

    /// Like [`Encoder::encode`], but writes the file to `output` front to back, and tells `progress`. All samples are read before
    /// the first byte is written.
    ///
    /// # Errors
    /// As [`Encoder::encode`]; [`Error::Stream`] if writing fails, or of the kind `Interrupted` if `progress` cancels.
    pub fn encode_to<I>(
        &self,
        samples: I,
        format: Format,
        output: impl Write,
        progress: &mut Progress<'_>,
    ) -> Result<Encoded>
    where
        I: IntoIterator<Item: Samples>,
    {
        self.encode_analysis(Analysis::new(samples, format)?, output, progress)
    }

    fn encode_analysis(&self, analysis: Analysis, output: impl Write, progress: &mut Progress<'_>) -> Result<Encoded> {
        let mut tell = |stage, share| match progress(stage, share) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::from(std::io::Error::from(std::io::ErrorKind::Interrupted))),
        };
        let (mut header, silent) = (header_of(&analysis, &self.model, self.tags.clone())?, analysis.silent);
        let mut file = ChunkEncoder::new(analysis, self.model.clone());
        let rounds = ROUNDS[usize::from(self.effort)];
        // What the events and the container leave of a bitrate is for corrections.
        let (setting, left) = match self.target {
            Target::Quality(quality) => (Setting { quality, excitation: 0.0 }, None),
            Target::Bitrate(kbps) => {
                let target = kbps * 1000.0 / 8.0 * header.seconds();
                let tell = &mut |share| tell(Stage::RateSearch, share);
                let mut step = Setting::guess(kbps);
                if rounds > 0 {
                    // Where the encoder's own events come to this size, refined ones nearly do.
                    let mut size = SearchedSize::new(&mut file, &header, self.cost, tell)?;
                    step = search(target / REFINED_SIZE, step, &mut size)?;
                    file.refine(rounds)?;
                }
                // Excitations of the encoder's own events are tried in no time, so that the quality need not fit so well.
                let excitable = rounds == 0 && self.cost == ActivityCost::default();
                file.keep_potentials(excitable);
                let mut size = SearchedSize::new(&mut file, &header, self.cost, tell)?;
                size.excitable = excitable;
                let step = search(target, step, &mut size)?;
                let (setting, uncorrected) = size.excited(target, step)?;
                file.keep_potentials(false);
                (setting, Some(target - uncorrected))
            }
        };
        file.refine(rounds)?;
        header.quality = setting.quality;
        let firing = Firing { excitation: setting.excitation, cost: self.cost };
        let listening = Listening::new(&mut file, &header, firing)?;
        let step = correction_step(listening.shortfall(), &header, left)?;
        header.gain = header.gain.less(listening.gain_db(&mut file, &header, step)?);
        if silent {
            header.gain = Gain::LARGEST; // whatever the network makes of it, 128 dB less is nothing
        }
        let methods = self.model.complete(Methods::small(), header.quality);
        let mut writer = Writer::new(output, header.clone(), methods)?;
        let total = header.chunks();
        let mut write = |chunk: &EncodedChunk, corrections: Option<&Corrections>| {
            tell(Stage::Writing, f64::from(chunk.number) / f64::from(total))?;
            writer.write_corrected_chunk(&chunk.events, chunk.side.as_ref(), corrections)
        };
        let chunks: Vec<u32> = (0..total).collect();
        if let Some(shortfall) = listening.complete() {
            file.encode(&header, firing, &chunks, |chunk| {
                write(&chunk, shortfall.corrections(chunk.number, step)?.as_ref())
            })?;
        } else {
            let mut late = LateCorrections::new(&self.model, header.quality, step)?;
            for group in chunks.chunks(rayon::current_num_threads()) {
                for chunk in file.encoded(&header, firing, group)? {
                    for (chunk, corrections) in late.push(&mut file, &header, chunk)? {
                        write(&chunk, corrections.as_ref())?;
                    }
                }
            }
            for (chunk, corrections) in late.finish(&mut file, &header)? {
                write(&chunk, corrections.as_ref())?;
            }
        }
        let (_, summary) = writer.finish()?;
        Ok(Encoded { header, summary })
    }
}

/// The step of corrections: the one that suits the quality, or of a bitrate the finest, down to two thirds of it, with which they
/// take no more than the bytes that are `left`. None if all take more, as where the lowest quality hardly has room itself.
fn correction_step(shortfall: &Shortfall, header: &Header, left: Option<f64>) -> Result<Option<u8>> {
    let usual = usual_step(header.quality);
    let Some(left) = left else { return Ok(Some(usual)) };
    let fits = |step: u8| Ok::<_, Error>(shortfall.bytes(step, header.frames())? <= left);
    let (mut finest, mut coarsest) = (usual - usual / 3, u8::MAX);
    if !fits(coarsest)? {
        return Ok(None);
    }
    // The bytes fall with the step.
    while finest < coarsest {
        let middle = finest + (coarsest - finest) / 2;
        if fits(middle)? {
            coarsest = middle;
        } else {
            finest = middle + 1;
        }
    }
    Ok(Some(finest))
}

/// Bytes of a file at any setting, by some of its chunks.
struct SearchedSize<'a> {
    file: &'a mut ChunkEncoder,
    header: &'a Header,
    cost: ActivityCost,
    /// Bytes of header and index.
    fixed: f64,
    /// The chunks that are looked at, spread evenly over the file.
    chunks: Vec<u32>,
    trials: usize,
    /// Whether the excitation is to make up for what a quality misses.
    excitable: bool,
    /// What the decoder lacks in some of them, which hardly depends on the setting.
    shortfall: Option<Shortfall>,
    /// Bytes of all but the corrections, by the steps at which all of the chunks have been looked at.
    uncorrected: BTreeMap<u32, f64>,
    tell: &'a mut dyn FnMut(f64) -> Result<()>,
}

impl<'a> SearchedSize<'a> {
    fn new(
        file: &'a mut ChunkEncoder,
        header: &'a Header,
        cost: ActivityCost,
        tell: &'a mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Self> {
        let total = header.chunks();
        let count = total.min(SEARCH_CHUNKS);
        let chunks = (0..count).map(|i| (u64::from(i) * u64::from(total) / u64::from(count)) as u32).collect();
        let fixed = header.stored_size()? as f64;
        Ok(Self {
            file,
            header,
            cost,
            fixed,
            chunks,
            trials: 0,
            excitable: false,
            shortfall: None,
            uncorrected: BTreeMap::new(),
            tell,
        })
    }

    /// Bytes of all but the corrections.
    fn bytes(&mut self, setting: Setting, chunks: &[u32]) -> Result<f64> {
        let (trial, all) = (self.trials as f64, chunks.len().max(1) as f64);
        (self.tell)((trial / TRIALS as f64).min(1.0))?;
        self.trials += 1;
        let (header, firing) = self.setting(setting);
        let methods = self.file.model().complete(Methods::small(), header.quality);
        let (mut bytes, mut frames, mut done) = (0.0, 0, 0.0);
        let tell = &mut self.tell;
        self.file.encode(&header, firing, chunks, |chunk| {
            bytes += f64::from(stored_size(&chunk.events, chunk.side.as_ref(), &methods)?);
            frames += header.frames_of_chunk(chunk.number);
            done += 1.0;
            tell(((trial + done / all) / TRIALS as f64).min(1.0))
        })?;
        Ok(self.fixed + bytes * f64::from(header.frames()) / f64::from(frames.max(1)))
    }

    fn setting(&self, Setting { quality, excitation }: Setting) -> (Header, Firing) {
        (Header { quality, ..self.header.clone() }, Firing { excitation, cost: self.cost })
    }

    /// Bytes of corrections at a step.
    fn corrections(&self, step: u32) -> Result<f64> {
        let quality = Setting::of_step(step).quality;
        self.shortfall.as_ref().map_or(Ok(0.0), |lack| lack.bytes(usual_step(quality), self.header.frames()))
    }

    /// Bytes of the whole file but its corrections.
    fn without_corrections(&mut self, step: u32) -> Result<f64> {
        if let Some(&bytes) = self.uncorrected.get(&step) {
            return Ok(bytes);
        }
        let bytes = self.bytes_of_all(Setting::of_step(step))?;
        self.uncorrected.insert(step, bytes);
        Ok(bytes)
    }

    fn bytes_of_all(&mut self, setting: Setting) -> Result<f64> {
        let chunks = std::mem::take(&mut self.chunks);
        let bytes = self.bytes(setting, &chunks);
        self.chunks = chunks;
        bytes
    }

    /// The setting of a step, its excitation changed a little where that brings the file nearer to `target` bytes, and the bytes
    /// that the file then has without corrections.
    fn excited(&mut self, target: f64, step: u32) -> Result<(Setting, f64)> {
        let (uncorrected, setting) = (self.without_corrections(step)?, Setting::of_step(step));
        if !self.excitable {
            return Ok((setting, uncorrected));
        }
        let (corrections, tolerance) = (self.corrections(step)?, self.correctable(step)?);
        let changed = |change: f64| Setting { excitation: setting.excitation + change as f32, ..setting };
        let bytes = |change| Ok(self.bytes_of_all(changed(change))? + corrections);
        let (change, bytes) = excite(target, uncorrected + corrections, tolerance, bytes)?;
        Ok((changed(change), bytes - corrections))
    }

    /// The share of the size that corrections can make up for.
    fn correctable(&self, step: u32) -> Result<f64> {
        let uncorrected = self.uncorrected.get(&step).copied().unwrap_or(f64::INFINITY);
        Ok((0.3 * self.corrections(step)? / uncorrected).clamp(LEAST_TOLERANCE, MOST_TOLERANCE))
    }
}

impl Size for SearchedSize<'_> {
    fn whole(&mut self, step: u32) -> Result<f64> {
        Ok(self.without_corrections(step)? + self.corrections(step)?)
    }

    /// By every third chunk, from the second on: the first may begin with silence.
    fn part(&mut self, step: u32) -> Result<f64> {
        let from = usize::from(self.chunks.len() > 2);
        let chunks: Vec<u32> = self.chunks.iter().skip(from).step_by(3).copied().collect();
        let bytes = self.bytes(Setting::of_step(step), &chunks)?;
        if self.shortfall.is_none() {
            let (header, firing) = self.setting(Setting::of_step(step));
            let some: Vec<u32> = chunks.iter().step_by(2).copied().collect();
            self.shortfall = Some(estimated_shortfall(self.file, &header, firing, &some)?);
        }
        Ok(bytes + self.corrections(step)?)
    }

    /// What excitation or corrections can make up for.
    fn tolerance(&self, step: u32) -> Result<f64> {
        if self.excitable { Ok(EXCITABLE) } else { self.correctable(step) }
    }
}

/// The header of a file of the lowest quality.
pub(crate) fn header_of(analysis: &Analysis, model: &Model, tags: Tags) -> Result<Header> {
    let neurons = model.network().config().neurons;
    let header = Header {
        sample_rate: analysis.format.rate,
        sample_count: analysis.sample_count,
        channels: analysis.format.channels as u8,
        right_inverted: analysis.right_inverted,
        gain: Gain::from_factor(analysis.gain),
        quality: Quality::LOWEST,
        model: model.id(),
        neurons: u16::try_from(neurons).map_err(|_| ModelError::Limit(format!("{neurons} neurons are too many")))?,
        internal_rate: SAMPLE_RATE,
        hop: HOP as u16,
        chunk_frames: CHUNK_FRAMES,
        tags,
    };
    header.check()?;
    Ok(header)
}

/// What a finished file consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encoded {
    /// The header as written.
    pub header: Header,
    /// Bytes and events.
    pub summary: Summary,
}

impl Encoded {
    /// Kilobits per second of the whole file.
    pub fn kbps(&self) -> f64 {
        self.summary.file_bytes as f64 * 8.0 / self.header.seconds() / 1000.0
    }
}

impl fmt::Display for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, bytes, events) = (self.header.seconds(), self.summary.file_bytes, self.summary.events);
        write!(f, "{seconds:.1} s in {bytes} bytes, {:.2} kbit/s, {events} events", self.kbps())
    }
}
