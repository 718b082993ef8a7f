//! Any audio file as a stream of interleaved f32 samples.
//!
//! Decoding is Symphonia's. What this module adds is strictness: a codec that stores what it is given must not take a
//! damaged file for a short one. So a corrupt packet, a stream that ends before the length its header declares, a
//! checksum that doesn't match, or a sample that is no number, is an error that says where. Read leniently, such places
//! are silent and remarked upon instead.

use std::fmt;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use symphonia::core::audio::Channels;
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::well_known::{
    FORMAT_ID_AIFF, FORMAT_ID_CAF, FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_MP3, FORMAT_ID_WAVE,
};
use symphonia::core::io::MediaSource;
use symphonia::core::packet::Packet;

use super::container::undecodable;
use super::downmix::{Mixer, Surround};
use super::remark::Remark;
use super::track::AudioTrack;
use super::{SAMPLE_RATES, Tag};
use crate::{AudioFault, Error, Result};

/// The largest magnitude a sample may have, full scale being 1. Float files may exceed full scale, some by a wrong
/// scale (such as that of 16-bit integers); beyond this a sample is damage, and its square would upset the analysis.
const MAX_MAGNITUDE: f32 = 1e6;
/// Samples that may follow the declared end of an MP3: a few packets of padding.
const MAX_MP3_PADDING: u64 = 8 * 1152;
/// Frames of silence given out at once.
const SILENT_BLOCK: u64 = 4096;
/// The most seconds of silence that gaps are filled with, for a damaged header may declare anything.
const MAX_SILENT_SECONDS: u64 = 3600;
/// The most errors in a row before a format reader is taken to be at its end.
const MAX_ERRORS_IN_A_ROW: usize = 1000;

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
    track: AudioTrack,
    /// The packet after the one at hand, where it matters which is the last.
    next: Option<Packet>,
    lenient: bool,
    layout: Channels,
    mixer: Option<Mixer>,
    spec: AudioSpec,
    decoded_frames: u64,
    /// Frames given out.
    frames: u64,
    /// The time at which the next packet should begin.
    next_start: Option<i64>,
    /// Silent frames to give out before what is held back.
    silence: u64,
    /// Frames of silence that gaps may still be filled with.
    silence_left: u64,
    held: Vec<f32>,
    decoded: Vec<f32>,
    mixed: Vec<f32>,
    /// The first packet is decoded on opening, because only then are rate and channels certain.
    first_is_waiting: bool,
    finished: bool,
}

impl fmt::Debug for AudioReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("AudioReader");
        shown.field("name", &self.name).field("spec", &self.spec).field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl AudioReader {
    /// Opens a stream and decodes its first packet.
    pub(super) fn new(name: &Path, source: Box<dyn MediaSource>, surround: Surround, lenient: bool) -> Result<Self> {
        let mut track = guarded(name, || AudioTrack::open(name, source, lenient))?;
        let (declared_frames, tags) = (track.declared_frames, std::mem::take(&mut track.tags));
        let mut reader = Self {
            name: name.to_owned(),
            next: None,
            lenient,
            layout: Channels::None,
            mixer: None,
            spec: AudioSpec { sample_rate: 0, channels: 0, declared_frames, tags },
            decoded_frames: 0,
            frames: 0,
            // The packets of these begin at a time that is known even if the first are missing.
            next_start: (lenient && [FORMAT_ID_FLAC, FORMAT_ID_ISOMP4].contains(&track.kind)).then_some(0),
            silence: 0,
            silence_left: MAX_SILENT_SECONDS * u64::from(track.sample_rate.unwrap_or(0)),
            held: Vec::new(),
            decoded: Vec::new(),
            mixed: Vec::new(),
            first_is_waiting: true,
            finished: false,
            track,
        };
        reader.decode_block()?;
        let (rate, channels) = (reader.spec.sample_rate, reader.layout.count());
        if !SAMPLE_RATES.contains(&rate) {
            let (least, most) = SAMPLE_RATES.into_inner();
            let reason = format!("a sample rate of {rate} Hz; {least} to {most} Hz are supported");
            return Err(reader.fault(AudioFault::Unsupported, reason));
        }
        if channels > 2 && surround == Surround::Refuse {
            let reason = format!(
                "{channels} channels, but only mono and stereo can be stored; more must be mixed down to stereo"
            );
            return Err(reader.fault(AudioFault::Unsupported, reason));
        }
        reader.mixer = (channels > 2).then(|| Mixer::new(&reader.layout));
        reader.spec.channels = reader.mixer.as_ref().map_or(channels, Mixer::outputs);
        Ok(reader)
    }

    /// Rate, channels, declared length, tags.
    pub fn spec(&self) -> &AudioSpec {
        &self.spec
    }

    /// Frames decoded so far. After the last block this is the true length of the audio.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// What was odd so far but did not keep the file from being read. Complete after the last block; bounded in number.
    pub fn remarks(&self) -> &[Remark] {
        &self.track.remarks
    }

    /// The next block of interleaved samples, whole frames of it, never empty; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Audio`] for damage (with its position), [`Error::Io`] if reading fails.
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
        let mut ended = false;
        loop {
            let channels = self.layout.count();
            if self.silence > 0 && channels > 0 && (ended || !self.held.is_empty()) {
                let frames = self.silence.min(SILENT_BLOCK);
                self.silence -= frames;
                self.decoded.clear();
                self.decoded.resize(frames as usize * channels, 0.0);
            } else if !self.held.is_empty() {
                std::mem::swap(&mut self.decoded, &mut self.held);
                self.held.clear();
            } else if ended {
                return self.end().map(|()| false);
            } else {
                match self.packet()? {
                    Some(packet) => self.decode(&packet)?,
                    None => ended = true,
                }
                continue;
            }
            self.keep_played();
            if self.decoded.is_empty() {
                continue;
            }
            self.check_samples()?;
            self.frames += (self.decoded.len() / channels) as u64;
            return Ok(true);
        }
    }

    /// The next packet of the track, the last one without its padding.
    fn packet(&mut self) -> Result<Option<Packet>> {
        if self.track.end_padding == 0 {
            return self.next_packet();
        }
        let first = match self.next.take() {
            Some(packet) => Some(packet),
            None => self.next_packet()?,
        };
        let Some(mut packet) = first else { return Ok(None) };
        self.next = self.next_packet()?;
        if self.next.is_none() {
            packet.trim_end = std::mem::take(&mut self.track.end_padding).into();
        }
        Ok(Some(packet))
    }

    /// The next packet of the track; nothing at the end, whether it is in good order or not.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        for _ in 0..MAX_ERRORS_IN_A_ROW {
            loop {
                match self.track.format.next_packet() {
                    Ok(Some(packet)) if packet.track_id == self.track.id => return Ok(Some(packet)),
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(None),
                    Err(Symphonia::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                        return self.end_in_midstream().map(|()| None);
                    }
                    Err(Symphonia::IoError(error)) => return Err(Error::io(&self.name)(error)),
                    Err(error @ Symphonia::DecodeError(_)) if self.lenient => {
                        self.remark(0, &error.to_string());
                        break;
                    }
                    Err(error) => return Err(self.damage(&error)),
                }
            }
        }
        Ok(None)
    }

    /// Decodes a packet into `self.held`. What is missing before it, or can't be decoded, adds to `self.silence`.
    fn decode(&mut self, packet: &Packet) -> Result<()> {
        let beyond_end = packet.trim_end.get();
        if self.track.kind == FORMAT_ID_MP3 && self.spec.declared_frames.is_some() && beyond_end > MAX_MP3_PADDING {
            let reason =
                "goes on after the end that its header declares; MP3 files joined into one must be split first";
            return Err(self.fault(AudioFault::Unsupported, reason.into()));
        }
        let (start, duration) = (packet.pts.get(), packet.dur.get());
        let expected =
            self.next_start.replace(start.saturating_add_unsigned(duration + packet.trim_start.get() + beyond_end));
        let missing = expected.map_or(0, |expected| u64::try_from(start.saturating_sub(expected)).unwrap_or(0));
        if self.track.timed && missing > 0 {
            self.miss(missing)?;
        }
        let begun = self.layout != Channels::None;
        let buffer = match self.track.decoder.decode(packet) {
            Ok(buffer) => buffer,
            Err(error) if self.lenient && is_damage(&error, begun) => {
                let silent = if self.track.timed { duration.min(self.silence_left) } else { 0 };
                self.silence_left -= silent;
                self.remark(silent, &error.to_string());
                self.silence += silent;
                return Ok(());
            }
            Err(error) => return Err(self.damage(&error)),
        };
        if buffer.is_empty() {
            return Ok(());
        }
        let (rate, layout) = (buffer.spec().rate(), buffer.spec().channels());
        if self.layout == Channels::None {
            self.spec.sample_rate = rate;
            self.layout = layout.clone();
        } else if rate != self.spec.sample_rate || *layout != self.layout {
            let (channels, position) = (layout.count(), self.position());
            let reason = format!("changes to {rate} Hz, {channels} channel(s) {position}");
            return Err(self.fault(AudioFault::Unsupported, reason));
        }
        buffer.copy_to_vec_interleaved(&mut self.held);
        Ok(())
    }

    /// A gap of `frames` frames between two packets.
    fn miss(&mut self, frames: u64) -> Result<()> {
        if !self.lenient {
            // Only the packets of FLAC carry times that are true to the frame whatever wrote them.
            if self.track.kind != FORMAT_ID_FLAC {
                return Ok(());
            }
            let reason = format!("{frames} samples are missing {}; the file is damaged", self.position());
            return Err(self.fault(AudioFault::Damaged, reason));
        }
        let declared = self.spec.declared_frames.unwrap_or(u64::MAX);
        if frames <= declared.saturating_sub(self.frames + self.silence) && frames <= self.silence_left {
            self.remark(frames, "samples are missing");
            self.silence += frames;
            self.silence_left -= frames;
        } else {
            self.remark(0, "the times of the packets make no sense");
        }
        Ok(())
    }

    /// Leaves of the decoded block what is to be played.
    fn keep_played(&mut self) {
        let channels = self.layout.count();
        let block = self.decoded_frames..self.decoded_frames + (self.decoded.len() / channels) as u64;
        self.decoded_frames = block.end;
        if let Some(played) = &self.track.played {
            // Both offsets lie within the block, so they fit its index type.
            let offset = |frame: u64| (frame.clamp(block.start, block.end) - block.start) as usize * channels;
            self.decoded.truncate(offset(played.end));
            self.decoded.drain(..offset(played.start).min(self.decoded.len()));
        }
    }

    fn check_samples(&mut self) -> Result<()> {
        let sound = |sample: &f32| sample.abs() <= MAX_MAGNITUDE; // false for NaN
        let Some(index) = self.decoded.iter().position(|sample| !sound(sample)) else { return Ok(()) };
        let channels = self.layout.count();
        let (frame, channel) = (self.frames + (index / channels) as u64, index % channels + 1);
        let (seconds, sample) = (self.seconds(frame), self.decoded[index]);
        let reason = format!(
            "sample {frame} ({seconds:.3} s) of channel {channel} is {sample}; samples must be finite numbers near ±1"
        );
        if !self.lenient {
            return Err(self.fault(AudioFault::Damaged, reason));
        }
        Remark::add(&mut self.track.remarks, None, reason + ", and such as are not became 0", self.spec.sample_rate);
        self.decoded.iter_mut().filter(|sample| !sound(sample)).for_each(|sample| *sample = 0.0);
        Ok(())
    }

    /// The last packet has been decoded.
    fn end(&mut self) -> Result<()> {
        // A table of packets has been followed to its end; some writers count the padding of the last as audio.
        let by_table = self.track.kind == FORMAT_ID_CAF;
        if !by_table && self.spec.declared_frames.is_some_and(|declared| self.frames < declared) {
            self.cut_short()?;
        }
        if let Some(declared) = self.spec.declared_frames.filter(|&declared| self.frames > declared) {
            let reason = format!("the header declares {declared} samples, but there are {}", self.frames);
            Remark::add(&mut self.track.remarks, None, reason, self.spec.sample_rate);
        }
        if self.frames == 0 {
            return Err(self.fault(AudioFault::Empty, "the file holds no samples".into()));
        }
        if self.track.decoder.finalize().verify_ok == Some(false) {
            let reason = "the decoded samples don't match the checksum in the file; it is damaged";
            if !self.lenient {
                return Err(self.fault(AudioFault::Damaged, reason.into()));
            }
            Remark::add(&mut self.track.remarks, None, reason.into(), self.spec.sample_rate);
        }
        Ok(())
    }

    /// The bytes ran out where the container expected more.
    fn end_in_midstream(&mut self) -> Result<()> {
        // Plain samples of undeclared length (written to a pipe, say) go on to the end of the file.
        let unframed = [FORMAT_ID_WAVE, FORMAT_ID_AIFF, FORMAT_ID_CAF].contains(&self.track.kind);
        if unframed && self.spec.declared_frames.is_none_or(|declared| self.frames >= declared) {
            return Ok(());
        }
        // What is missing of a declared length will be said at the end.
        if self.lenient && self.spec.declared_frames.is_some_and(|declared| self.frames < declared) {
            return Ok(());
        }
        self.cut_short()
    }

    fn cut_short(&mut self) -> Result<()> {
        let frames = self.frames;
        let reason = match self.spec.declared_frames {
            Some(declared) if frames < declared => {
                format!("only {frames} of the {declared} samples that its header declares are there; truncated?")
            }
            _ => format!("ends in the middle of the stream, after {frames} samples; truncated?"),
        };
        if !self.lenient {
            return Err(self.fault(AudioFault::Truncated, reason));
        }
        Remark::add(&mut self.track.remarks, None, reason, self.spec.sample_rate);
        Ok(())
    }

    /// Notes that `silent` frames from here on stand for something that could not be read.
    fn remark(&mut self, silent: u64, reason: &str) {
        let start = self.frames + self.silence;
        Remark::add(&mut self.track.remarks, Some(start..start + silent), reason.into(), self.spec.sample_rate);
    }

    fn damage(&self, error: &Symphonia) -> Error {
        let position = self.position();
        match error {
            Symphonia::ResetRequired => self.fault(
                AudioFault::Unsupported,
                format!("another recording begins {position}; files chained from several streams must be split first"),
            ),
            Symphonia::Unsupported(what) => self.fault(AudioFault::Unsupported, undecodable(&format!("holds {what}"))),
            error => self.fault(AudioFault::Damaged, format!("damaged {position} ({error})")),
        }
    }

    fn fault(&self, fault: AudioFault, reason: String) -> Error {
        Error::audio(&self.name, fault, reason)
    }

    fn position(&self) -> String {
        format!("at sample {} ({:.3} s)", self.frames, self.seconds(self.frames))
    }

    fn seconds(&self, frame: u64) -> f64 {
        frame as f64 / f64::from(self.spec.sample_rate.max(1))
    }
}

/// Whether an error of a decoder can come from damage. Once something has been decoded, what is "unsupported" can.
fn is_damage(error: &Symphonia, begun: bool) -> bool {
    match error {
        Symphonia::DecodeError(_) | Symphonia::IoError(_) => true,
        Symphonia::Unsupported(_) | Symphonia::LimitError(_) => begun,
        _ => false,
    }
}

/// Runs a decoder that isn't ours. Should damage make it panic, that is an error like any other.
fn guarded<T>(name: &Path, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panic may leave inconsistent is not used again: readers end with their first error.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(Error::audio(name, AudioFault::Damaged, "damaged in a way that its decoder can't handle"))
    })
}
