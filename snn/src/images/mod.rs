//! Small grey images with labels: MNIST from files, and digits drawn by the program for the quick forms.

mod digits;
mod mnist;

use std::path::Path;

use anyhow::Result;
use candle_core::{Device, Tensor};

use spiccato_neurons::Random;

/// Number of classes: the ten digits.
pub const CLASSES: usize = 10;

/// Labelled images of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// Width and height in pixels.
    pub side: usize,
    /// Row by row, image after image; 255 is ink.
    pixels: Vec<u8>,
    /// 0 to 9.
    labels: Vec<u8>,
}

/// What is learned from, and what is tested on.
#[derive(Debug, Clone)]
pub struct Split {
    /// To learn from.
    pub train: Images,
    /// To test on.
    pub test: Images,
}

impl Split {
    /// The four IDX files of MNIST in a folder: 60,000 images to learn from, 10,000 to test on.
    ///
    /// # Errors
    /// If a file can't be read or is not such a file.
    pub fn mnist(folder: &Path) -> Result<Self> {
        mnist::read(folder)
    }

    /// Digits drawn from strokes, `side` pixels wide and high.
    pub fn drawn(train: usize, test: usize, side: usize, seed: u64) -> Self {
        let draw = |count, stream| digits::draw(count, side, &mut Random::new(seed, stream));
        Self { train: draw(train, 1000), test: draw(test, 1001) }
    }
}

impl Images {
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The first `count`, or all.
    pub fn truncated(mut self, count: usize) -> Self {
        self.labels.truncate(count);
        self.pixels.truncate(count * self.side * self.side);
        self
    }

    /// All but the last `count`, and those.
    pub fn split_off(mut self, count: usize) -> (Self, Self) {
        let first = self.len().saturating_sub(count);
        let labels = self.labels.split_off(first);
        let pixels = self.pixels.split_off(first * self.side * self.side);
        let side = self.side;
        (self, Self { side, pixels, labels })
    }

    /// In a blank frame of this width.
    pub fn framed(self, width: usize) -> Self {
        let side = self.side + 2 * width;
        let mut pixels = vec![0; self.len() * side * side];
        for (framed, image) in pixels.chunks_exact_mut(side * side).zip(self.pixels.chunks_exact(self.side * self.side))
        {
            for (y, row) in image.chunks_exact(self.side).enumerate() {
                framed[(y + width) * side + width..][..self.side].copy_from_slice(row);
            }
        }
        Self { side, pixels, labels: self.labels }
    }

    /// Half as wide and high: means of two by two pixels. A last odd row or column is left out.
    pub fn halved(self) -> Self {
        let side = self.side / 2;
        let mut pixels = Vec::with_capacity(self.len() * side * side);
        for image in self.pixels.chunks_exact(self.side * self.side) {
            let at = |y: usize, x: usize| u32::from(image[y * self.side + x]);
            for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (2 * y, 2 * x))) {
                pixels.push(((at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1) + 2) / 4) as u8);
            }
        }
        Self { side, pixels, labels: self.labels }
    }

    /// Label of an image.
    pub fn label(&self, index: usize) -> usize {
        usize::from(self.labels[index])
    }

    /// All images as intensities from 0 to 1, (images, pixels).
    pub fn intensities(&self) -> Vec<f32> {
        self.pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
    }

    /// Pixels of an image.
    pub fn pixels(&self, index: usize) -> &[u8] {
        let size = self.side * self.side;
        &self.pixels[index * size..][..size]
    }

    /// The images with these indices as intensities from 0 to 1, (images, pixels), and their labels.
    ///
    /// # Errors
    /// If the tensors can't be made.
    pub fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let intensities =
            indices.iter().flat_map(|&i| self.pixels(i)).map(|&pixel| f32::from(pixel) / 255.0).collect::<Vec<_>>();
        let x = Tensor::from_vec(intensities, (indices.len(), self.side * self.side), &Device::Cpu)?;
        Ok((x, self.labels(indices)?))
    }

    /// Labels of the images with these indices.
    ///
    /// # Errors
    /// If the tensor can't be made.
    pub fn labels(&self, indices: &[usize]) -> Result<Tensor> {
        let labels = indices.iter().map(|&i| u32::from(self.labels[i])).collect::<Vec<_>>();
        Ok(Tensor::new(labels, &Device::Cpu)?)
    }

    /// All indices in random order.
    pub fn shuffled(&self, random: &mut Random) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        random.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halved_images_have_the_means_of_their_pixels() {
        let pixels = vec![0, 5, 9, 8, 6, 9, 1, 2, 3];
        let images = Images { side: 3, pixels, labels: vec![7] }.halved();
        assert_eq!(images, Images { side: 1, pixels: vec![5], labels: vec![7] });
    }
}
