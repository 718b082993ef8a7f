//! Band magnitudes of a whole file, in memory while they are few and in an anonymous temporary file beyond.

use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use tempfile::SpooledTempFile;

use crate::signal::BANDS;
use crate::{Error, Result};

/// Bytes that stay in memory: some four minutes, or all where there are no files.
const IN_MEMORY: usize = if cfg!(target_family = "wasm") { usize::MAX } else { 16 << 20 };

const FRAME_BYTES: u64 = 4 * BANDS as u64;

fn io_error(source: std::io::Error) -> Error {
    Error::io(Path::new("temporary file for the analysed audio"))(source)
}

/// Frames being written.
pub(super) struct SpoolWriter {
    file: BufWriter<SpooledTempFile>,
    frames: u64,
}

impl SpoolWriter {
    pub(super) fn new() -> Self {
        Self { file: BufWriter::new(SpooledTempFile::new(IN_MEMORY)), frames: 0 }
    }

    /// Appends whole frames of magnitudes.
    pub(super) fn push(&mut self, magnitudes: &[f32]) -> Result<()> {
        for magnitude in magnitudes {
            self.file.write_all(&magnitude.to_le_bytes()).map_err(io_error)?;
        }
        self.frames += (magnitudes.len() / BANDS) as u64;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Spool> {
        let file = self.file.into_inner().map_err(|e| io_error(e.into_error()))?;
        Ok(Spool { file, frames: self.frames })
    }
}

/// Frames to be read in any order.
#[derive(Debug)]
pub(crate) struct Spool {
    file: SpooledTempFile,
    frames: u64,
}

impl Spool {
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Magnitudes (frames × bands) of a range of frames.
    pub(crate) fn read(&mut self, range: Range<u64>) -> Result<Vec<f32>> {
        self.file.seek(SeekFrom::Start(range.start * FRAME_BYTES)).map_err(io_error)?;
        let mut bytes = vec![0; ((range.end - range.start) * FRAME_BYTES) as usize];
        self.file.read_exact(&mut bytes).map_err(io_error)?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_in_any_order() {
        let mut writer = SpoolWriter::new();
        let magnitudes: Vec<f32> = (0..10 * BANDS).map(|i| i as f32).collect();
        writer.push(&magnitudes[..3 * BANDS]).unwrap();
        writer.push(&magnitudes[3 * BANDS..]).unwrap();
        let mut spool = writer.finish().unwrap();
        assert_eq!(spool.frames(), 10);
        assert_eq!(spool.read(7..10).unwrap(), magnitudes[7 * BANDS..]);
        assert_eq!(spool.read(0..2).unwrap(), magnitudes[..2 * BANDS]);
    }
}
