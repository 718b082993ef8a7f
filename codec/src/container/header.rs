//! The file's header: what the original was, which model made the events, and how they are cut into chunks.

use super::tags::Tags;
use crate::error::{FormatError, FormatFault, Section};
use crate::events::{MAX_NEURONS, varint};
use crate::{Error, Gain, ModelId, Quality, Result};
use std::io::{Read, Write};

/// First bytes of every file.
const MAGIC: [u8; 4] = *b"SPIC";
/// Format version that is written, major and minor; readers take every minor version of the same major one.
pub const FORMAT_VERSION: (u8, u8) = (1, 1);
/// Bytes before the tags.
const FIXED_BYTES: usize = 44;
/// Flag: the right channel was inverted before the channels were mixed.
const RIGHT_INVERTED: u16 = 1;

/// Lowest sample rate in Hz.
pub const MIN_RATE: u32 = 8_000;
/// Highest sample rate in Hz.
pub const MAX_RATE: u32 = 192_000;
/// Most samples per channel: 99 hours at the highest sample rate.
pub const MAX_SAMPLES: u64 = 1 << 36;
/// Most frames of a chunk.
pub const MAX_CHUNK_FRAMES: u16 = 4096;
/// Most cells (frames times neurons) of a chunk, which bounds the memory a chunk can ask for.
pub const MAX_CHUNK_CELLS: u32 = 1 << 22;

/// Header of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Sample rate of the original in Hz.
    pub sample_rate: u32,
    /// Samples per channel of the original.
    pub sample_count: u64,
    /// Channels of the original: 1 or 2.
    pub channels: u8,
    /// Whether the right channel was inverted before mixing; only with two channels.
    pub right_inverted: bool,
    /// Gain applied before coding; a decoder takes it back.
    pub gain: Gain,
    /// The network's rate conditioning.
    pub quality: Quality,
    /// The model that made the events.
    pub model: ModelId,
    /// Neurons per frame.
    pub neurons: u16,
    /// Sample rate in Hz at which the frames were taken.
    pub internal_rate: u32,
    /// Samples at the internal rate from one frame to the next.
    pub hop: u16,
    /// Frames per chunk; the last chunk has what is left.
    pub chunk_frames: u16,
    /// Keys and values.
    pub tags: Tags,
}

impl Header {
    /// Number of samples at the internal rate: `ceil(sample_count * internal_rate / sample_rate)`.
    pub fn internal_samples(&self) -> u64 {
        (self.sample_count * u64::from(self.internal_rate)).div_ceil(u64::from(self.sample_rate))
    }

    /// Number of frames of the whole file: `floor(internal samples / hop) + 1`.
    pub fn frames(&self) -> u32 {
        (self.internal_samples() / u64::from(self.hop) + 1) as u32 // `check` keeps it within u32
    }

    /// Number of chunks, at least 1.
    pub fn chunks(&self) -> u32 {
        self.frames().div_ceil(self.chunk_frames.into())
    }

    /// Number of frames of a chunk, 0 beyond the last one.
    pub fn frames_of_chunk(&self, chunk: u32) -> u32 {
        let start = u64::from(chunk) * u64::from(self.chunk_frames);
        u64::from(self.frames()).saturating_sub(start).min(self.chunk_frames.into()) as u32
    }

    /// Frames per second.
    pub fn frame_rate(&self) -> f64 {
        f64::from(self.internal_rate) / f64::from(self.hop)
    }

    /// Duration of the original in seconds.
    pub fn seconds(&self) -> f64 {
        self.sample_count as f64 / f64::from(self.sample_rate)
    }

    /// Checks every field against its limits.
    ///
    /// # Errors
    /// For the first field that is outside its limits.
    pub fn check(&self) -> Result<()> {
        self.check_fields().map_err(|error| error.within(Section::Header))
    }

    fn check_fields(&self) -> Result<()> {
        for (name, rate) in [("sample rate", self.sample_rate), ("internal rate", self.internal_rate)] {
            if !(MIN_RATE..=MAX_RATE).contains(&rate) {
                return Err(Error::limit(format!("{name} {rate} Hz is not within {MIN_RATE} to {MAX_RATE} Hz")));
            }
        }
        if self.sample_count > MAX_SAMPLES {
            return Err(Error::limit(format!("{} samples are more than {MAX_SAMPLES}", self.sample_count)));
        }
        if !(1..=2).contains(&self.channels) {
            return Err(Error::unsupported(format!("{} channels: there must be 1 or 2", self.channels)));
        }
        if self.right_inverted && self.channels != 2 {
            return Err(Error::malformed("a right channel is inverted, but there is only one"));
        }
        if self.neurons == 0 || self.neurons > MAX_NEURONS {
            return Err(Error::limit(format!("{} neurons are not within 1 to {MAX_NEURONS}", self.neurons)));
        }
        if self.hop == 0 {
            return Err(Error::malformed("hop is 0"));
        }
        if self.chunk_frames == 0 || self.chunk_frames > MAX_CHUNK_FRAMES {
            let frames = self.chunk_frames;
            return Err(Error::limit(format!("{frames} frames a chunk are not within 1 to {MAX_CHUNK_FRAMES}")));
        }
        let cells = u32::from(self.chunk_frames) * u32::from(self.neurons);
        if cells > MAX_CHUNK_CELLS {
            return Err(Error::limit(format!("{cells} cells a chunk are more than {MAX_CHUNK_CELLS}")));
        }
        if self.internal_samples() / u64::from(self.hop) >= u64::from(u32::MAX) {
            return Err(Error::limit("more frames than 32 bits can count"));
        }
        Ok(())
    }

    /// Bytes that the header takes in a file.
    ///
    /// # Errors
    /// When a field is outside its limits.
    pub fn stored_size(&self) -> Result<u64> {
        self.write(&mut std::io::sink())
    }

    /// Writes the header and returns the number of bytes.
    pub(super) fn write(&self, out: &mut impl Write) -> Result<u64> {
        self.check()?;
        let (tag_coding, tag_bytes) = self.tags.encode()?;
        let mut bytes = Vec::with_capacity(FIXED_BYTES + tag_bytes.len() + varint::MAX_BYTES + 4);
        bytes.extend(MAGIC);
        bytes.extend([FORMAT_VERSION.0, FORMAT_VERSION.1]);
        bytes.extend(if self.right_inverted { RIGHT_INVERTED } else { 0 }.to_le_bytes());
        bytes.extend(self.sample_rate.to_le_bytes());
        bytes.extend(self.sample_count.to_le_bytes());
        bytes.extend(self.internal_rate.to_le_bytes());
        bytes.extend(self.hop.to_le_bytes());
        bytes.extend(self.neurons.to_le_bytes());
        bytes.extend(self.chunk_frames.to_le_bytes());
        bytes.push(self.channels);
        bytes.push(tag_coding);
        bytes.extend(self.gain.stored().to_le_bytes());
        bytes.extend(self.quality.stored().to_le_bytes());
        bytes.extend(self.model.0);
        varint::write(tag_bytes.len() as u32, &mut bytes);
        bytes.extend(tag_bytes);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        out.write_all(&bytes)?;
        Ok(bytes.len() as u64)
    }

    /// Reads a header and returns it with its number of bytes.
    pub(super) fn read(input: &mut impl Read) -> Result<(Self, u64)> {
        Self::read_unplaced(input).map_err(|error| error.within(Section::Header).at(0))
    }

    fn read_unplaced(input: &mut impl Read) -> Result<(Self, u64)> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES);
        input.by_ref().take(FIXED_BYTES as u64).read_to_end(&mut bytes)?;
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::malformed(match bytes.len() {
                0 => "not a .spic file: it is empty",
                _ => "not a .spic file: it does not begin with SPIC",
            }));
        }
        if let Some(&[major, minor]) = bytes.get(4..6)
            && major != FORMAT_VERSION.0
        {
            return Err(FormatError::from(FormatFault::Version { major, minor }).into());
        }
        let truncated = || Error::from(FormatError::from(FormatFault::Truncated));
        let mut rest = Fields(bytes.get(6..FIXED_BYTES).ok_or_else(truncated)?);
        let flags = u16::from_le_bytes(rest.take());
        let mut header = Self {
            sample_rate: u32::from_le_bytes(rest.take()),
            sample_count: u64::from_le_bytes(rest.take()),
            internal_rate: u32::from_le_bytes(rest.take()),
            hop: u16::from_le_bytes(rest.take()),
            neurons: u16::from_le_bytes(rest.take()),
            chunk_frames: u16::from_le_bytes(rest.take()),
            channels: u8::from_le_bytes(rest.take()),
            tags: Tags::default(),
            gain: Gain::default(),
            quality: Quality::default(),
            model: ModelId([0; 8]),
            right_inverted: flags & RIGHT_INVERTED != 0,
        };
        let tag_coding = u8::from_le_bytes(rest.take());
        header.gain = Gain::from_stored(i16::from_le_bytes(rest.take()));
        header.quality = Quality::from_stored(u16::from_le_bytes(rest.take()));
        header.model = ModelId(rest.take());

        let tag_length = varint::read_with(|| {
            let mut byte = [0];
            read_exact(input, &mut byte)?;
            bytes.push(byte[0]);
            Ok(byte[0])
        })?;
        super::tags::check_length(tag_length)?;
        let tags_at = bytes.len();
        input.by_ref().take(tag_length.into()).read_to_end(&mut bytes)?;
        if bytes.len() - tags_at < tag_length as usize {
            return Err(truncated());
        }
        let mut checksum = [0; 4];
        read_exact(input, &mut checksum)?;
        if u32::from_le_bytes(checksum) != crc32fast::hash(&bytes) {
            return Err(FormatError::from(FormatFault::Checksum).into());
        }
        if flags & !RIGHT_INVERTED != 0 {
            return Err(Error::unsupported(format!("flags {flags:#06x} are unknown: a newer program is needed")));
        }
        header.tags = Tags::decode(tag_coding, &bytes[tags_at..])?;
        header.check()?;
        Ok((header, bytes.len() as u64 + 4))
    }
}

/// Takes little-endian fields off the front of the fixed part.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        let (head, rest) = self.0.split_at(N.min(self.0.len()));
        field[..head.len()].copy_from_slice(head);
        self.0 = rest;
        field
    }
}

/// Fills `bytes`, or says that the input ended before.
pub(super) fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => FormatError::from(FormatFault::Truncated).into(),
        _ => Error::Stream(error),
    })
}
