//! Opus (RFC 6716) as a decoder for Symphonia, which takes it from Ogg, Matroska, WebM, MP4 and CAF but can't decode
//! it.
//!
//! Decoding is ropus's, a port of the reference decoder to Rust. What is added here is RFC 7845: the identification
//! header with its channel mapping, gain and pre-skip. Containers say how much to trim at the end.

use std::sync::LazyLock;

use ropus::OpusMSDecoder;
use symphonia::core::audio::{
    AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult};
use symphonia::core::codecs::registry::{CodecRegistry, RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Result, decode_error, unsupported_error};
use symphonia::core::packet::PacketRef;

/// The rate that Opus is decoded at, whatever it was made from.
const SAMPLE_RATE: u32 = 48_000;
/// The longest packet, 120 ms.
const MAX_FRAMES: usize = 5760;
const MAGIC: &[u8] = b"OpusHead";
/// Error code of the reference decoder for a packet that is damaged.
const INVALID_PACKET: i32 = -4;

/// Symphonia's decoders and this one.
pub(super) fn decoders() -> &'static CodecRegistry {
    static DECODERS: LazyLock<CodecRegistry> = LazyLock::new(|| {
        let mut registry = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut registry);
        registry.register_audio_decoder::<OpusDecoder>();
        registry
    });
    &DECODERS
}

/// What the identification header says (RFC 7845, section 5.1).
#[derive(Debug, PartialEq)]
struct Head {
    channels: usize,
    pre_skip: usize,
    gain: f32,
    streams: u8,
    coupled: u8,
    /// Decoded channel of each channel of the file.
    mapping: Vec<u8>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(MAGIC)?;
        let channels = usize::from(*bytes.get(1)?);
        let pre_skip = usize::from(u16::from_le_bytes(bytes.get(2..4)?.try_into().ok()?));
        let gain = i16::from_le_bytes(bytes.get(8..10)?.try_into().ok()?);
        let (streams, coupled, mapping) = match (bytes.get(10)?, channels) {
            (0, 1 | 2) => (1, channels as u8 - 1, (0..channels as u8).collect()),
            (1, 1..=8) => (*bytes.get(11)?, *bytes.get(12)?, bytes.get(13..13 + channels)?.to_vec()),
            _ => return None,
        };
        let gain = 10f32.powf(f32::from(gain) / (20.0 * 256.0));
        Some(Self { channels, pre_skip, gain, streams, coupled, mapping })
    }

    /// Mono or stereo, all of which is to be played.
    fn plain(channels: usize) -> Option<Self> {
        let mapping: Vec<u8> = (0..channels as u8).collect();
        let coupled = channels.checked_sub(1)? as u8;
        (channels <= 2).then_some(Self { channels, pre_skip: 0, gain: 1.0, streams: 1, coupled, mapping })
    }

    /// The mapping in the order of Symphonia's channel positions. The file's is that of Vorbis (L C R …).
    fn ordered_mapping(&self) -> Vec<u8> {
        let order: &[usize] = match self.channels {
            3 => &[0, 2, 1],
            5 => &[0, 2, 1, 3, 4],
            6 => &[0, 2, 1, 5, 3, 4],
            7 => &[0, 2, 1, 6, 5, 3, 4],
            8 => &[0, 2, 1, 7, 5, 6, 3, 4],
            _ => return self.mapping.clone(),
        };
        order.iter().filter_map(|&channel| self.mapping.get(channel).copied()).collect()
    }
}

struct OpusDecoder {
    parameters: AudioCodecParameters,
    decoder: OpusMSDecoder,
    head: Head,
    /// Frames still to be left out at the beginning.
    skip: usize,
    samples: Vec<i16>,
    scaled: Vec<f32>,
    buffer: AudioBuffer<f32>,
}

impl OpusDecoder {
    fn new(parameters: &AudioCodecParameters, options: &AudioDecoderOptions) -> Result<Self> {
        // Core Audio files need not have the header: their channels and delay are said elsewhere.
        let channels = parameters.channels.as_ref().map_or(0, Channels::count);
        let head = match parameters.extra_data.as_deref() {
            Some(bytes) if bytes.starts_with(MAGIC) => Head::parse(bytes),
            _ => Head::plain(channels),
        };
        let (Some(head), Some(layout)) = (head, parameters.channels.clone()) else {
            return unsupported_error("opus: no identification header, or one of a kind that is not known here");
        };
        if layout.count() != head.channels {
            return decode_error("opus: the container and the identification header differ in channels");
        }
        let (channels, mapping) = (head.channels as i32, head.ordered_mapping());
        let decoder =
            OpusMSDecoder::new(SAMPLE_RATE as i32, channels, head.streams.into(), head.coupled.into(), &mapping);
        let Ok(decoder) = decoder else {
            return decode_error("opus: the channel mapping makes no sense");
        };
        Ok(Self {
            parameters: parameters.clone(),
            decoder,
            skip: if options.gapless { head.pre_skip } else { 0 },
            samples: vec![0; MAX_FRAMES * head.channels],
            scaled: Vec::new(),
            buffer: AudioBuffer::new(AudioSpec::new(SAMPLE_RATE, layout), MAX_FRAMES),
            head,
        })
    }
}

impl AudioDecoder for OpusDecoder {
    fn reset(&mut self) {
        self.decoder.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        &SUPPORTED[0].info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.parameters
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        if packet.data.is_empty() {
            return decode_error("opus: an empty packet");
        }
        let length = i32::try_from(packet.data.len()).unwrap_or(i32::MAX);
        let frames = self
            .decoder
            .decode(Some(packet.data), length, &mut self.samples, MAX_FRAMES as i32, false)
            .and_then(|frames| usize::try_from(frames).map_err(|_| INVALID_PACKET));
        let Ok(frames) = frames else { return decode_error("opus: a damaged packet") };
        let scale = self.head.gain / 32_768.0;
        self.scaled.clear();
        self.scaled.extend(self.samples[..frames * self.head.channels].iter().map(|&x| f32::from(x) * scale));
        self.buffer.render_uninit(Some(frames));
        self.buffer.copy_from_slice_interleaved(&self.scaled);
        let skipped = self.skip.min(frames);
        self.skip -= skipped;
        let end = usize::try_from(packet.trim_end.get()).unwrap_or(frames);
        self.buffer.trim(skipped, end.min(frames));
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

const SUPPORTED: &[SupportedAudioCodec] = &[SupportedAudioCodec {
    id: CODEC_ID_OPUS,
    info: CodecInfo { short_name: "opus", long_name: "Opus", profiles: &[] },
}];

impl RegisterableAudioDecoder for OpusDecoder {
    fn try_registry_new(
        parameters: &AudioCodecParameters,
        options: &AudioDecoderOptions,
    ) -> Result<Box<dyn AudioDecoder>> {
        Ok(Box::new(Self::new(parameters, options)?))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        SUPPORTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(channels: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        [&b"OpusHead\x01"[..], &[channels, 0x38, 1], &[0; 4], &[0, 0xfa], &[family], rest].concat()
    }

    #[test]
    fn the_identification_header_is_read() {
        let stereo = Head::parse(&head(2, 0, &[])).unwrap();
        assert_eq!((stereo.channels, stereo.pre_skip, stereo.streams, stereo.coupled), (2, 312, 1, 1));
        assert_eq!(stereo.mapping, [0, 1]);
        assert!((20.0 * stereo.gain.log10() + 6.0).abs() < 1e-4); // −6 · 256
        for (channels, family) in [(0, 0), (3, 0), (9, 1), (2, 1), (2, 255)] {
            assert_eq!(Head::parse(&head(channels, family, &[])), None);
        }
        assert_eq!(Head::parse(b"OpusHead"), None);
    }

    #[test]
    fn without_a_header_only_mono_and_stereo_are_clear() {
        let stereo = Head::plain(2).unwrap();
        assert_eq!((stereo.streams, stereo.coupled, stereo.mapping.as_slice()), (1, 1, &[0u8, 1][..]));
        assert_eq!(Head::plain(1).unwrap().coupled, 0);
        assert_eq!((Head::plain(0), Head::plain(3)), (None, None));
    }

    #[test]
    fn surround_comes_in_the_order_of_positions() {
        // libopus codes L and R, then Ls and Rs, in pairs, and C and LFE alone: L C R Ls Rs LFE are 0 4 1 2 3 5.
        let surround = Head::parse(&head(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5])).unwrap();
        assert_eq!(surround.ordered_mapping(), [0, 1, 4, 5, 2, 3]); // L R C LFE Ls Rs
        for channels in 1..=8u8 {
            let mapping: Vec<u8> = (0..channels).collect();
            let head = Head { channels: channels.into(), pre_skip: 0, gain: 1.0, streams: 1, coupled: 0, mapping };
            let mut ordered = head.ordered_mapping();
            ordered.sort_unstable();
            assert_eq!(ordered, head.mapping, "all channels, each once");
        }
    }
}
