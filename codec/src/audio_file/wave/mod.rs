//! The chunks of a WAV file: RIFF (Microsoft & IBM 1991), RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088), and Sony's
//! Wave64.
//!
//! Files are often not what their headers say: recorders die before they write the sizes, sizes above 4 GiB wrap, the
//! padding of odd chunks is forgotten, 24-bit samples sit in slots of 32. What has only one sensible meaning is read
//! with it, and remarked upon; the decoder is then given a header that is right.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::trailer;
use super::view::Piece;

/// The most chunks looked at, so that a file made of tiny chunks can't keep us busy.
const MAX_CHUNKS: usize = 10_000;
/// The most bytes of a chunk of tags; longer ones are left out. Cover pictures can be large.
const MAX_TAG_CHUNK: u64 = 1 << 24;
/// The remark on files whose length is not in their header.
pub(super) const NO_LENGTH: &str = "the header does not say how long the audio is; read to the end of the file";
/// A size that means "unknown" in RIFF, and "see the chunk `ds64`" in RF64.
const NO_SIZE: u64 = 0xffff_ffff;
/// Data lengths that SoX and LAME write when they write to a pipe and don't know it; SoX rounds its own down to whole
/// frames. (`ffmpeg` writes [`NO_SIZE`].)
const UNKNOWN_LENGTHS: [u64; 2] = [0x7fff_f000, 0x7fff_ffff];
/// The lengths of Wave64 chunks count their headers of this length.
const WAVE64_HEADER: u64 = 24;

/// A WAV file, as it is to be read.
#[derive(Debug, Default)]
pub(super) struct Wave {
    /// The file in the form that Symphonia understands.
    pub(super) pieces: Vec<Piece>,
    /// Frames that the header declares; none if it does not, or if only the decoder can tell.
    pub(super) length: Length,
    /// Whether the loudspeaker of each channel is named.
    pub(super) has_layout: bool,
    /// What was odd.
    pub(super) remarks: Vec<String>,
    /// Contents of chunks with tags: kind and bytes.
    pub(super) tags: Vec<([u8; 4], Vec<u8>)>,
}

/// What the header says about the length of the audio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Length {
    /// As many bytes as the header that Symphonia is given says.
    #[default]
    Declared,
    /// A number of frames, of which the last block may hold some more as padding.
    Padded(u64),
    /// A number of frames, of more bytes than that header can declare.
    Frames(u64),
    /// Nothing: the audio goes on to the end of the file.
    Unknown,
}

/// Why a WAV file can't be read.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Damaged(String),
    Unsupported(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How chunks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Riff,
    Rf64,
    Wave64,
}

/// Reads the chunks of the WAV file in `source`; nothing if it is none. Leaves `source` anywhere.
pub(super) fn find(source: &mut (impl Read + Seek + ?Sized)) -> Result<Option<Wave>, Fault> {
    let end = source.seek(SeekFrom::End(0))?;
    let start = trailer::leading_id3v2(source)?;
    let mut walk = Walk { source, end, flavour: Flavour::Riff, chunks_left: MAX_CHUNKS };
    let Some(head) = walk.bytes(start, 12)? else { return Ok(None) };
    let first = match (&head[..4], &head[8..]) {
        (b"RIFF", b"WAVE") => start + 12,
        (b"RF64" | b"BW64", b"WAVE") => {
            walk.flavour = Flavour::Rf64;
            start + 12
        }
        (b"RIFX", b"WAVE") => return Err(Fault::Unsupported("is a big-endian WAV file (RIFX)".into())),
        (b"riff", _) => {
            walk.flavour = Flavour::Wave64;
            match walk.bytes(start + WAVE64_HEADER, 4)? {
                Some(form) if form == b"wave" => start + WAVE64_HEADER + 16,
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    let declared_end = match walk.flavour {
        Flavour::Riff => u64::from(u32_at(&head, 4)) + 8 + start,
        Flavour::Rf64 => 0,
        Flavour::Wave64 => walk.u64(start + 16)?.unwrap_or(0).saturating_add(start),
    };
    walk.wave(first, declared_end).map(Some)
}

/// One chunk.
struct Chunk {
    /// Lower case in Wave64.
    kind: [u8; 4],
    body: u64,
    /// As the file says.
    size: u64,
}

struct Walk<'a, S: ?Sized> {
    source: &'a mut S,
    end: u64,
    flavour: Flavour,
    chunks_left: usize,
}

impl<S: Read + Seek + ?Sized> Walk<'_, S> {
    /// `count` bytes, or nothing if the file ends before.
    fn bytes(&mut self, position: u64, count: u64) -> io::Result<Option<Vec<u8>>> {
        if position.checked_add(count).is_none_or(|end| end > self.end) {
            return Ok(None);
        }
        let mut bytes = vec![0; count as usize];
        self.source.seek(SeekFrom::Start(position))?;
        self.source.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn u64(&mut self, position: u64) -> io::Result<Option<u64>> {
        Ok(self.bytes(position, 8)?.map(|bytes| u64_at(&bytes, 0)))
    }

    /// The chunk whose header is at `position`; nothing if there is none that makes sense.
    fn chunk(&mut self, position: u64) -> io::Result<Option<Chunk>> {
        if self.chunks_left == 0 {
            return Ok(None);
        }
        self.chunks_left -= 1;
        let long = self.flavour == Flavour::Wave64;
        let Some(head) = self.bytes(position, if long { WAVE64_HEADER } else { 8 })? else { return Ok(None) };
        let kind = [head[0], head[1], head[2], head[3]];
        if !kind.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return Ok(None);
        }
        let size = if long { u64_at(&head, 16).checked_sub(WAVE64_HEADER) } else { Some(u32_at(&head, 4).into()) };
        Ok(size.map(|size| Chunk { kind, body: position + head.len() as u64, size }))
    }

    /// Where the chunk after `chunk` begins. Some writers forget the padding after an odd length.
    fn after(&mut self, chunk: &Chunk) -> io::Result<u64> {
        let end = chunk.body.saturating_add(chunk.size);
        if self.flavour == Flavour::Wave64 {
            return Ok(end.saturating_add((8 - chunk.size % 8) % 8));
        }
        if chunk.size % 2 == 1 && end < self.end && !self.looks_like_chunk(end + 1)? && self.looks_like_chunk(end)? {
            return Ok(end);
        }
        Ok(end.saturating_add(chunk.size % 2))
    }

    /// Whether a chunk of a well-known kind, or one that fits into the file, begins here.
    fn looks_like_chunk(&mut self, position: u64) -> io::Result<bool> {
        const KNOWN: [&[u8; 4]; 8] = [b"fmt ", b"data", b"fact", b"LIST", b"bext", b"id3 ", b"JUNK", b"ds64"];
        let chunk = self.chunk(position)?;
        Ok(chunk.is_some_and(|chunk| KNOWN.contains(&&chunk.kind) || chunk.size <= self.end - chunk.body))
    }

    /// Whether nothing but whole chunks lies between `position` and the end of the file.
    fn only_chunks_follow(&mut self, mut position: u64) -> io::Result<bool> {
        while position < self.end {
            match self.chunk(position)? {
                Some(chunk) if chunk.body.saturating_add(chunk.size) <= self.end => position = self.after(&chunk)?,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn wave(mut self, first: u64, mut declared_end: u64) -> Result<Wave, Fault> {
        let mut wave = Wave::default();
        let (mut format, mut fact, mut data, mut long_size) = (None, None, None, 0);
        let mut position = first;
        while position < self.end {
            let Some(chunk) = self.chunk(position)? else { break };
            position = self.after(&chunk)?;
            match &chunk.kind {
                b"ds64" => {
                    let sizes = self.bytes(chunk.body, 16)?.ok_or_else(ends_early)?;
                    declared_end = u64_at(&sizes, 0).saturating_add(8 + first - 12);
                    long_size = u64_at(&sizes, 8);
                }
                b"fmt " if format.is_none() => {
                    format = Some(self.bytes(chunk.body, chunk.size.min(1 << 12))?.ok_or_else(ends_early)?);
                }
                b"fact" => fact = self.bytes(chunk.body, 4)?,
                b"data" if data.is_some() => {
                    wave.remarks.push("a second chunk of audio data is left out".into());
                }
                b"data" => {
                    let range = self.data(&chunk, long_size, format.as_deref(), &mut wave)?;
                    position = match &range {
                        (range, true) => self.after(&Chunk { size: range.end - range.start, ..chunk })?,
                        (_, false) => self.end,
                    };
                    data = Some(range);
                }
                b"LIST" | b"list" | b"bext" | b"id3 " | b"ID3 " if chunk.size <= MAX_TAG_CHUNK => {
                    let kind = if chunk.kind == *b"list" { *b"LIST" } else { chunk.kind };
                    wave.tags.extend(self.bytes(chunk.body, chunk.size)?.map(|bytes| (kind, bytes)));
                }
                _ => {}
            }
        }
        let Some((data, sized)) = data else { return Err(no_data()) };
        let format = format.ok_or_else(|| Fault::Damaged("has no format chunk before its audio data".into()))?;
        // A chunk of odd length may be followed by its padding or not.
        if sized && declared_end.abs_diff(self.end) > 1 && data.end <= self.end && wave.remarks.is_empty() {
            wave.remarks.push(format!(
                "the header declares a file of {declared_end} bytes, but it has {}; read by the sizes of its chunks",
                self.end
            ));
        }
        let format = Format::parse(&format)?;
        wave.has_layout = format.mask != 0;
        let size = data.end - data.start;
        if sized && size >= NO_SIZE {
            wave.length = Length::Frames(size / u64::from(format.align.max(1)));
        }
        if let (true, Some(block)) = (sized, format.block_frames) {
            // The number is worth something only if it ends within the last block: some writers leave nonsense there.
            let frames = fact.as_deref().map_or(0, |fact| u64::from(u32_at(fact, 0)));
            let whole = size / u64::from(format.align.max(1)) * u64::from(block);
            if frames <= whole && whole - frames < u64::from(block) {
                wave.length = Length::Padded(frames);
            }
        }
        let range = Piece::Range(data.start..data.end.min(self.end));
        wave.pieces = match format.bytes {
            Some(format) => vec![Piece::Bytes(header(&format, fact.as_deref(), size, wave.length)), range],
            None => vec![range],
        };
        Ok(wave)
    }

    /// Where the audio is, and whether the file says so; if it doesn't, all that follows is audio.
    fn data(
        &mut self,
        chunk: &Chunk,
        long_size: u64,
        format: Option<&[u8]>,
        wave: &mut Wave,
    ) -> Result<(Range<u64>, bool), Fault> {
        let Chunk { body, mut size, .. } = *chunk;
        if self.flavour == Flavour::Rf64 && size == NO_SIZE && long_size != 0 && long_size != u64::MAX {
            size = long_size;
        }
        let available = self.end - body;
        let frame = format.map_or(1, |format| u64::from(u16_at(format, 12)).max(1));
        let placeholder = self.flavour != Flavour::Wave64
            && (size == NO_SIZE
                || UNKNOWN_LENGTHS.into_iter().any(|unknown| [unknown, unknown / frame * frame].contains(&size)));
        let cut_off_recording = size == 0 && available > 0 && !self.only_chunks_follow(body)?;
        if placeholder || cut_off_recording {
            wave.remarks.push(NO_LENGTH.into());
            wave.length = Length::Unknown;
            return Ok((body..self.end, false));
        }
        // A size above 4 GiB in 32 bits.
        if self.flavour == Flavour::Riff
            && available - size.min(available) > NO_SIZE
            && !self.only_chunks_follow(body + size)?
        {
            let lost = (available - size) >> 32 << 32;
            let whole = self.only_chunks_follow(body + size + lost)?;
            wave.remarks.push(format!(
                "the header declares {size} bytes of audio, but the file is longer than such a header can say; {}",
                if whole { format!("{} bytes read", size + lost) } else { "read to the end of the file".into() }
            ));
            if whole {
                return Ok((body..body + size + lost, true));
            }
            wave.length = Length::Unknown;
            return Ok((body..self.end, false));
        }
        Ok((body..body.saturating_add(size), true))
    }
}

fn ends_early() -> Fault {
    Fault::Io(io::ErrorKind::UnexpectedEof.into())
}

fn no_data() -> Fault {
    Fault::Damaged("has no chunk of audio data".into())
}

/// The header that Symphonia is given.
fn header(format: &[u8], fact: Option<&[u8]>, size: u64, length: Length) -> Vec<u8> {
    let in_header = matches!(length, Length::Declared | Length::Padded(_));
    let size = if in_header { u32::try_from(size).unwrap_or(u32::MAX) } else { u32::MAX };
    let mut bytes = [&b"RIFF\xff\xff\xff\xffWAVEfmt "[..], &(format.len() as u32).to_le_bytes(), format].concat();
    if let Some(fact) = fact {
        bytes.extend([&b"fact\x04\0\0\0"[..], fact].concat());
    }
    bytes.extend([&b"data"[..], &size.to_le_bytes()].concat());
    bytes
}

/// The format chunk.
struct Format {
    /// As Symphonia wants it; none if the data is a stream in a container of its own.
    bytes: Option<Vec<u8>>,
    /// Bytes of a frame, or of a compressed block.
    align: u16,
    /// Loudspeakers of the channels, a bit each.
    mask: u32,
    /// Frames of a block of ADPCM.
    block_frames: Option<u16>,
}

impl Format {
    fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() < 16 {
            return Err(Fault::Damaged(format!("has a format chunk of {} bytes; at least 16 are needed", bytes.len())));
        }
        let (tag, channels, mut align) = (u16_at(bytes, 0), u16_at(bytes, 2), u16_at(bytes, 12));
        let extensible = tag == 0xfffe && bytes.len() >= 40;
        let kind = if extensible { u16_at(bytes, 24) } else { tag };
        let mask = if extensible { u32_at(bytes, 20) } else { 0 };
        let mut fixed = bytes.to_vec();
        let block_frames = (matches!(kind, 2 | 0x11) && bytes.len() >= 20).then(|| u16_at(bytes, 18));
        match kind {
            1 | 3 => {
                let container = container_bytes(bytes, kind == 3)?;
                align = channels.saturating_mul(container);
                fixed[12..14].copy_from_slice(&align.to_le_bytes());
                fixed[14..16].copy_from_slice(&(8 * container).to_le_bytes());
                if extensible {
                    // Bits beyond the valid ones are zero by definition, and harmless where they are not.
                    fixed[18..20].copy_from_slice(&(8 * container).to_le_bytes());
                }
                fixed.truncate(if extensible { 40 } else { 16 });
            }
            6 | 7 if !extensible => {
                fixed.truncate(16);
                fixed.extend([0, 0]);
            }
            2 | 6 | 7 | 0x11 => {}
            0x50 | 0x55 => return Ok(Self { bytes: None, align, mask, block_frames }),
            _ => {
                let name = codec_name(kind).map_or_else(|| format!("format {kind:#06x}"), str::to_owned);
                return Err(Fault::Unsupported(format!("holds {name} in WAV")));
            }
        }
        Ok(Self { bytes: Some(fixed), align, mask, block_frames })
    }
}

/// Bytes that a sample takes up. Where there are more than its bits need, the sample is in the upper ones (Microsoft,
/// "Multiple Channel Audio Data and WAVE Files", 2001).
fn container_bytes(format: &[u8], float: bool) -> Result<u16, Fault> {
    let (channels, rate, byte_rate) = (u16_at(format, 2), u32_at(format, 4), u32_at(format, 8));
    let (align, bits) = (u16_at(format, 12), u16_at(format, 14));
    let needed = bits.div_ceil(8);
    // The alignment counts only if the byte rate says the same: wrong ones are common, and then the bits are right.
    let consistent = rate.checked_mul(align.into()) == Some(byte_rate);
    let slot = if channels > 0 && align.is_multiple_of(channels) && consistent { align / channels } else { needed };
    let container = slot.max(needed);
    let known = if float { [4, 8].contains(&needed) && container == needed } else { (1..=4).contains(&container) };
    if !known {
        let kind = if float { "floating-point" } else { "integer" };
        return Err(Fault::Unsupported(format!("holds {kind} samples of {bits} bits in {container} bytes")));
    }
    Ok(container)
}

fn codec_name(tag: u16) -> Option<&'static str> {
    Some(match tag {
        0x31 => "GSM 6.10",
        0x40 | 0x45 | 0x14 | 0x64 => "ADPCM of the ITU (G.721, G.723, G.726)",
        0x42 => "G.723.1",
        0x22 => "TrueSpeech",
        0xff | 0x1600..=0x1602 | 0x1610 => "AAC",
        0x160..=0x163 => "Windows Media Audio",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        0x674f..=0x6771 => "Vorbis",
        0xf1ac => "FLAC",
        0x704f => "Opus",
        _ => return None,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
