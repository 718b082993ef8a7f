//! FLAC output (RFC 9639): blocks by flacenc, with the stream information and the comments around them.
//!
//! Blocks are coded one at a time, so that memory does not grow with the length. The checksum of all samples is known
//! only at the end: it is written over the zeros ("unknown") at the beginning.

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config::Encoder;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Fill, FrameBuf};
use md5::{Digest, Md5};

use super::samples::integer;
use super::{OutputSpec, SampleFormat};
use crate::{Error, Result};

/// Frames of a block.
const BLOCK: usize = 4096;
/// Bits of the number of frames.
const MAX_FRAMES: u64 = (1 << 36) - 1;
/// Bits of the length of a metadata block.
const MAX_METADATA: usize = (1 << 24) - 1;
/// Marks the last metadata block.
const LAST: u8 = 0x80;
const COMMENTS: u8 = 4;

/// Codes one stream.
pub(super) struct FlacEncoder {
    spec: OutputSpec,
    settings: Verified<Encoder>,
    info: StreamInfo,
    block: FrameBuf,
    /// Samples that don't fill a block yet.
    waiting: Vec<i32>,
    blocks: usize,
    /// Smallest and largest coded block in bytes, 0 if there is none.
    sizes: (usize, usize),
    checksum: Md5,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for FlacEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlacEncoder").field("spec", &self.spec).field("blocks", &self.blocks).finish_non_exhaustive()
    }
}

impl FlacEncoder {
    /// # Errors
    /// The reason why such a stream can't be FLAC.
    pub(super) fn new(spec: OutputSpec) -> std::result::Result<Self, String> {
        if spec.format == SampleFormat::Float32 {
            return Err("FLAC holds integers, not floating-point samples; choose 16 or 24 bits, or WAV".into());
        }
        let (channels, bits) = (usize::from(spec.channels), usize::from(spec.format.bits()));
        let info = StreamInfo::new(spec.sample_rate as usize, channels, bits);
        let settings = Encoder::default().into_verified();
        let (Ok(info), Ok(settings), Ok(block)) = (info, settings, FrameBuf::with_size(channels, BLOCK)) else {
            return Err(format!("FLAC can't hold {channels} channel(s) at {} Hz", spec.sample_rate));
        };
        Ok(Self {
            spec,
            settings,
            info,
            block,
            waiting: Vec::new(),
            blocks: 0,
            sizes: (0, 0),
            checksum: Md5::new(),
            bytes: Vec::new(),
        })
    }

    /// What comes before the blocks; nothing if there are too many frames or too long tags.
    pub(super) fn head(&self, tags: &[(&str, &str)]) -> Option<Vec<u8>> {
        if self.spec.frames > MAX_FRAMES {
            return None;
        }
        let mut comments = Vec::new();
        let mut text = |bytes: &[u8]| {
            comments.extend((bytes.len() as u32).to_le_bytes());
            comments.extend(bytes);
        };
        text(concat!("spiccato ", env!("CARGO_PKG_VERSION")).as_bytes());
        let tags: Vec<String> =
            tags.iter().filter(|(key, _)| is_field_name(key)).map(|(key, value)| format!("{key}={value}")).collect();
        comments.extend((tags.len() as u32).to_le_bytes());
        for tag in &tags {
            comments.extend((tag.len() as u32).to_le_bytes());
            comments.extend(tag.bytes());
        }
        if comments.len() > MAX_METADATA {
            return None;
        }
        let length = (comments.len() as u32).to_be_bytes();
        let mut head = self.stream_info();
        head.extend([LAST | COMMENTS, length[1], length[2], length[3]]);
        head.extend(comments);
        Some(head)
    }

    /// The signature and the stream information, with what is known so far.
    pub(super) fn stream_info(&self) -> Vec<u8> {
        let OutputSpec { sample_rate, channels, format, frames, .. } = self.spec;
        let mut bytes = b"fLaC\0\0\0\x22".to_vec();
        bytes.extend([(BLOCK as u16).to_be_bytes(), (BLOCK as u16).to_be_bytes()].concat());
        for size in [self.sizes.0, self.sizes.1] {
            bytes.extend(&(size as u32).to_be_bytes()[1..]);
        }
        let layout = u64::from(sample_rate) << 44 | u64::from(channels - 1) << 41 | u64::from(format.bits() - 1) << 36;
        bytes.extend((layout | frames).to_be_bytes());
        let whole = self.blocks > 0 && self.waiting.is_empty();
        bytes.extend(if whole { self.checksum.clone().finalize().into() } else { [0u8; 16] });
        bytes
    }

    /// Takes whole interleaved frames and appends the bytes of those blocks that are full.
    pub(super) fn push(&mut self, samples: &[f32], output: &mut Vec<u8>) -> Result<()> {
        self.bytes.clear();
        self.spec.format.append(samples, &mut self.bytes);
        self.checksum.update(&self.bytes);
        let bits = self.spec.format.bits().into();
        self.waiting.extend(samples.iter().map(|&x| integer(x, bits)));
        let whole = BLOCK * usize::from(self.spec.channels);
        let waiting = std::mem::take(&mut self.waiting);
        let blocks = waiting.chunks_exact(whole);
        self.waiting = blocks.remainder().to_vec();
        for block in blocks {
            self.encode(block, output)?;
        }
        Ok(())
    }

    /// Appends the bytes of the last block.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<()> {
        let last = std::mem::take(&mut self.waiting);
        if last.is_empty() { Ok(()) } else { self.encode(&last, output) }
    }

    fn encode(&mut self, samples: &[i32], output: &mut Vec<u8>) -> Result<()> {
        let failed = |reason: String| Error::usage(format!("FLAC: {reason}"));
        self.block.fill_interleaved(samples).map_err(|error| failed(error.to_string()))?;
        let frame = flacenc::encode_fixed_size_frame(&self.settings, &self.block, self.blocks, &self.info)
            .map_err(|error| failed(error.to_string()))?;
        let mut sink = ByteSink::new();
        frame.write(&mut sink).map_err(|error| failed(error.to_string()))?;
        let bytes = sink.as_slice();
        let (least, most) = self.sizes;
        self.sizes = (if least == 0 { bytes.len() } else { least.min(bytes.len()) }, most.max(bytes.len()));
        self.blocks += 1;
        output.extend(bytes);
        Ok(())
    }
}

/// Names of fields are printable ASCII without `=` (Vorbis comment specification).
fn is_field_name(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| (0x20..=0x7d).contains(&byte) && byte != b'=')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::atomic_file::Existing;
    use crate::audio_file::{AudioInput, AudioWriter, FileKind, OutputSpec, SampleFormat, Surround};

    fn spec(channels: u16, format: SampleFormat, frames: u64) -> OutputSpec {
        OutputSpec { kind: FileKind::Flac, sample_rate: 44_100, channels, format, frames }
    }

    /// Noise under a slow swell, in steps of 24 bits.
    fn sound(samples: usize) -> Vec<f32> {
        let mut state = 1u32;
        (0..samples)
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
                let swell = (n as f32 * 0.01).sin() * 0.4 + noise * 0.1;
                (swell * 8_388_608.0).round() / 8_388_608.0
            })
            .collect()
    }

    #[test]
    fn what_is_written_is_read_again_and_its_checksum_holds() {
        let folder = tempfile::tempdir().unwrap();
        for frames in [1usize, 2, 15, 16, 17, 31, 33, 4095, 4096, 4097, 10_000] {
            for channels in [1u16, 2] {
                let target = folder.path().join(format!("{frames}-{channels}.flac"));
                let samples = sound(frames * usize::from(channels));
                let spec = spec(channels, SampleFormat::Int24, frames as u64);
                let tags = [("title", "Swell"), ("artist", "A"), ("artist", "Ä"), ("=", "no name")];
                let mut writer = AudioWriter::create(&target, Existing::Refuse, spec, tags).unwrap();
                for piece in samples.chunks(1000 * usize::from(channels)) {
                    writer.write(piece).unwrap();
                }
                writer.finish().unwrap();
                let mut reader = AudioInput::open(&target).unwrap().reader(Surround::Refuse).unwrap();
                assert_eq!(reader.spec().declared_frames, Some(frames as u64));
                let values: Vec<&str> = reader.spec().tags.iter().map(|tag| tag.value.as_str()).collect();
                assert_eq!(values, ["Swell", "A", "Ä"]);
                let mut read = Vec::new();
                while let Some(block) = reader.next_block().unwrap() {
                    read.extend_from_slice(block);
                }
                assert!(read == samples, "{frames} frames, {channels} channels");
                // The checksum is there, and would be missed.
                let mut bytes = fs::read(&target).unwrap();
                assert!(bytes[26..42].iter().any(|&byte| byte != 0));
                bytes[26] ^= 1;
                fs::write(&target, bytes).unwrap();
                let mut reader = AudioInput::open(&target).unwrap().reader(Surround::Refuse).unwrap();
                let damaged = loop {
                    match reader.next_block() {
                        Ok(Some(_)) => {}
                        Ok(None) => break false,
                        Err(_) => break true,
                    }
                };
                assert!(damaged);
            }
        }
    }

    #[test]
    fn it_is_smaller_than_plain_samples() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.flac");
        let samples = sound(100_000);
        let mut writer =
            AudioWriter::create(&target, Existing::Refuse, spec(1, SampleFormat::Int16, 100_000), []).unwrap();
        writer.write(&samples).unwrap();
        writer.finish().unwrap();
        // Uniform noise of 0.1 · 32768 steps has log2(3277) = 11.7 bits; Rice codes are made for peaked distributions.
        let bits = 8.0 * fs::metadata(&target).unwrap().len() as f64 / 100_000.0;
        assert!((11.6..12.5).contains(&bits), "{bits} bits a sample");
    }

    #[test]
    fn floating_point_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.flac");
        let error = AudioWriter::create(&target, Existing::Refuse, spec(1, SampleFormat::Float32, 1), []).unwrap_err();
        assert!(error.to_string().contains("16 or 24 bits") && !target.exists());
    }
}
