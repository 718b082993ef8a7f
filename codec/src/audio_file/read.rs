//! Any audio file as a stream of interleaved f32 samples.
//!
//! Decoding is Symphonia's. What this module adds is strictness: a codec that stores what it is given must not take a
//! damaged file for a short one. So a corrupt packet, a stream that ends before the length its header declares, a
//! checksum that doesn't match, or a sample that is no number, is an error that says where.

use std::fmt::Display;
use std::io::{ErrorKind, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_ADTS, FORMAT_ID_AIFF, FORMAT_ID_CAF, FORMAT_ID_MP3, FORMAT_ID_OGG, FORMAT_ID_WAVE,
};
use symphonia::core::formats::{FormatId, FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use super::downmix::{Mixer, Surround};
use super::mp4_edit;
use super::old;
use super::{SAMPLE_RATES, Tag, tags};
use crate::{Error, Result};

/// The largest magnitude a sample may have, full scale being 1. Float files may exceed full scale, some by a wrong
/// scale (such as that of 16-bit integers); beyond this a sample is damage, and its square would upset the analysis.
const MAX_MAGNITUDE: f32 = 1e6;

/// More channels than this are taken for damage: decoders allocate by them.
const MAX_CHANNELS: usize = 64;
/// Data lengths that SoX and LAME write into the header of a WAV file when they write to a pipe and don't know it; SoX
/// rounds its own down to whole frames. (Symphonia knows ffmpeg's.)
const UNKNOWN_DATA_LENGTHS: [u64; 2] = [0x7fff_f000, 0x7fff_ffff];

/// Samples that may follow the declared end of an MP3: a few packets of padding.
const MAX_MP3_PADDING: u64 = 8 * 1152;

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioSpec {
    /// Frames per second, within [`SAMPLE_RATES`].
    pub sample_rate: u32,
    /// Channels that the reader gives: 1 or 2.
    pub channels: usize,
    /// Frames (samples per channel) that the file declares, if it does. Only a claim: never allocate by it.
    pub declared_frames: Option<u64>,
    /// Title, artist and the like.
    pub tags: Vec<Tag>,
}

/// Reads an audio file from its beginning to its end, block by block.
pub struct AudioReader {
    name: PathBuf,
    kind: FormatId,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    layout: Channels,
    mixer: Option<Mixer>,
    spec: AudioSpec,
    /// Where an edit list leaves out the beginning or the end: the frames to give out, of those decoded.
    played: Option<Range<u64>>,
    decoded_frames: u64,
    /// Frames given out.
    frames: u64,
    decoded: Vec<f32>,
    mixed: Vec<f32>,
    /// The first packet is decoded on opening, because only then are rate and channels certain.
    first_is_waiting: bool,
    finished: bool,
}

impl AudioReader {
    /// Opens a stream and decodes its first packet.
    pub(super) fn new(name: &Path, source: Box<dyn MediaSource>, surround: Surround) -> Result<Self> {
        let mut reader = guarded(name, || Self::probe(name, source))?;
        reader.decode_block()?;
        let (rate, channels) = (reader.spec.sample_rate, reader.layout.count());
        let shown = name.display();
        if !SAMPLE_RATES.contains(&rate) {
            let (least, most) = SAMPLE_RATES.into_inner();
            return Err(old::unsupported(format!(
                "{shown}: a sample rate of {rate} Hz; {least} to {most} Hz are supported"
            )));
        }
        if channels > 2 && surround == Surround::Refuse {
            return Err(old::unsupported(format!(
                "{shown}: {channels} channels, but only mono and stereo can be stored; --downmix mixes them to stereo"
            )));
        }
        reader.mixer = (channels > 2).then(|| Mixer::new(&reader.layout));
        reader.spec.channels = reader.mixer.as_ref().map_or(channels, Mixer::outputs);
        Ok(reader)
    }

    fn probe(name: &Path, mut source: Box<dyn MediaSource>) -> Result<Self> {
        let shown = name.display();
        let edit = mp4_edit::find(source.as_mut()).unwrap_or(None); // what is damaged here, Symphonia will name
        source.seek(SeekFrom::Start(0)).map_err(Error::io(name))?;
        let stream = MediaSourceStream::new(source, Default::default());
        let mut format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| probe_error(name, error))?;
        let tags = tags::collect(format.as_mut());
        let no_audio = || old::malformed(format!("{shown}: the file holds no audio track"));
        let track = format.default_track(TrackType::Audio).ok_or_else(no_audio)?;
        let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio()).ok_or_else(no_audio)?;
        let channels = parameters.channels.as_ref().map_or(0, Channels::count);
        if channels > MAX_CHANNELS {
            return Err(old::limit(format!("{shown}: {channels} channels; more than {MAX_CHANNELS} can't be right")));
        }
        let kind = format.format_info().format;
        let declared = declared_frames(track, parameters, kind);
        // Symphonia cuts an MP3 at the length it guesses: a third of a file may be lost.
        let gapless = kind != FORMAT_ID_MP3 || declared.is_some();
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default().verify(true).gapless(gapless))
            .map_err(|error| match error {
                Symphonia::Unsupported(reason) => old::unsupported(format!(
                    "{shown}: no decoder for the kind of audio in it ({reason}); convert it to FLAC or WAV first"
                )),
                error => probe_error(name, error),
            })?;
        let edit = edit.filter(|edit| parameters.sample_rate == Some(edit.time_scale));
        let played = edit.map(|edit| edit.range_of(declared));
        let declared_frames = declared.map(|all| played.as_ref().map_or(all, |played| played.end - played.start));
        Ok(Self {
            name: name.to_owned(),
            kind,
            track: track.id,
            format,
            decoder,
            layout: Channels::None,
            mixer: None,
            spec: AudioSpec { sample_rate: 0, channels: 0, declared_frames, tags },
            played,
            decoded_frames: 0,
            frames: 0,
            decoded: Vec::new(),
            mixed: Vec::new(),
            first_is_waiting: true,
            finished: false,
        })
    }

    /// Rate, channels, declared length, tags.
    pub fn spec(&self) -> &AudioSpec {
        &self.spec
    }

    /// Frames decoded so far. After the last block this is the true length of the audio.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The next block of interleaved samples, whole frames of it, never empty; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Malformed`] for damage (with its position), [`Error::Io`] if reading fails.
    pub fn next_block(&mut self) -> Result<Option<&[f32]>> {
        if !std::mem::take(&mut self.first_is_waiting) && (self.finished || !self.decode_block()?) {
            return Ok(None);
        }
        Ok(Some(match &self.mixer {
            Some(mixer) => {
                mixer.mix(&self.decoded, &mut self.mixed);
                &self.mixed
            }
            None => &self.decoded,
        }))
    }

    /// Decodes packets into `self.decoded` until one holds samples; false at the end.
    fn decode_block(&mut self) -> Result<bool> {
        let more = guarded(&self.name.clone(), || self.decode_packets());
        self.finished = !matches!(more, Ok(true));
        more
    }

    fn decode_packets(&mut self) -> Result<bool> {
        loop {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => packet,
                Ok(Some(_)) => continue,
                Ok(None) => return self.end().map(|()| false),
                Err(Symphonia::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    return self.end_in_midstream().map(|()| false);
                }
                Err(Symphonia::IoError(error)) => return Err(Error::io(&self.name)(error)),
                Err(error) => return Err(self.damage(&error)),
            };
            let beyond_end = packet.trim_end.get();
            if self.kind == FORMAT_ID_MP3 && self.spec.declared_frames.is_some() && beyond_end > MAX_MP3_PADDING {
                return Err(self.unsupported(
                    "goes on after the end that its header declares; MP3 files joined into one must be split first",
                ));
            }
            let buffer = match self.decoder.decode(&packet) {
                Ok(buffer) => buffer,
                Err(error) => return Err(self.damage(&error)),
            };
            if buffer.is_empty() {
                continue;
            }
            let (rate, layout) = (buffer.spec().rate(), buffer.spec().channels());
            if self.decoded_frames == 0 {
                self.spec.sample_rate = rate;
                self.layout = layout.clone();
            } else if rate != self.spec.sample_rate || *layout != self.layout {
                let (channels, position) = (layout.count(), self.position());
                return Err(self.unsupported(format!("changes to {rate} Hz, {channels} channel(s) {position}")));
            }
            buffer.copy_to_vec_interleaved(&mut self.decoded);
            self.keep_played();
            if self.decoded.is_empty() {
                continue;
            }
            self.check_samples()?;
            self.frames += (self.decoded.len() / self.layout.count()) as u64;
            return Ok(true);
        }
    }

    /// Leaves of the decoded block what is to be played.
    fn keep_played(&mut self) {
        let channels = self.layout.count();
        let block = self.decoded_frames..self.decoded_frames + (self.decoded.len() / channels) as u64;
        self.decoded_frames = block.end;
        if let Some(played) = &self.played {
            // Both offsets lie within the block, so they fit its index type.
            let offset = |frame: u64| (frame.clamp(block.start, block.end) - block.start) as usize * channels;
            self.decoded.truncate(offset(played.end));
            self.decoded.drain(..offset(played.start).min(self.decoded.len()));
        }
    }

    fn check_samples(&self) -> Result<()> {
        let sound = |sample: &f32| sample.abs() <= MAX_MAGNITUDE; // false for NaN
        let Some(index) = self.decoded.iter().position(|sample| !sound(sample)) else { return Ok(()) };
        let channels = self.layout.count();
        let (frame, channel) = (self.frames + (index / channels) as u64, index % channels + 1);
        let (seconds, sample) = (self.seconds(frame), self.decoded[index]);
        Err(self.malformed(format!(
            "sample {frame} ({seconds:.3} s) of channel {channel} is {sample}; samples must be finite numbers near ±1"
        )))
    }

    /// The container came to its end in good order.
    fn end(&mut self) -> Result<()> {
        // A table of packets has been followed to its end; some writers count the padding of the last as audio.
        let by_table = self.kind == FORMAT_ID_CAF;
        if !by_table && self.spec.declared_frames.is_some_and(|declared| self.frames < declared) {
            return Err(self.cut_short());
        }
        if self.frames == 0 {
            return Err(self.malformed("the file holds no samples"));
        }
        if self.decoder.finalize().verify_ok == Some(false) {
            return Err(self.malformed("the decoded samples don't match the checksum in the file; it is damaged"));
        }
        Ok(())
    }

    /// The bytes ran out where the container expected more.
    fn end_in_midstream(&mut self) -> Result<()> {
        // Plain samples of undeclared length (written to a pipe, say) go on to the end of the file.
        let unframed = [FORMAT_ID_WAVE, FORMAT_ID_AIFF, FORMAT_ID_CAF].contains(&self.kind);
        if unframed && self.spec.declared_frames.is_none_or(|declared| self.frames >= declared) {
            return self.end();
        }
        Err(self.cut_short())
    }

    fn cut_short(&self) -> Error {
        let frames = self.frames;
        self.malformed(match self.spec.declared_frames {
            Some(declared) if frames < declared => {
                format!("only {frames} of the {declared} samples that its header declares are there; truncated?")
            }
            _ => format!("ends in the middle of the stream, after {frames} samples; truncated?"),
        })
    }

    fn damage(&self, error: &Symphonia) -> Error {
        let position = self.position();
        match error {
            Symphonia::ResetRequired => self.unsupported(format!(
                "another recording begins {position}; files chained from several streams must be split first"
            )),
            error => self.malformed(format!("damaged {position} ({error})")),
        }
    }

    fn malformed(&self, problem: impl Display) -> Error {
        old::malformed(format!("{}: {problem}", self.name.display()))
    }

    fn unsupported(&self, problem: impl Display) -> Error {
        old::unsupported(format!("{}: {problem}", self.name.display()))
    }

    fn position(&self) -> String {
        format!("at sample {} ({:.3} s)", self.frames, self.seconds(self.frames))
    }

    fn seconds(&self, frame: u64) -> f64 {
        frame as f64 / f64::from(self.spec.sample_rate.max(1))
    }
}

/// The length that the container declares, where that is a declaration: some writers don't know it.
fn declared_frames(track: &Track, parameters: &AudioCodecParameters, format: FormatId) -> Option<u64> {
    let frames = track.num_frames.filter(|&frames| frames > 0)?; // a fragmented MP4 file declares none
    match format {
        // Without the header of LAME or libavcodec this is Symphonia's guess from the bit rate of the first packets, or
        // a count of packets of uncertain definition.
        FORMAT_ID_MP3 if track.delay.unwrap_or(0) == 0 => None,
        FORMAT_ID_ADTS => None, // a guess like that
        // The time of the end. A stream that was cut out of a longer one doesn't begin at zero, and its first packet,
        // which can't be decoded without the one before, counts or doesn't.
        FORMAT_ID_OGG if track.start_ts.get() > 0 => None,
        FORMAT_ID_WAVE => {
            let channels = parameters.channels.as_ref().map_or(0, Channels::count) as u64;
            let frame_bytes = channels * u64::from(parameters.bits_per_coded_sample.unwrap_or(0)) / 8;
            let placeholder = |length: u64| length.checked_div(frame_bytes) == Some(frames);
            (!UNKNOWN_DATA_LENGTHS.into_iter().any(placeholder)).then_some(frames)
        }
        _ => Some(frames),
    }
}

/// Runs a decoder that isn't ours. Should damage make it panic, that is an error like any other.
fn guarded<T>(name: &Path, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panic may leave inconsistent is not used again: readers end with their first error.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(old::malformed(format!("{}: damaged in a way that its decoder can't handle", name.display())))
    })
}

fn probe_error(name: &Path, error: Symphonia) -> Error {
    let shown = name.display();
    match error {
        Symphonia::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            old::malformed(format!("{shown}: ends before its header does; truncated?"))
        }
        Symphonia::IoError(error) => Error::io(name)(error),
        Symphonia::Unsupported(reason) if reason.starts_with("core (probe)") => old::malformed(format!(
            "{shown}: not audio in a format known here (WAV, FLAC, MP3, Ogg Vorbis, AAC or ALAC in MP4, AIFF, CAF)"
        )),
        Symphonia::Unsupported(_) => old::unsupported(format!("{shown}: {error}")),
        Symphonia::LimitError(_) => old::limit(format!("{shown}: {error}")),
        error => old::malformed(format!("{shown}: damaged header ({error})")),
    }
}
