//! The frames of an MP3 file (ISO/IEC 11172-3, 2.4.1.3), to find where some are missing.
//!
//! A frame has no number. Where a header is destroyed, a decoder looks for the next one, and everything behind the gap
//! comes too early. So the gap is measured in bytes, and as many silent frames as fit are put in its place.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::view::Piece;

/// Bytes at the beginning among which the first frame must be.
const REACH: u64 = 1 << 14;
/// Frames in a row that make a stream.
/// (Right behind tags one will do: what follows may be missing.)
const FRAMES_IN_A_ROW: usize = 4;
/// The longest gap in bytes that is bridged.
const MAX_GAP: u64 = 1 << 22;
const MAX_GAPS: usize = 100;

/// A stream with silence where frames are missing.
#[derive(Debug, PartialEq)]
pub(super) struct Mended {
    pub(super) pieces: Vec<Piece>,
    /// What is missing where.
    pub(super) remarks: Vec<String>,
}

/// Looks through the frames of `source`, whose tags in front end at `start`. Nothing if it is no MP3 file, or nothing
/// is missing. Leaves `source` anywhere.
pub(super) fn mend(source: &mut (impl Read + Seek + ?Sized), start: u64) -> io::Result<Option<Mended>> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut stream = Stream { source: BufReader::with_capacity(1 << 16, source), position: u64::MAX, end };
    let Some((mut position, first)) = stream.first(start)? else { return Ok(None) };
    let (mut frames, mut bytes, mut pieces, mut remarks) = (0u64, 0u64, Vec::new(), Vec::new());
    let mut whole_from = 0;
    while let Some(header) = stream.header(position)?.filter(|header| header.is_like(first)) {
        frames += 1;
        bytes += header.length();
        position += header.length();
        if position >= end || stream.header(position)?.is_some_and(|next| next.is_like(first)) {
            continue;
        }
        let Some(next) = stream.next_after(position, first)? else { break };
        let lost = ((next - position) * frames + bytes / 2) / bytes;
        if lost > 0 {
            let silent = header.silent();
            pieces.push(Piece::Range(whole_from..position));
            pieces.push(Piece::Bytes(silent.repeat(lost as usize)));
            let seconds = |frames: u64| (frames * header.samples()) as f64 / f64::from(header.sample_rate());
            remarks.push(format!(
                "about {:.3} s are lost at {:.3} s (byte {position})",
                seconds(lost),
                seconds(frames)
            ));
            whole_from = next;
            bytes += lost * bytes / frames;
            frames += lost;
        }
        position = next;
        if remarks.len() == MAX_GAPS {
            break;
        }
    }
    pieces.push(Piece::Range(whole_from..end));
    Ok((!remarks.is_empty()).then_some(Mended { pieces, remarks }))
}

/// The four bytes that a frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header([u8; 4]);

impl Header {
    /// Of layer III, and with a bit rate.
    fn new(bytes: [u8; 4]) -> Option<Self> {
        let [first, second, third, _] = bytes;
        let sync = first == 0xff && second & 0xe0 == 0xe0;
        let known =
            second >> 3 & 3 != 1 && second >> 1 & 3 == 1 && third >> 2 & 3 != 3 && (1..15).contains(&(third >> 4));
        (sync && known).then_some(Self(bytes))
    }

    /// Whether both can be of one stream.
    fn is_like(self, other: Self) -> bool {
        let stream = |header: Self| (header.0[1] & 0x1e, header.0[2] & 0x0c);
        stream(self) == stream(other)
    }

    /// MPEG 1; otherwise 2 or 2.5, with half as many samples.
    fn is_first(self) -> bool {
        self.0[1] >> 3 & 3 == 3
    }

    fn samples(self) -> u64 {
        if self.is_first() { 1152 } else { 576 }
    }

    fn sample_rate(self) -> u32 {
        let shift = match self.0[1] >> 3 & 3 {
            3 => 0,
            2 => 1,
            _ => 2,
        };
        [44_100, 48_000, 32_000, 0][usize::from(self.0[2] >> 2 & 3)] >> shift
    }

    fn length(self) -> u64 {
        const FIRST: [u64; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
        const SECOND: [u64; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
        let rates = if self.is_first() { FIRST } else { SECOND };
        let rate = rates[usize::from(self.0[2] >> 4).min(14)];
        self.samples() / 8 * rate * 1000 / u64::from(self.sample_rate().max(1)) + u64::from(self.0[2] >> 1 & 1)
    }

    /// A frame like this one that says nothing: no checksum, no padding, and no data for any channel.
    fn silent(self) -> Vec<u8> {
        let header = Self([self.0[0], self.0[1] | 1, self.0[2] & !2, self.0[3]]);
        let mut frame = header.0.to_vec();
        frame.resize(header.length() as usize, 0);
        frame
    }
}

struct Stream<S> {
    source: BufReader<S>,
    position: u64,
    end: u64,
}

impl<S: Read + Seek> Stream<S> {
    fn header(&mut self, position: u64) -> io::Result<Option<Header>> {
        if position.checked_add(4).is_none_or(|end| end > self.end) {
            return Ok(None);
        }
        // A short step within the buffer costs nothing.
        match i64::try_from(position.wrapping_sub(self.position)) {
            Ok(step) if self.position <= position => self.source.seek_relative(step)?,
            _ => _ = self.source.seek(SeekFrom::Start(position))?,
        }
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes)?;
        self.position = position + 4;
        Ok(Header::new(bytes))
    }

    /// Whether `count` frames of one stream follow each other, or fewer up to the end of the file.
    fn follow(&mut self, mut position: u64, like: Header, count: usize) -> io::Result<bool> {
        for _ in 0..count {
            match self.header(position)? {
                Some(header) if header.is_like(like) => position += header.length(),
                None if position + 4 > self.end => break,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn first(&mut self, start: u64) -> io::Result<Option<(u64, Header)>> {
        for position in start..(start + REACH).min(self.end) {
            let count = if position == start { 1 } else { FRAMES_IN_A_ROW };
            if let Some(header) = self.header(position)?
                && self.follow(position, header, count)?
                && position + header.length() < self.end
            {
                return Ok(Some((position, header)));
            }
        }
        Ok(None)
    }

    /// Where two frames follow each other again.
    fn next_after(&mut self, position: u64, like: Header) -> io::Result<Option<u64>> {
        for next in position + 1..(position + MAX_GAP).min(self.end) {
            if self.header(next)?.is_some_and(|header| header.is_like(like)) && self.follow(next, like, 2)? {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Frames of 128 kbit/s at 44.1 kHz, full of a byte that is no header.
    fn stream(frames: usize) -> Vec<u8> {
        let mut frame = vec![0xff, 0xfb, 0x90, 0x64];
        frame.resize(417, 0x55);
        frame.repeat(frames)
    }

    #[test]
    fn lengths_follow_from_bit_rate_and_sample_rate() {
        for (bytes, length) in
            [([0xff, 0xfb, 0x90, 0x64], 417), ([0xff, 0xfb, 0x92, 0x64], 418), ([0xff, 0xf3, 0x40, 0xc4], 104)]
        {
            assert_eq!(Header::new(bytes).unwrap().length(), length);
        }
        for bytes in [
            [0xff, 0xfb, 0x00, 0],
            [0xff, 0xfb, 0xf0, 0],
            [0xff, 0xfd, 0x90, 0],
            [0xff, 0xfb, 0x9c, 0],
            [0xff, 0xeb, 0x90, 0],
        ] {
            assert_eq!(Header::new(bytes), None);
        }
    }

    #[test]
    fn missing_frames_become_silent_ones() {
        for (first, lost) in [(1, 1), (2, 1), (10, 1), (10, 4), (15, 2)] {
            let mut bytes = stream(20);
            let (from, to) = (first * 417, (first + lost) * 417);
            bytes[from..to].fill(0);
            let mended = mend(&mut Cursor::new(&bytes), 0).unwrap().unwrap();
            let silent = Header([0xff, 0xfb, 0x90, 0x64]).silent().repeat(lost);
            let (from, to, end) = (from as u64, to as u64, bytes.len() as u64);
            assert_eq!(mended.pieces, [Piece::Range(0..from), Piece::Bytes(silent), Piece::Range(to..end)]);
            assert_eq!(mended.remarks.len(), 1);
        }
    }

    #[test]
    fn whole_streams_and_other_files_are_left_alone() {
        let tagged = [stream(20), b"TAG".to_vec(), vec![0; 125]].concat();
        for bytes in [stream(20), tagged, stream(20)[..8000].to_vec(), vec![0xff; 5000], b"OggS".repeat(999), vec![]] {
            assert_eq!(mend(&mut Cursor::new(&bytes), 0).unwrap(), None);
        }
    }
}
