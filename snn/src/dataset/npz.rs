//! Data sets in NumPy's `.npz` files: zip archives of `.npy` arrays
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
//!
//! Either events: arrays `sample`, `time` and `channel` of one length, one entry an event; or an array (samples, time,
//! channels, …) of values, (samples, channels) of images, of which the last dimensions are taken together. Unsigned bytes
//! are taken for shares of 255. With them an array `labels` of integers, one a sample.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use zip::ZipArchive;

use super::{DataDescription, Dataset, Encoder};

/// Bytes that an array may have.
const LARGEST: u64 = 4 << 30;

/// An array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Sizes of its dimensions.
    pub shape: Vec<usize>,
    /// Values, the last dimension fastest.
    pub values: Vec<f64>,
    /// Whether they were unsigned bytes.
    pub bytes: bool,
}

/// Reads a data set.
///
/// # Errors
/// If the file can't be read, or an array is missing or doesn't fit; the message names it.
pub fn read(path: &Path, description: &DataDescription) -> Result<Dataset> {
    let mut archive = ZipArchive::new(File::open(path)?).context("no npz file")?;
    let files = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<Vec<String>>>()?;
    let names: Vec<String> = files.iter().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned).collect();
    let find = |wanted: &Option<String>, candidates: &[&str]| match wanted {
        Some(name) => Some(name.clone()),
        None => candidates.iter().find(|name| names.iter().any(|n| n == *name)).map(|name| (*name).to_owned()),
    };
    let labels = find(&description.labels, &["labels", "label", "targets", "target", "y"])
        .with_context(|| format!("none of its arrays {names:?} is called labels; name one as data.labels"))?;
    let labels = indices(&array(&mut archive, &labels)?, &labels)?;
    if description.array.is_none() && ["sample", "time", "channel"].iter().all(|name| names.iter().any(|n| n == name)) {
        return events(&mut archive, labels, description);
    }
    let (name, array) = match &description.array {
        Some(name) => (name.clone(), array(&mut archive, name)?),
        None => candidate(&mut archive, &names, labels.len())?,
    };
    from_array(array, labels, description.encoder).with_context(|| format!("array '{name}'"))
}

/// The one array with a first dimension of `samples` and others.
fn candidate(archive: &mut ZipArchive<File>, names: &[String], samples: usize) -> Result<(String, Array)> {
    let mut found = Vec::new();
    for name in names {
        // Arrays of other types, such as names of classes, are none.
        let Ok(array) = array(archive, name) else { continue };
        if array.shape.len() >= 2 && array.shape[0] == samples {
            found.push((name.clone(), array));
        }
    }
    let candidates: Vec<&String> = found.iter().map(|(name, _)| name).collect();
    ensure!(
        found.len() == 1,
        "{} of its arrays {names:?} have {samples} samples, {candidates:?}; name one as data.array",
        found.len()
    );
    found.pop().context("no array")
}

fn from_array(array: Array, labels: Vec<usize>, encoder: Encoder) -> Result<Dataset> {
    let Array { shape, values, bytes } = array;
    ensure!(shape.first() == Some(&labels.len()), "its shape is {shape:?}, but there are {} labels", labels.len());
    let scale = if bytes { 1.0 / 255.0 } else { 1.0 };
    let values: Vec<f32> = values.into_iter().map(|value| (value * scale) as f32).collect();
    ensure!(values.iter().all(|value| value.is_finite()), "some of its values are not finite");
    match shape[..] {
        [_, _] => Dataset::from_images(values, labels, encoder),
        [_, steps, ..] => Dataset::from_values(values, steps, labels, encoder),
        _ => bail!("its shape is {shape:?}, not (samples, time, channels) or (samples, channels)"),
    }
}

fn events(archive: &mut ZipArchive<File>, labels: Vec<usize>, description: &DataDescription) -> Result<Dataset> {
    ensure!(description.encoder == Encoder::None, "events need no encoder, not {:?}", description.encoder);
    let samples = indices(&array(archive, "sample")?, "sample")?;
    let channels = indices(&array(archive, "channel")?, "channel")?;
    let times = array(archive, "time")?.values;
    ensure!(
        samples.len() == times.len() && channels.len() == times.len(),
        "{} samples, {} times and {} channels of events",
        samples.len(),
        times.len(),
        channels.len()
    );
    let step = description.time_step.unwrap_or(1.0);
    ensure!(step > 0.0, "data.time_step is {step}, not a positive number");
    let bad = times.iter().find(|time| !(**time >= 0.0 && **time / step < f64::from(u32::MAX)));
    ensure!(bad.is_none(), "an event has the time {bad:?}");
    let steps: Vec<u32> = times.iter().map(|time| (time / step) as u32).collect();
    let needed = steps.iter().max().map_or(1, |last| *last as usize + 1);
    let length = description.steps.unwrap_or(needed);
    let mut sequences = vec![Vec::new(); labels.len()];
    for ((&sample, &step), &channel) in samples.iter().zip(&steps).zip(&channels) {
        let sequence = sequences
            .get_mut(sample)
            .with_context(|| format!("an event of sample {sample}, but {} labels", labels.len()))?;
        if (step as usize) < length {
            sequence.push((step, u32::try_from(channel).context("a channel")?));
        }
    }
    let width = channels.iter().max().map_or(1, |last| last + 1);
    Dataset::from_events(sequences, length, width, labels)
}

/// Whole numbers of a one-dimensional array.
fn indices(array: &Array, name: &str) -> Result<Vec<usize>> {
    ensure!(array.shape.len() == 1, "array '{name}' has the shape {:?}, not one dimension", array.shape);
    let index = |&value: &f64| {
        ensure!(
            value >= 0.0 && value.fract() == 0.0 && value < 1e9,
            "array '{name}' has the value {value}, not a whole number from 0 on"
        );
        Ok(value as usize)
    };
    array.values.iter().map(index).collect()
}

/// An array of an archive by name.
///
/// # Errors
/// If there is none, or it is no array of numbers.
pub fn array(archive: &mut ZipArchive<File>, name: &str) -> Result<Array> {
    let mut read = || {
        let entry = archive.by_name(&format!("{name}.npy"))?;
        let size = entry.size();
        ensure!(size <= LARGEST, "it has {size} bytes, more than {LARGEST}");
        let mut bytes = Vec::new();
        // What the archive says need not be true.
        entry.take(LARGEST).read_to_end(&mut bytes)?;
        parse(&bytes)
    };
    read().with_context(|| format!("array '{name}'"))
}

/// Parses the bytes of an `.npy` file.
fn parse(bytes: &[u8]) -> Result<Array> {
    let field = |from: usize, length: usize| bytes.get(from..from + length).context("it ends within its header");
    ensure!(field(0, 6)? == b"\x93NUMPY", "it is no NumPy array");
    let (start, length) = match field(6, 1)?[0] {
        1 => (10, usize::from(u16::from_le_bytes(field(8, 2)?.try_into()?))),
        2 | 3 => (12, u32::from_le_bytes(field(8, 4)?.try_into()?) as usize),
        version => bail!("its format has version {version}, not 1 to 3"),
    };
    let header = std::str::from_utf8(field(start, length)?)?;
    let entry = |key: &str| {
        let rest = header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        rest.with_context(|| format!("its header has no '{key}'"))
    };
    let kind = entry("descr")?.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    ensure!(entry("fortran_order")?.starts_with("False"), "its first dimension is the fastest, which is not read");
    let shape = entry("shape")?.strip_prefix('(').and_then(|rest| rest.split(')').next()).context("its shape")?;
    let shape: Vec<usize> = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| size.parse().with_context(|| format!("its shape has a size '{size}'")))
        .collect::<Result<_>>()?;
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size)).context("it is too large")?;
    let data = &bytes[start + length..];
    macro_rules! numbers {
        ($t:ty) => {{
            let size = size_of::<$t>();
            ensure!(
                count.checked_mul(size) == Some(data.len()),
                "its shape {shape:?} needs {count} values of {size} bytes, not {} bytes",
                data.len()
            );
            data.chunks_exact(size)
                .map(|bytes| bytes.try_into().map(|bytes| <$t>::from_le_bytes(bytes) as f64))
                .collect::<Result<Vec<f64>, _>>()?
        }};
    }
    let values = match kind {
        "|u1" | "|b1" => numbers!(u8),
        "|i1" => numbers!(i8),
        "<u2" => numbers!(u16),
        "<i2" => numbers!(i16),
        "<u4" => numbers!(u32),
        "<i4" => numbers!(i32),
        "<u8" => numbers!(u64),
        "<i8" => numbers!(i64),
        "<f4" => numbers!(f32),
        "<f8" => numbers!(f64),
        other => bail!("its type is '{other}', not numbers of the least significant byte first"),
    };
    Ok(Array { shape, values, bytes: kind == "|u1" })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use spiccato_neurons::Random;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    /// Bytes of an `.npy` file.
    pub(crate) fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(data);
        bytes
    }

    /// Writes an `.npz` file.
    pub(crate) fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) -> Result<()> {
        let mut archive = zip::ZipWriter::new(File::create(path)?);
        for (number, (name, bytes)) in arrays.iter().enumerate() {
            // One as `savez` writes it and the next as `savez_compressed` does.
            let method =
                if number % 2 == 0 { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
            archive.start_file(format!("{name}.npy"), SimpleFileOptions::default().compression_method(method))?;
            archive.write_all(bytes)?;
        }
        archive.finish()?;
        Ok(())
    }

    #[test]
    fn arrays_and_events_are_found_and_read() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("set.npz");
        let mut random = Random::new(1, 0);
        let values: Vec<u8> = (0..12).map(|i| i * 20).collect();
        let names = npy("<U1", "(2,)", &[0; 8]);
        let arrays =
            [("names", names), ("taxels", npy("|u1", "(2, 3, 2)", &values)), ("label", npy("|u1", "(2,)", &[1, 0]))];
        npz(&path, &arrays)?;
        let dataset = read(&path, &DataDescription::default())?;
        assert_eq!((dataset.len(), dataset.steps(), dataset.channels(), dataset.classes()), (2, 3, 2, 2));
        assert_eq!(dataset.batch(&[1], &mut random)?.to_vec3::<f32>()?[0][2][1], 220.0 / 255.0);

        let list = |values: &[i32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let times: Vec<u8> = [0.0f32, 2.5, 9.0].iter().flat_map(|time| time.to_le_bytes()).collect();
        let arrays = [
            ("labels", npy("<i4", "(2,)", &list(&[0, 1]))),
            ("sample", npy("<i4", "(3,)", &list(&[0, 1, 1]))),
            ("channel", npy("<i4", "(3,)", &list(&[4, 0, 1]))),
            ("time", npy("<f4", "(3,)", &times)),
        ];
        npz(&path, &arrays)?;
        let description = DataDescription { time_step: Some(2.0), steps: Some(3), ..DataDescription::default() };
        let dataset = read(&path, &description)?;
        let batch = dataset.batch(&[0, 1], &mut random)?;
        assert_eq!(batch.dims(), [2, 3, 5]);
        let batch = batch.to_vec3::<f32>()?;
        // The event at 9 comes after the last of three steps of 2.
        assert_eq!((batch[0][0][4], batch[1][1][0]), (1.0, 1.0));
        assert_eq!(batch.iter().flatten().flatten().sum::<f32>(), 2.0);
        Ok(())
    }

    #[test]
    fn broken_files_are_refused_with_a_reason() -> Result<()> {
        let error = |bytes: &[u8]| parse(bytes).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error(b"PK").contains("ends within"));
        assert!(error(&npy("<f4", "(2, 2)", &[0; 15])).contains("needs 4 values of 4 bytes, not 15 bytes"));
        assert!(error(&npy(">f4", "(1,)", &[0; 4])).contains(">f4"));
        assert!(error(&npy("<f4", "(99999999999, 99999999999)", &[])).contains("too large"));
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("set.npz");
        let refused = |arrays: &[(&str, Vec<u8>)]| -> Result<String> {
            npz(&path, arrays)?;
            Ok(format!("{:#}", read(&path, &DataDescription::default()).unwrap_err()))
        };
        let x = || npy("|u1", "(2, 3, 2)", &[0; 12]);
        assert!(refused(&[("x", x())])?.contains("called labels"));
        assert!(refused(&[("x", x()), ("labels", npy("|u1", "(3,)", &[0; 3]))])?.contains("have 3 samples"));
        assert!(refused(&[("x", x()), ("z", x()), ("labels", npy("|u1", "(2,)", &[0; 2]))])?.contains("name one"));
        assert!(refused(&[("x", x()), ("labels", npy("|i1", "(2,)", &[255, 0]))])?.contains("-1"));
        std::fs::write(&path, b"no archive")?;
        assert!(read(&path, &DataDescription::default()).is_err());
        Ok(())
    }
}
