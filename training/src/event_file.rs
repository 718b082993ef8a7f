//! Event files for TensorBoard: scalars over the steps of a run.
//!
//! The file is a sequence of records (TensorFlow's `TFRecord`: length, masked CRC-32C of it, data, masked CRC-32C of
//! those), each a message `Event` with one summary. Field numbers are those of TensorFlow's `event.proto` and
//! `summary.proto`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::protobuf::Message;

/// Fields of `Event`.
const WALL_TIME: u32 = 1;
const STEP: u32 = 2;
const FILE_VERSION: u32 = 3;
const SUMMARY: u32 = 5;
const SESSION_LOG: u32 = 7;

/// Value of the field `status` of `SessionLog`: TensorBoard forgets what earlier files have from this step on.
const START: i64 = 1;

/// An event file that is being written.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins an event file in `folder` for a run that goes on from `step`. Its name has the time, so that TensorBoard
    /// reads the files of a run in their order.
    pub(crate) fn create(folder: &Path, step: u64) -> Result<Self> {
        let seconds = now() as u64;
        // A run may be interrupted and resumed within a second.
        let free = (0..).map(|i| folder.join(format!("events.out.tfevents.{seconds:010}.spiccato.{i}")));
        let path = free.into_iter().find(|path| !path.exists()).context("no name for an event file")?;
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        let mut file = Self { file: file.with_context(|| path.display().to_string())?, path };
        file.write(Message::new().double(WALL_TIME, now()).bytes(FILE_VERSION, "brain.Event:2"))?;
        let start = Message::new().integer(1, START);
        file.write(Message::new().double(WALL_TIME, now()).integer(STEP, step as i64).message(SESSION_LOG, &start))?;
        Ok(file)
    }

    /// Writes the scalars of a step, by their tags; those that are not finite are left out.
    pub(crate) fn scalars(&mut self, step: u64, scalars: &[(String, f64)]) -> Result<()> {
        let finite = scalars.iter().filter(|(_, value)| value.is_finite());
        let summary = Message::new().each(finite, |summary, (tag, value)| {
            summary.message(1, &Message::new().bytes(1, tag).float(2, *value as f32))
        });
        self.write(Message::new().double(WALL_TIME, now()).integer(STEP, step as i64).message(SUMMARY, &summary))
    }

    fn write(&mut self, event: Message) -> Result<()> {
        let record = record(&event.into_bytes());
        self.file.write_all(&record).with_context(|| self.path.display().to_string())
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Data with their length and checksums.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked(crc32c::crc32c(&length)).to_le_bytes());
    record.extend(data);
    record.extend(masked(crc32c::crc32c(data)).to_le_bytes());
    record
}

/// A checksum changed so that checksums of data that contain checksums are no special case.
fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_those_that_tensorflow_writes() {
        // tf.io.TFRecordWriter of b"spiccato": the masked checksums are from the package `tensorboard`.
        let record = record(b"spiccato");
        assert_eq!(record[..8], [8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&record[12..20], b"spiccato");
        assert_eq!(record.len(), 24);
        // RFC 3720, appendix B.4: the CRC-32C of 32 zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(0), 0xa282_ead8);
    }

    #[test]
    fn a_file_has_a_version_a_start_and_the_scalars() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), 3).unwrap();
        file.scalars(4, &[("loss".to_owned(), 0.5), ("nothing".to_owned(), f64::NAN)]).unwrap();
        EventFile::create(folder.path(), 4).unwrap();
        let mut names: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        assert_eq!(names.len(), 2);
        let bytes = std::fs::read(&file.path).unwrap();
        let (mut rest, mut records) = (&bytes[..], Vec::new());
        while let Some((length, _)) = rest.split_first_chunk::<8>() {
            let length = u64::from_le_bytes(*length) as usize;
            records.push(&rest[12..12 + length]);
            rest = &rest[16 + length..];
        }
        assert_eq!(records.len(), 3);
        let contains = |record: &[u8], text: &[u8]| record.windows(text.len()).any(|window| window == text);
        assert!(contains(records[0], b"brain.Event:2"));
        assert!(contains(records[1], &[0x10, 3, 0x3a, 2, 8, 1]), "step 3, a session that starts");
        assert!(contains(records[2], b"\x10\x04\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f"));
        assert!(!contains(records[2], b"nothing"));
    }
}
