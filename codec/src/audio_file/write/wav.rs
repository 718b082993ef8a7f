//! The bytes of a WAV file around its samples: RIFF WAVE (Microsoft & IBM 1991, with WAVEFORMATEXTENSIBLE above 16
//! bits; by hound), RF64 (EBU Tech 3306) above 4 GiB, and tags as `LIST INFO` and `id3 `.

use std::io::Cursor;

use super::{OutputSpec, SampleFormat};
use crate::audio_file::riff_tags;

/// The contents of the chunk `ds64`: sizes of file and data, number of frames, and of further sizes none.
const DS64: u32 = 28;

/// The bytes before and after the samples; nothing if a length exceeds even 64 bits, or tags exceed 32.
pub(super) fn around(spec: OutputSpec, tags: &[(&str, &str)]) -> Option<(Vec<u8>, Vec<u8>)> {
    let layout = hound::WavSpec {
        channels: spec.channels,
        sample_rate: spec.sample_rate,
        bits_per_sample: spec.format.bits(),
        sample_format: match spec.format {
            SampleFormat::Float32 => hound::SampleFormat::Float,
            _ => hound::SampleFormat::Int,
        },
    };
    // hound writes the header of a file without samples: the length of all that follows it at 4, that of the data last.
    let mut head = Vec::new();
    hound::WavWriter::new(Cursor::new(&mut head), layout).and_then(hound::WavWriter::finalize).ok()?;
    let data = spec.frames.checked_mul(u64::from(spec.channels) * u64::from(spec.format.bits() / 8))?;
    let end = head.len() - 8;
    head.splice(end..end, chunk(b"LIST", &riff_tags::write_info(tags.iter().copied()))?);
    let mut tail = vec![0; (data % 2) as usize];
    tail.extend(chunk(b"id3 ", &riff_tags::write_id3(tags.iter().copied()))?);
    let whole = (head.len() as u64 - 8).checked_add(data)?.checked_add(tail.len() as u64)?;
    let end = head.len() - 4;
    if let (Ok(whole), Ok(data)) = (u32::try_from(whole), u32::try_from(data)) {
        head[4..8].copy_from_slice(&whole.to_le_bytes());
        head[end..].copy_from_slice(&data.to_le_bytes());
    } else {
        head[end..].fill(0xff);
        let whole = whole + u64::from(DS64) + 8;
        let sizes = [whole, data, spec.frames].map(u64::to_le_bytes).concat();
        let ds64 = [&b"ds64"[..], &DS64.to_le_bytes(), &sizes, &[0; 4]].concat();
        head.splice(..12, [&b"RF64\xff\xff\xff\xffWAVE"[..], &ds64].concat());
    }
    Some((head, tail))
}

/// A chunk with its padding; nothing at all for no contents.
fn chunk(kind: &[u8; 4], contents: &[u8]) -> Option<Vec<u8>> {
    if contents.is_empty() {
        return Some(Vec::new());
    }
    let padding = vec![0; contents.len() % 2];
    Some([&kind[..], &u32::try_from(contents.len()).ok()?.to_le_bytes(), contents, &padding].concat())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, Read, Seek, SeekFrom};

    use super::*;
    use crate::atomic_file::Existing;
    use crate::audio_file::wave::{self, Length};
    use crate::audio_file::{AudioWriter, FileKind};

    fn spec(channels: u16, format: SampleFormat, frames: u64) -> OutputSpec {
        OutputSpec { kind: FileKind::Wav, sample_rate: 44_100, channels, format, frames }
    }

    fn written(channels: u16, format: SampleFormat, samples: &[f32], tags: &[(&str, &str)]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.wav");
        let frames = samples.len() as u64 / u64::from(channels);
        let spec = spec(channels, format, frames);
        let mut writer = AudioWriter::create(&target, Existing::Refuse, spec, tags.iter().copied()).unwrap();
        for piece in samples.chunks(2) {
            writer.write(piece).unwrap();
        }
        writer.finish().unwrap();
        fs::read(target).unwrap()
    }

    #[test]
    fn sixteen_bits_are_the_bytes_hound_writes() {
        let values: Vec<i16> = vec![0, 1, -1, 32_767, -32_768, 12_345];
        let mut expected = Vec::new();
        let layout = hound::WavSpec {
            channels: 2,
            sample_rate: 44_100,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(Cursor::new(&mut expected), layout).unwrap();
        values.iter().for_each(|&value| writer.write_sample(value).unwrap());
        writer.finalize().unwrap();
        let samples: Vec<f32> = values.iter().map(|&value| f32::from(value) / 32_768.0).collect();
        assert_eq!(written(2, SampleFormat::Int16, &samples, &[]), expected);
    }

    #[test]
    fn floats_are_kept_to_the_bit() {
        let samples = [0.1, -1.7, 1e-20, 3.0];
        let bytes = written(2, SampleFormat::Float32, &samples, &[("title", "odd")]);
        let mut reader = hound::WavReader::new(Cursor::new(bytes)).unwrap();
        assert_eq!(reader.samples::<f32>().map(|sample| sample.unwrap()).collect::<Vec<_>>(), samples);
    }

    #[test]
    fn odd_data_is_padded_and_all_chunks_are_whole() {
        for tags in [&[][..], &[("title", "Tone"), ("artist", "A"), ("artist", "B")]] {
            let bytes = written(1, SampleFormat::Int24, &[0.5; 3], tags);
            assert_eq!(bytes.len() % 2, 0);
            assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize, bytes.len() - 8);
            let wave = wave::find(&mut Cursor::new(&bytes)).unwrap().unwrap();
            assert!(wave.remarks.is_empty() && wave.tags.len() == tags.len().min(2), "{wave:?}");
        }
    }

    /// A header, then zeros without end.
    struct Zeros {
        head: Vec<u8>,
        length: u64,
        position: u64,
    }

    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = (self.length - self.position).min(buffer.len() as u64) as usize;
            for (index, byte) in buffer[..count].iter_mut().enumerate() {
                *byte = self.head.get(self.position as usize + index).copied().unwrap_or(0);
            }
            self.position += count as u64;
            Ok(count)
        }
    }

    impl Seek for Zeros {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.position = match to {
                SeekFrom::Start(position) => position,
                SeekFrom::End(offset) => self.length.checked_add_signed(offset).unwrap(),
                SeekFrom::Current(offset) => self.position.checked_add_signed(offset).unwrap(),
            };
            Ok(self.position)
        }
    }

    #[test]
    fn above_four_gibibytes_the_header_is_that_of_rf64() {
        let riff = |frames| around(spec(2, SampleFormat::Int16, frames), &[]).unwrap().0;
        let most = (u64::from(u32::MAX) - 36) / 4; // the header's 44 bytes still fit
        assert!(riff(most).starts_with(b"RIFF") && riff(most + 1).starts_with(b"RF64"));
        let frames = 3 << 30;
        let head = riff(frames);
        assert_eq!(u64::from_le_bytes(head[20..28].try_into().unwrap()), head.len() as u64 + 4 * frames - 8);
        assert_eq!(u64::from_le_bytes(head[28..36].try_into().unwrap()), 4 * frames);
        assert_eq!(u64::from_le_bytes(head[36..44].try_into().unwrap()), frames);
        assert_eq!(head[head.len() - 8..], *b"data\xff\xff\xff\xff");
        let length = head.len() as u64 + 4 * frames;
        let wave = wave::find(&mut Zeros { head, length, position: 0 }).unwrap().unwrap();
        assert_eq!((wave.length, wave.remarks.len()), (Length::Frames(frames), 0));
    }
}
