//! Labelled sequences to learn from: spikes or values, in memory or from files.
//!
//! [`Dataset::read`] knows `.npz` files of events or arrays ([`npz`]), folders with the IDX files of MNIST, and, with the
//! feature `audio`, folders of recordings. What is no sequence of spikes yet becomes one by an [`Encoder`].

mod encoder;
pub mod npz;
#[cfg(feature = "audio")]
mod recordings;
mod split;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use spiccato_neurons::Random;

pub use encoder::Encoder;
pub use split::Parts;

use crate::images;

/// How files become sequences.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DataDescription {
    /// Name of the array of an npz file that has the values; if there is only one candidate, it is found.
    pub array: Option<String>,
    /// Name of the array with the labels; otherwise `labels`, `label`, `targets` or `y`.
    pub labels: Option<String>,
    /// Times of events in the unit of the file that make one step; otherwise 1.
    pub time_step: Option<f64>,
    /// Steps of a sequence of events: later events are left out; otherwise as many as the last event needs.
    pub steps: Option<usize>,
    /// How values become spikes.
    pub encoder: Encoder,
}

/// Labelled sequences of one length.
#[derive(Debug, Clone)]
pub struct Dataset {
    sequences: Sequences,
    steps: usize,
    channels: usize,
    labels: Vec<usize>,
    classes: usize,
    /// The sequences from this one on are the test set of the files, if they have one.
    test_from: Option<usize>,
    encoder: Encoder,
}

#[derive(Debug, Clone)]
enum Sequences {
    /// (sequences, time, channels)
    Values(Vec<f32>),
    /// Steps and channels, by sequence.
    Events(Vec<Vec<(u32, u32)>>),
    /// Intensities from 0 to 1 that don't change, (sequences, channels).
    Still(Vec<f32>),
}

impl Dataset {
    /// Values (sequences, time, channels) of sequences of `steps` steps, and their labels.
    ///
    /// # Errors
    /// If the numbers don't fit, or the encoder is one for images.
    pub fn from_values(values: Vec<f32>, steps: usize, labels: Vec<usize>, encoder: Encoder) -> Result<Self> {
        let (count, cells) = (labels.len(), labels.len() * steps);
        ensure!(cells > 0, "there are no sequences, or they have no steps");
        ensure!(
            !values.is_empty() && values.len().is_multiple_of(cells),
            "{} values for {count} sequences of {steps} steps",
            values.len()
        );
        let channels = values.len() / cells;
        let (sequences, channels) = match encoder {
            Encoder::None => (Sequences::Values(values), channels),
            Encoder::Threshold { level } => {
                (Sequences::Events(encoder::threshold(&values, steps, channels, level)?), 2 * channels)
            }
            _ => bail!("the encoder {encoder:?} is for images or recordings, not for values over time"),
        };
        Self::new(sequences, steps, channels, labels, encoder)
    }

    /// Events, by sequence their steps and channels, and the labels of the sequences.
    ///
    /// # Errors
    /// If an event lies outside, or the numbers of sequences and labels differ.
    pub fn from_events(
        events: Vec<Vec<(u32, u32)>>,
        steps: usize,
        channels: usize,
        labels: Vec<usize>,
    ) -> Result<Self> {
        ensure!(events.len() == labels.len(), "{} sequences and {} labels", events.len(), labels.len());
        let outside = events.iter().flatten().find(|(t, c)| *t as usize >= steps || *c as usize >= channels);
        ensure!(outside.is_none(), "an event lies at {outside:?}, outside of {steps} steps and {channels} channels");
        Self::new(Sequences::Events(events), steps, channels, labels, Encoder::None)
    }

    /// Spikes as sparse matrices of (steps, channels), one a sequence, and the labels of the sequences. A sequence ends
    /// after `steps`, or is silent from its end to there.
    ///
    /// # Errors
    /// If the matrices differ in their channels, or their number is not that of the labels.
    pub fn from_sparse(matrices: &[sprs::CsMatI<u8, u32>], steps: usize, labels: Vec<usize>) -> Result<Self> {
        let channels = matrices.first().map_or(0, sprs::CsMatI::cols);
        let other = matrices.iter().find(|matrix| matrix.cols() != channels);
        ensure!(other.is_none(), "matrices of {channels} and of {} channels", other.map_or(0, sprs::CsMatI::cols));
        let events = |matrix: &sprs::CsMatI<u8, u32>| {
            let cells = matrix.iter().filter(|(value, (step, _))| **value != 0 && (*step as usize) < steps);
            let mut events: Vec<(u32, u32)> = cells.map(|(_, cell)| cell).collect();
            events.sort_unstable();
            events
        };
        Self::from_events(matrices.iter().map(events).collect(), steps, channels, labels)
    }

    /// Images, intensities from 0 to 1 (images, pixels), that an encoder makes sequences of.
    ///
    /// # Errors
    /// If the numbers don't fit, or the encoder is none for images.
    pub fn from_images(pixels: Vec<f32>, labels: Vec<usize>, encoder: Encoder) -> Result<Self> {
        let steps = match encoder {
            Encoder::Latency { steps } | Encoder::Rate { steps, .. } => steps,
            _ => bail!("images need one of the encoders latency and rate, not {encoder:?}"),
        };
        let count = labels.len();
        ensure!(
            count > 0 && !pixels.is_empty() && pixels.len().is_multiple_of(count),
            "{} pixels for {count} images",
            pixels.len()
        );
        let channels = pixels.len() / count;
        Self::new(Sequences::Still(pixels), steps, channels, labels, encoder)
    }

    /// Digits drawn from strokes under random distortions, `side` pixels wide and high, the ten classes in turn: for
    /// examples and tests that need no files.
    ///
    /// # Errors
    /// If the encoder is none for images.
    pub fn drawn_digits(count: usize, side: usize, encoder: Encoder, seed: u64) -> Result<Self> {
        let digits = images::Split::drawn(count, 0, side, seed).train;
        Self::from_images(digits.intensities(), (0..count).map(|i| digits.label(i)).collect(), encoder)
    }

    fn new(sequences: Sequences, steps: usize, channels: usize, labels: Vec<usize>, encoder: Encoder) -> Result<Self> {
        ensure!(steps > 0 && channels > 0 && !labels.is_empty(), "there are no sequences, or they are empty");
        let classes = labels.iter().max().map_or(0, |largest| largest + 1);
        Ok(Self { sequences, steps, channels, labels, classes, test_from: None, encoder })
    }

    /// Reads a file or a folder: an `.npz` file, a folder with `train-images-idx3-ubyte` and its sisters, or a folder of
    /// recordings.
    ///
    /// # Errors
    /// If the path holds none of these or something in it is wrong; the message names the file.
    pub fn read(path: &Path, description: &DataDescription) -> Result<Self> {
        let read = || {
            if path.is_dir() {
                if path.join("train-images-idx3-ubyte").exists() {
                    return Self::read_idx(path, description.encoder);
                }
                return Self::read_recordings(path, description);
            }
            npz::read(path, description)
        };
        read().with_context(|| format!("data from {}", path.display()))
    }

    fn read_idx(folder: &Path, encoder: Encoder) -> Result<Self> {
        let images::Split { train, test } = images::Split::mnist(folder)?;
        let labels = |images: &images::Images| -> Vec<usize> { (0..images.len()).map(|i| images.label(i)).collect() };
        let (mut all, mut all_labels) = (train.intensities(), labels(&train));
        all.extend(test.intensities());
        all_labels.extend(labels(&test));
        let mut dataset = Self::from_images(all, all_labels, encoder)?;
        dataset.test_from = Some(train.len());
        Ok(dataset)
    }

    #[cfg(feature = "audio")]
    fn read_recordings(folder: &Path, description: &DataDescription) -> Result<Self> {
        recordings::read(folder, description)
    }

    #[cfg(not(feature = "audio"))]
    fn read_recordings(_: &Path, _: &DataDescription) -> Result<Self> {
        bail!("it has no IDX files, and recordings can be read by a build with the feature `audio` only")
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Steps of a sequence.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Channels of a step.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of classes: the largest label and one.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Labels of some sequences.
    pub fn labels(&self, indices: &[usize]) -> Vec<usize> {
        indices.iter().map(|&i| self.labels[i]).collect()
    }

    /// Sequences to train on, to validate with and to test on, the same shares of each class, drawn by the seed. Where the
    /// files have a test set, that is the test set. Validation sequences always come from those to train on.
    ///
    /// # Errors
    /// If a share is not one, or leaves no sequence to train on.
    pub fn parts(&self, validation: f64, test: f64, seed: u64) -> Result<Parts> {
        split::parts(&self.labels, self.test_from, validation, test, seed)
    }

    /// Some sequences as (batch, time, channels). Encoders that draw spikes take their random numbers from `random`.
    ///
    /// # Errors
    /// If the tensor can't be made.
    pub fn batch(&self, indices: &[usize], random: &mut Random) -> Result<Tensor> {
        let size = self.steps * self.channels;
        let mut values = vec![0.0; indices.len() * size];
        for (&index, values) in indices.iter().zip(values.chunks_exact_mut(size)) {
            match &self.sequences {
                Sequences::Values(all) => values.copy_from_slice(&all[index * size..][..size]),
                Sequences::Events(all) => {
                    for &(step, channel) in &all[index] {
                        values[step as usize * self.channels + channel as usize] = 1.0;
                    }
                }
                Sequences::Still(all) => {
                    let still = &all[index * self.channels..][..self.channels];
                    self.encoder.still(still, values, random);
                }
            }
        }
        Ok(Tensor::from_vec(values, (indices.len(), self.steps, self.channels), &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_events_and_images_become_batches() -> Result<()> {
        let mut random = Random::new(1, 0);
        let values = Dataset::from_values((0..12).map(|i| i as f32).collect(), 3, vec![0, 4], Encoder::None)?;
        assert_eq!((values.channels(), values.classes(), values.len()), (2, 5, 2));
        let batch = values.batch(&[1, 0], &mut random)?.to_vec3::<f32>()?;
        assert_eq!(batch[0], [[6.0, 7.0], [8.0, 9.0], [10.0, 11.0]]);
        let events = Dataset::from_events(vec![vec![(0, 1), (2, 0)], vec![]], 3, 2, vec![1, 0])?;
        let batch = events.batch(&[0, 1], &mut random)?.to_vec3::<f32>()?;
        assert_eq!(batch[0], [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]);
        assert_eq!(batch[1], [[0.0; 2]; 3]);
        let images = Dataset::from_images(vec![1.0, 0.0, 0.5, 1.0], vec![0, 1], Encoder::Latency { steps: 5 })?;
        let batch = images.batch(&[1], &mut random)?.to_vec3::<f32>()?;
        assert_eq!(batch[0].iter().map(|step| step[1]).collect::<Vec<_>>(), [1.0, 0.0, 0.0, 0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Dataset::from_values(vec![0.0; 7], 3, vec![0, 1], Encoder::None).is_err());
        assert!(Dataset::from_values(vec![0.0; 6], 3, vec![0, 1], Encoder::Latency { steps: 3 }).is_err());
        assert!(Dataset::from_values(vec![], 0, vec![], Encoder::None).is_err());
        assert!(Dataset::from_events(vec![vec![(3, 0)]], 3, 2, vec![0]).is_err());
        assert!(Dataset::from_images(vec![0.0; 4], vec![0, 1], Encoder::None).is_err());
        let missing = Dataset::read(Path::new("no/such.npz"), &DataDescription::default()).unwrap_err();
        assert!(format!("{missing:#}").contains("no/such.npz"));
    }
}
