//! The IDX files of MNIST (LeCun, Cortes & Burges): a magic number that says type and number of dimensions, the dimensions as
//! big-endian 32-bit integers, then the bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{CLASSES, Images, Split};

const SIDE: usize = 28;

/// Reads the four files from a folder.
pub(super) fn read(folder: &Path) -> Result<Split> {
    Ok(Split { train: part(folder, "train")?, test: part(folder, "t10k")? })
}

fn part(folder: &Path, name: &str) -> Result<Images> {
    let open = |kind: &str, dimensions: &[usize]| {
        let path = folder.join(format!("{name}-{kind}-ubyte"));
        let read = || {
            let file = File::open(&path)?;
            let length = file.metadata()?.len();
            idx(file, length, dimensions)
        };
        read().with_context(|| path.display().to_string())
    };
    let pixels = open("images-idx3", &[SIDE, SIDE])?;
    let labels = open("labels-idx1", &[])?;
    let (images, count) = (pixels.len() / (SIDE * SIDE), labels.len());
    ensure!(images == count, "{}: {images} images in {name} but {count} labels", folder.display());
    if let Some(label) = labels.iter().find(|label| usize::from(**label) >= CLASSES) {
        anyhow::bail!("{}: label {label} in {name}, expected 0 to 9", folder.display());
    }
    Ok(Images { side: SIDE, pixels, labels })
}

/// Bytes of an IDX file of `length` bytes whose items have these dimensions.
fn idx(mut file: impl Read, length: u64, item: &[usize]) -> Result<Vec<u8>> {
    let mut field = || -> Result<u32> {
        let mut bytes = [0; 4];
        file.read_exact(&mut bytes).context("the file ends within its header")?;
        Ok(u32::from_be_bytes(bytes))
    };
    // Two zero bytes, 8 for unsigned bytes, the number of dimensions.
    let expected = 0x0800 + item.len() as u32 + 1;
    let magic = field()?;
    ensure!(
        magic == expected,
        "magic number {magic:#06x}, expected {expected:#06x}: no uncompressed IDX file of MNIST"
    );
    let count = field()?;
    for &size in item {
        let found = field()?;
        ensure!(found as usize == size, "a dimension of {found}, expected {size}");
    }
    let bytes = u64::from(count) * item.iter().product::<usize>() as u64;
    let rest = length.saturating_sub(4 * (2 + item.len() as u64));
    ensure!(bytes == rest, "the header promises {bytes} bytes, the file has {rest}");
    ensure!(count > 0, "the file has no items");
    let mut data = Vec::new();
    file.take(bytes).read_to_end(&mut data)?;
    ensure!(data.len() as u64 == bytes, "the file has changed while it was read");
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(header: &[u32], data: &[u8]) -> Vec<u8> {
        header.iter().flat_map(|field| field.to_be_bytes()).chain(data.iter().copied()).collect()
    }

    #[test]
    fn a_folder_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes).unwrap();
        for (name, count) in [("train", 3u32), ("t10k", 2)] {
            let pixels: Vec<u8> = (0..count as usize * SIDE * SIDE).map(|i| (i / SIDE) as u8).collect();
            write(&format!("{name}-images-idx3-ubyte"), bytes(&[0x803, count, 28, 28], &pixels));
            write(&format!("{name}-labels-idx1-ubyte"), bytes(&[0x801, count], &[7, 2, 9][..count as usize]));
        }
        let split = read(folder.path()).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (3, 2));
        let (x, labels) = split.train.batch(&[2, 0]).unwrap();
        assert_eq!(labels.to_vec1::<u32>().unwrap(), [9, 7]);
        let x = x.to_vec2::<f32>().unwrap();
        assert_eq!((x[0][0], x[1][SIDE]), (56.0 / 255.0, 1.0 / 255.0));

        write("t10k-labels-idx1-ubyte", bytes(&[0x801, 2], &[7, 10]));
        assert!(read(folder.path()).unwrap_err().to_string().contains("label 10"));
        write("t10k-labels-idx1-ubyte", bytes(&[0x801, 1], &[7]));
        assert!(read(folder.path()).unwrap_err().to_string().contains("2 images in t10k but 1 labels"));
        std::fs::remove_file(folder.path().join("train-images-idx3-ubyte")).unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("train-images-idx3-ubyte"));
    }

    #[test]
    fn headers_that_lie_are_refused_before_memory_is_taken() {
        let read = |header: &[u32], data: &[u8]| {
            let bytes = bytes(header, data);
            idx(&bytes[..], bytes.len() as u64, &[2, 2]).map_err(|error| error.to_string())
        };
        assert_eq!(read(&[0x803, 1, 2, 2], &[1, 2, 3, 4]).unwrap(), [1, 2, 3, 4]);
        for (header, data, message) in [
            (&[0x801, 1, 2, 2][..], &[1, 2, 3, 4][..], "magic number 0x0801"),
            (&[0x803, u32::MAX, 2, 2], &[1, 2, 3, 4], "promises 17179869180 bytes, the file has 4"),
            (&[0x803, 1, 2, 3], &[1, 2, 3, 4], "a dimension of 3"),
            (&[0x803, 1, 2, 2], &[1, 2, 3], "promises 4 bytes, the file has 3"),
            (&[0x803, 0, 2, 2], &[], "no items"),
            (&[0x803, 1], &[], "ends within its header"),
        ] {
            let found = read(header, data).unwrap_err();
            assert!(found.contains(message), "{found}");
        }
    }
}
