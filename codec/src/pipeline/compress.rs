//! Audio → `.spic`.

use std::collections::BTreeMap;
use std::io::Write;

use rayon::prelude::*;

use super::analysis::{Analysed, analyse};
use super::rate::{self, RateTarget, Setting};
use super::{CHUNK_FRAMES, Progress, Stage, level};
use crate::audio_file::{AudioInput, Surround};
use crate::container::{Header, SideParameters, Summary, Tags, Writer, stored_size};
use crate::events::{EventMatrix, Methods};
use crate::network::{ActivityCost, Firing, Model, encode_events};
use crate::signal::{HOP, SAMPLE_RATE};
use crate::{Error, Result};

/// Chunks that the rate search looks at, spread evenly over the file: some four minutes.
const SEARCH_CHUNKS: u32 = 24;

/// Units of the stored gain in a decibel.
const GAIN_UNITS: f64 = 256.0;

/// What to make of the input.
#[derive(Debug, Clone, Copy)]
pub struct CompressSettings {
    /// Bitrate or quality.
    pub target: RateTarget,
    /// What events cost: raises thresholds with activity, so that fewer neurons fire. A bitrate holds all the same.
    pub cost: ActivityCost,
    /// What to do with more than two channels.
    pub surround: Surround,
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct CompressReport {
    /// The header as written.
    pub header: Header,
    /// Bytes and events.
    pub summary: Summary,
}

impl CompressReport {
    /// Kilobits per second of the whole file.
    pub fn kbps(&self) -> f64 {
        self.summary.file_bytes as f64 * 8.0 / self.header.seconds() / 1000.0
    }
}

/// Compresses `input` into `output`. The same input and settings give the same bytes on one machine, whatever the number
/// of threads.
///
/// # Errors
/// If the input can't be read, the output not written, or the cost of activity is below 0.
pub fn compress<W: Write>(
    input: &AudioInput,
    model: &Model,
    settings: &CompressSettings,
    output: W,
    progress: &mut Progress<'_>,
) -> Result<CompressReport> {
    settings.cost.check()?;
    let mut file = analyse(input, settings.surround, progress)?;
    let mut header = header_of(&file, model)?;
    let setting = match settings.target {
        RateTarget::Quality(quality) => Setting::of_quality(quality),
        RateTarget::Bitrate(kbps) => search_setting(&mut file, model, &header, (kbps, settings.cost), progress)?,
    };
    header.quality = setting.quality;
    let firing = Firing { excitation: setting.excitation, cost: settings.cost };
    let heard = level::listen(&mut file, model, &header, firing)?;
    header.gain = header.gain.saturating_sub((heard.correction_db * GAIN_UNITS).round() as i16);
    if file.silent {
        header.gain = i16::MAX; // whatever the network makes of it, 128 dB less is nothing
    }
    let mut writer = Writer::new(output, header.clone(), methods(model, header.quality))?;
    let chunks: Vec<u32> = (0..header.chunks()).collect();
    for_each_chunk(&mut file, model, &header, firing, &chunks, &heard.events, |chunk, events, side| {
        progress(Stage::Encoding, f64::from(chunk) / f64::from(header.chunks()));
        writer.write_chunk(&events, side.as_ref())
    })?;
    let (_, summary) = writer.finish()?;
    Ok(CompressReport { header, summary })
}

/// The event methods to choose from.
fn methods(model: &Model, quality: u16) -> Methods {
    let mut methods = Methods::small();
    if let Some(range_coder) = model.range_coder(quality) {
        methods.push(range_coder);
    }
    methods
}

pub(super) fn header_of(file: &Analysed, model: &Model) -> Result<Header> {
    let mut tags = Tags::default();
    for tag in &file.tags {
        tags.push(tag.key, tag.value.as_str())?;
    }
    let neurons = model.network.config().neurons;
    let header = Header {
        sample_rate: file.sample_rate,
        sample_count: file.sample_count,
        channels: file.channels,
        right_inverted: file.right_inverted,
        gain: stored_gain(file.gain),
        quality: 0,
        model: model.id,
        neurons: u16::try_from(neurons).map_err(|_| Error::Limit(format!("{neurons} neurons are too many")))?,
        internal_rate: SAMPLE_RATE,
        hop: HOP as u16,
        chunk_frames: CHUNK_FRAMES,
        tags,
    };
    header.check()?;
    Ok(header)
}

fn stored_gain(gain: f32) -> i16 {
    (20.0 * f64::from(gain).log10() * GAIN_UNITS).round() as i16
}

/// The gain that a header stores, as a factor.
pub(super) fn gain_of(header: &Header) -> f32 {
    10f64.powf(f64::from(header.gain) / GAIN_UNITS / 20.0) as f32
}

/// The setting at which the whole file comes nearest to `kbps` at this cost of activity.
fn search_setting(
    file: &mut Analysed,
    model: &Model,
    header: &Header,
    (kbps, cost): (f64, ActivityCost),
    progress: &mut Progress<'_>,
) -> Result<Setting> {
    let total = header.chunks();
    let looked_at = total.min(SEARCH_CHUNKS);
    let chunks: Vec<u32> =
        (0..looked_at).map(|i| (u64::from(i) * u64::from(total) / u64::from(looked_at)) as u32).collect();
    let frames: u32 = chunks.iter().map(|&chunk| header.frames_of_chunk(chunk)).sum();
    let share = f64::from(frames) / f64::from(header.frames());
    let target = kbps * 1000.0 / 8.0 * header.seconds();
    let fixed = header.stored_size()? as f64;
    let mut trial = 0.0;
    let step = rate::search(target, |step| {
        progress(Stage::RateSearch, trial / rate::TRIALS as f64);
        trial += 1.0;
        let Setting { quality, excitation } = Setting::of_step(step);
        let firing = Firing { excitation, cost };
        let header = Header { quality, ..header.clone() };
        let methods = methods(model, quality);
        let mut bytes = 0.0;
        for_each_chunk(file, model, &header, firing, &chunks, &BTreeMap::new(), |_, events, side| {
            bytes += f64::from(stored_size(&events, side.as_ref(), &methods)?);
            Ok(())
        })?;
        Ok(fixed + bytes / share)
    })?;
    Ok(Setting::of_step(step))
}

/// Encodes `chunks`, but for those whose events are known, side by side and hands them to `sink` in their order.
pub(super) fn for_each_chunk(
    file: &mut Analysed,
    model: &Model,
    header: &Header,
    firing: Firing,
    chunks: &[u32],
    known: &BTreeMap<u32, EventMatrix>,
    mut sink: impl FnMut(u32, EventMatrix, Option<SideParameters>) -> Result<()>,
) -> Result<()> {
    let context = model.network.config().context() as u64;
    let (gain, quality) = (file.gain, rate::quality_of(header.quality));
    for group in chunks.chunks(rayon::current_num_threads()) {
        let mut pieces = Vec::with_capacity(group.len());
        for chunk in group.iter().filter(|chunk| !known.contains_key(chunk)).copied() {
            let start = u64::from(chunk) * u64::from(header.chunk_frames);
            let end = start + u64::from(header.frames_of_chunk(chunk));
            let from = start.saturating_sub(context);
            let piece = file.magnitudes.read(from..(end + context).min(file.magnitudes.frames()))?;
            pieces.push((chunk, piece, (start - from) as usize..(end - from) as usize));
        }
        let mut encoded: BTreeMap<u32, EventMatrix> = pieces
            .into_par_iter()
            .map(|(chunk, magnitudes, range)| {
                let mut features = Vec::with_capacity(magnitudes.len());
                model.feature_scale.features(&magnitudes, gain, &mut features);
                Ok((chunk, encode_events(&model.network, &features, range, quality, firing)?))
            })
            .collect::<Result<_>>()?;
        for &chunk in group {
            let Some(events) = encoded.remove(&chunk).or_else(|| known.get(&chunk).cloned()) else { continue };
            let frames = header.frames_of_chunk(chunk);
            let side = file.side(u64::from(chunk) * u64::from(header.chunk_frames), frames)?;
            sink(chunk, events, side)?;
        }
    }
    Ok(())
}
