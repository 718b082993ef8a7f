//! The audio track of a file: its container probed, its parameters put right, its decoder made.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_OPUS, CODEC_ID_PCM_ALAW, CODEC_ID_PCM_MULAW};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_ADTS, FORMAT_ID_CAF, FORMAT_ID_ISOMP4, FORMAT_ID_MKV, FORMAT_ID_MP3, FORMAT_ID_OGG,
};
use symphonia::core::formats::{FormatId, FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use super::container::{Container, undecodable};
use super::downmix::usual_layout;
use super::remark::Remark;
use super::wave::Length;
use super::{Tag, aac, kinds, opus, tags};
use crate::{AudioFault, Error, Result};

/// More channels than this are taken for damage: decoders allocate by them.
const MAX_CHANNELS: usize = 64;

/// A track, ready to be decoded.
pub(super) struct AudioTrack {
    pub(super) kind: FormatId,
    pub(super) format: Box<dyn FormatReader>,
    pub(super) decoder: Box<dyn AudioDecoder>,
    /// The number that the track's packets carry.
    pub(super) id: u32,
    /// Whether the times of packets count frames.
    pub(super) timed: bool,
    /// Frames per second, if the container says so.
    pub(super) sample_rate: Option<u32>,
    /// Where the beginning or the end is left out: the frames to give out, of those decoded.
    pub(super) played: Option<Range<u64>>,
    /// Frames to give out, if the container says how many.
    pub(super) declared_frames: Option<u64>,
    /// Frames at the end of the last packet that are padding.
    pub(super) end_padding: u64,
    pub(super) tags: Vec<Tag>,
    pub(super) remarks: Vec<Remark>,
}

impl AudioTrack {
    pub(super) fn open(name: &Path, source: Box<dyn MediaSource>, lenient: bool) -> Result<Self> {
        let fault = |fault, reason: String| Error::audio(name, fault, reason);
        let container = Container::open(name, source, lenient)?;
        let stream = MediaSourceStream::new(container.source, Default::default());
        let mut format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| probe_error(name, error, container.kind))?;
        let tags = tags::collect(format.as_mut(), &container.tags);
        let no_audio = || fault(AudioFault::Empty, "the file holds no audio track".into());
        let track = format.default_track(TrackType::Audio).ok_or_else(no_audio)?;
        let mut parameters =
            track.codec_params.as_ref().and_then(|parameters| parameters.audio()).ok_or_else(no_audio)?.clone();
        correct(&mut parameters, container.codec, container.has_layout);
        let channels = parameters.channels.as_ref().map_or(0, Channels::count);
        if channels > MAX_CHANNELS {
            let reason = format!("{channels} channels; more than {MAX_CHANNELS} can't be right");
            return Err(fault(AudioFault::Limit, reason));
        }
        let config = parameters.extra_data.as_deref().filter(|_| parameters.codec == CODEC_ID_AAC);
        if let Some(reason) = config.and_then(aac::undecodable) {
            return Err(fault(AudioFault::Unsupported, undecodable(&reason)));
        }
        let kind = format.format_info().format;
        let mut declared = match container.length {
            Length::Declared => declared_frames(track, &parameters, kind),
            Length::Frames(frames) | Length::Padded(frames) => Some(frames),
            Length::Unknown => None,
        };
        // Symphonia cuts an MP3 at the length it guesses: a third of a file may be lost. The edit list of an MP4 file
        // leaves out what its Opus header says.
        let edit = container.edit.filter(|edit| parameters.sample_rate == Some(edit.time_scale));
        let gapless =
            if kind == FORMAT_ID_ISOMP4 { edit.is_none() } else { kind != FORMAT_ID_MP3 || declared.is_some() };
        let decoder = opus::decoders()
            .make_audio_decoder(&parameters, &AudioDecoderOptions::default().verify(true).gapless(gapless))
            .map_err(|error| match error {
                Symphonia::Unsupported(reason) => {
                    let named = kinds::codec_name(parameters.codec).or(container.kind);
                    let what = named.map_or_else(|| format!("audio of an unknown kind ({reason})"), str::to_owned);
                    fault(AudioFault::Unsupported, undecodable(&format!("holds {what}")))
                }
                error => probe_error(name, error, container.kind),
            })?;
        let mut played = edit.map(|edit| edit.range_of(declared));
        if let Length::Padded(frames) = container.length {
            played = Some(0..frames);
        }
        if kind == FORMAT_ID_CAF && played.is_none() {
            // The table of packets says how many frames at the beginning and at the end are not audio.
            let delay = u64::from(track.delay.unwrap_or(0));
            played = declared.filter(|_| delay > 0).map(|frames| delay..delay.saturating_add(frames));
            declared = played.as_ref().map_or(declared, |played| Some(played.end));
        }
        // Only Opus is cut to the frame in Matroska; others have no delay to be told, and so no padding either.
        let opus_in_matroska = kind == FORMAT_ID_MKV && parameters.codec == CODEC_ID_OPUS;
        let end_padding = if opus_in_matroska { container.end_padding / 125 * 6 / 1000 } else { 0 };
        let declared_frames = declared.map(|all| played.as_ref().map_or(all, |played| played.end - played.start));
        let timed = track
            .time_base
            .zip(parameters.sample_rate)
            .is_some_and(|(base, rate)| base.numer.get() == 1 && base.denom.get() == rate);
        Ok(Self {
            kind,
            id: track.id,
            timed,
            sample_rate: parameters.sample_rate,
            format,
            decoder,
            played,
            declared_frames,
            end_padding,
            tags,
            remarks: container.remarks.into_iter().map(Remark::on_file).collect(),
        })
    }
}

/// Puts right what Symphonia takes from containers wrongly.
fn correct(parameters: &mut AudioCodecParameters, codec: Option<AudioCodecId>, has_layout: bool) {
    parameters.codec = codec.unwrap_or(parameters.codec);
    if [CODEC_ID_PCM_ALAW, CODEC_ID_PCM_MULAW].contains(&parameters.codec) {
        // Eight bits that stand for more; the decoder takes them for the width of what it gives.
        parameters.bits_per_sample = None;
        parameters.bits_per_coded_sample = None;
    }
    if !has_layout && let Some(channels) = &mut parameters.channels {
        *channels = usual_layout(channels);
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
        // The times of Opus in Ogg count what is left out at the beginning.
        FORMAT_ID_OGG if parameters.codec == CODEC_ID_OPUS => {
            frames.checked_sub(track.delay.unwrap_or(0).into()).filter(|&frames| frames > 0)
        }
        _ => Some(frames),
    }
}

fn probe_error(name: &Path, error: Symphonia, kind: Option<&str>) -> Error {
    let fault = |fault, reason: String| Error::audio(name, fault, reason);
    match error {
        Symphonia::IoError(error) if error.kind() != ErrorKind::UnexpectedEof => Error::io(name)(error),
        _ if kind.is_some() => fault(AudioFault::Unsupported, undecodable(&format!("is {}", kind.unwrap_or_default()))),
        Symphonia::IoError(_) => fault(AudioFault::Truncated, "ends before its header does; truncated?".into()),
        Symphonia::Unsupported(reason) if reason.starts_with("core (probe)") => fault(
            AudioFault::Unsupported,
            "not audio in a format known here (WAV, AIFF, CAF, FLAC, MP3, AAC, ALAC, Ogg, Opus, MP4, Matroska)".into(),
        ),
        Symphonia::Unsupported("isomp4: missing moov atom") => {
            let reason = "has no table of its samples (moov), which comes last in many files; truncated?";
            fault(AudioFault::Truncated, reason.into())
        }
        Symphonia::Unsupported(reason) => fault(AudioFault::Unsupported, undecodable(reason)),
        Symphonia::LimitError(_) => fault(AudioFault::Limit, error.to_string()),
        error => fault(AudioFault::Damaged, format!("damaged header ({error})")),
    }
}
