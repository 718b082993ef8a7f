//! Synthetic rooms: the reverberation of a random room is added to a recording.
//!
//! Late reverberation is taken for noise under an exponential envelope (Moorer, "About this reverberation business",
//! 1979; Polack 1988). Its spectrum falls off above 2.5 kHz, by a random amount, as air and walls absorb more there.

use std::sync::{LazyLock, Mutex, PoisonError};

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;
use spiccato::signal::SAMPLE_RATE;
use spiccato_neurons::Random;

use crate::config::Augmentation;

/// Frequency in Hz above which the response falls off.
const CORNER: f64 = 2500.0;

/// Largest exponent of the fall-off (1 + (f / corner)²)^−exponent of the amplitude: up to 6 dB an octave.
const LARGEST_EXPONENT: f64 = 0.5;

/// Plans of all lengths used so far.
static PLANNER: LazyLock<Mutex<RealFftPlanner<f32>>> = LazyLock::new(|| Mutex::new(RealFftPlanner::new()));

/// Spectrum of `samples` continued with zeros to `length`, an even number.
fn transform(samples: &[f32], length: usize) -> Vec<Complex<f32>> {
    let forward = PLANNER.lock().unwrap_or_else(PoisonError::into_inner).plan_fft_forward(length);
    let (mut padded, mut spectrum) = (forward.make_input_vec(), forward.make_output_vec());
    padded[..samples.len()].copy_from_slice(samples);
    // The buffers come from the transform itself: their lengths are right.
    let done = forward.process(&mut padded, &mut spectrum);
    debug_assert!(done.is_ok(), "{done:?}");
    spectrum
}

/// Signal of an even length with this spectrum, without the factor of one over the length.
pub(super) fn inverse_transform(mut spectrum: Vec<Complex<f32>>) -> Vec<f32> {
    let length = 2 * spectrum.len().saturating_sub(1).max(1);
    spectrum.resize(length / 2 + 1, Complex::new(0.0, 0.0));
    let inverse = PLANNER.lock().unwrap_or_else(PoisonError::into_inner).plan_fft_inverse(length);
    // The spectra of real signals are real at both ends; rounding must not make the inverse complain.
    (spectrum[0].im, spectrum[length / 2].im) = (0.0, 0.0);
    let mut samples = inverse.make_output_vec();
    let done = inverse.process(&mut spectrum, &mut samples);
    debug_assert!(done.is_ok(), "{done:?}");
    samples
}

/// The response of a room without the direct sound.
#[derive(Debug)]
pub(super) struct Room {
    response: Vec<f32>,
}

impl Room {
    /// A room with a reverberation time and an energy relative to the direct sound within the configured ranges.
    pub(super) fn draw(random: &mut Random, augmentation: &Augmentation) -> Self {
        let (shortest, longest) = augmentation.room_seconds;
        let (faintest, strongest) = augmentation.room_db;
        let seconds = random.between(shortest, longest);
        let energy = 10f64.powf(random.between(faintest, strongest) / 10.0);
        let exponent = random.between(0.0, LARGEST_EXPONENT);
        let count = (seconds * f64::from(SAMPLE_RATE)) as usize;
        // 60 dB less after the reverberation time.
        let decay = 10f64.powf(-3.0 / (seconds * f64::from(SAMPLE_RATE)));
        let mut level = 1.0;
        let noise = (0..count).map(|_| {
            level *= decay;
            (level * random.normal()) as f32
        });
        let mut response = fallen_off(&noise.collect::<Vec<f32>>(), exponent);
        let sum: f64 = response.iter().map(|&h| f64::from(h) * f64::from(h)).sum();
        let scale = (energy / sum.max(f64::MIN_POSITIVE)).sqrt() as f32;
        response.iter_mut().for_each(|h| *h *= scale);
        Self { response }
    }

    /// Length of the response: so many samples before a crop are still heard in it.
    pub(super) fn samples(&self) -> usize {
        self.response.len()
    }

    /// Adds the reverberation to `samples`. The first [`Room::samples`] of them come out wrong: the convolution is
    /// circular.
    pub(super) fn apply(&self, samples: &mut [f32]) {
        let length = transform_length(samples.len().max(self.response.len()));
        let mut product = transform(samples, length);
        for (x, h) in product.iter_mut().zip(transform(&self.response, length)) {
            *x *= h / length as f32;
        }
        samples.iter_mut().zip(inverse_transform(product)).for_each(|(x, y)| *x += y);
    }
}

/// A response filtered by (1 + (f / [`CORNER`])²)^−`exponent`.
fn fallen_off(response: &[f32], exponent: f64) -> Vec<f32> {
    let length = transform_length(2 * response.len());
    let mut spectrum = transform(response, length);
    let step = f64::from(SAMPLE_RATE) / length as f64;
    for (bin, value) in spectrum.iter_mut().enumerate() {
        let gain = (1.0 + (bin as f64 * step / CORNER).powi(2)).powf(-exponent) / length as f64;
        *value *= gain as f32;
    }
    let mut filtered = inverse_transform(spectrum);
    filtered.truncate(response.len());
    filtered
}

/// An even length of at least `samples` that is quick to transform: a power of two, or three times one.
fn transform_length(samples: usize) -> usize {
    let power = samples.next_power_of_two().max(8);
    if power / 4 * 3 >= samples { power / 4 * 3 } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(seconds: f64, db: f64) -> Room {
        let augmentation =
            Augmentation { room_seconds: (seconds, seconds), room_db: (db, db), ..Augmentation::default() };
        Room::draw(&mut Random::new(5, 0), &augmentation)
    }

    #[test]
    fn the_response_has_its_energy_and_decays_by_60_db_in_its_time() {
        let room = room(0.5, -10.0);
        let energy = |from: f64, to: f64| {
            let range = (from * 24_000.0) as usize..(to * 24_000.0) as usize;
            room.response[range].iter().map(|&h| f64::from(h * h)).sum::<f64>()
        };
        assert!((energy(0.0, 0.5) / 0.1 - 1.0).abs() < 1e-3);
        // 60 dB in half a second.
        let slope = 10.0 * (energy(0.2, 0.3) / energy(0.35, 0.45)).log10() / 0.15;
        assert!((slope - 120.0).abs() < 15.0, "{slope} dB per second");
    }

    #[test]
    fn the_fast_convolution_is_the_direct_one() {
        let room = room(0.05, -3.0);
        let dry: Vec<f32> = (0..3000).map(|n| ((n * n) % 251) as f32 / 251.0 - 0.5).collect();
        let mut wet = dry.clone();
        room.apply(&mut wet);
        for n in (room.samples()..3000).step_by(37) {
            let heard: f32 = room.response.iter().enumerate().map(|(k, h)| h * dry[n - k]).sum();
            assert!((wet[n] - dry[n] - heard).abs() < 1e-4);
        }
    }

    #[test]
    fn lengths_are_quick_to_transform_and_long_enough() {
        assert_eq!([3, 6, 7, 9, 49_152, 49_153].map(transform_length), [6, 6, 8, 12, 49_152, 65_536]);
    }
}
