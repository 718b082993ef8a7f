//! Zstandard behind another method (RFC 8878), without the magic number, which would say nothing here.
//!
//! The frame's content size is required and checked against a limit before memory is taken for it.

use super::{EventMatrix, Storage};
use crate::{Error, Result};
use zstd::zstd_safe;

/// The magic number that stored frames go without.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Compression level that keeps up with the methods before it.
pub(crate) const FAST_LEVEL: i32 = 5;

/// Compression level for the fewest bytes; payloads are a few kilobytes, so that its time does not matter to a file.
pub(crate) const SMALLEST_LEVEL: i32 = 19;

/// Another method's bytes through Zstandard.
#[derive(Debug)]
pub struct Zstandard<S> {
    inner: S,
    name: &'static str,
    level: i32,
}

impl<S: Storage> Zstandard<S> {
    /// Wraps a method; the name is the inner one's with `+zstd`, and the level if it is not the fast one. Readers need not
    /// know the level.
    pub fn new(inner: S, name: &'static str, level: i32) -> Self {
        Self { inner, name, level }
    }
}

impl<S: Storage> Storage for Zstandard<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn id(&self) -> u8 {
        self.inner.id() + 1
    }

    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()> {
        let mut bytes = Vec::new();
        self.inner.encode(events, &mut bytes)?;
        out.extend(compress(&bytes, self.level)?);
        Ok(())
    }

    fn decode(&self, bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix> {
        // no method takes more than 4 bytes per event (COO) and 2 per frame (CSR) beside a few of its own
        let limit = 4 * u64::from(frames) * u64::from(neurons) + 2 * u64::from(frames) + 16;
        self.inner.decode(&decompress(bytes, limit)?, frames, neurons)
    }
}

/// One Zstandard frame of `bytes`, without magic number.
pub(crate) fn compress(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    let mut frame = zstd::bulk::compress(bytes, level)?;
    if !frame.starts_with(&MAGIC) {
        return Err(Error::unsupported("zstd: the library makes frames of another format"));
    }
    frame.drain(..MAGIC.len());
    Ok(frame)
}

/// The content of one Zstandard frame without magic number, which must say that it is at most `limit` bytes.
pub(crate) fn decompress(bytes: &[u8], limit: u64) -> Result<Vec<u8>> {
    let frame = [&MAGIC, bytes].concat();
    if zstd_safe::find_frame_compressed_size(&frame) != Ok(frame.len()) {
        return Err(Error::malformed("zstd: not exactly one frame"));
    }
    let size = zstd_safe::get_frame_content_size(&frame)
        .ok()
        .flatten()
        .ok_or_else(|| Error::malformed("zstd: the frame does not say how much it holds"))?;
    if size > limit {
        return Err(Error::limit(format!("zstd: the frame holds {size} bytes, where {limit} are possible")));
    }
    let capacity = usize::try_from(size).map_err(|_| Error::limit(format!("zstd: {size} bytes")))?;
    zstd::bulk::decompress(&frame, capacity).map_err(|error| Error::malformed(format!("zstd: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{FormatError, FormatFault};

    #[test]
    fn a_frame_comes_back_within_the_limit_only() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| ((i * i) >> 7) as u8).collect();
        let frame = compress(&bytes, SMALLEST_LEVEL).unwrap();
        assert_eq!(decompress(&frame, 1000).unwrap(), bytes);
        assert!(matches!(
            decompress(&frame, 999),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ));
        assert!(decompress(&[&frame[..], &[0]].concat(), 1000).is_err(), "a byte too many");
        assert!(decompress(&[&frame[..], &MAGIC, &frame].concat(), 2000).is_err(), "two frames");
        assert!(decompress(&frame[..frame.len() - 1], 1000).is_err(), "a byte too few");
        assert!(decompress(&[], 1000).is_err());
        assert_eq!(decompress(&compress(&[], SMALLEST_LEVEL).unwrap(), 0).unwrap(), [0u8; 0]);
    }

    #[test]
    fn a_bomb_is_refused_by_its_header() {
        let bomb = compress(&vec![0; 1 << 26], FAST_LEVEL).unwrap();
        assert!(bomb.len() < 1 << 14);
        assert!(matches!(
            decompress(&bomb, 1 << 20),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ));
    }

    #[test]
    fn a_frame_without_content_size_is_refused() {
        // frame header descriptor 0, window descriptor 0, one last raw block of a single byte (RFC 8878, 3.1.1)
        assert!(decompress(&[0, 0, 0b1001, 0, 0, 7], 100).is_err());
    }
}
