//! Synthetic rooms: a recording is heard with the reverberation of another room mixed in.
//!
//! Late reverberation is taken for noise under an exponential envelope (Moorer 1979, "About this reverberation business";
//! Polack 1988), which decays faster at high frequencies, where air and walls absorb more.

use std::sync::{LazyLock, Mutex, PoisonError};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use realfft::RealFftPlanner;
use spiccato::signal::SAMPLE_RATE;

use crate::config::Augmentation;

/// Frequency in Hz that parts the low from the high of the response (a first-order filter).
const CROSSOVER: f64 = 2000.0;

/// Reverberation time of the high part relative to the low one.
const HIGH_TIME: f64 = 0.5;

/// Delays of the first reverberation after the direct sound, from and to, in seconds.
const DELAY: (f64, f64) = (0.003, 0.02);

/// Plans of all lengths used so far.
static PLANNER: LazyLock<Mutex<RealFftPlanner<f32>>> = LazyLock::new(|| Mutex::new(RealFftPlanner::new()));

/// The response of a room without the direct sound.
pub(super) struct Room {
    response: Vec<f32>,
}

impl Room {
    /// A room with a reverberation time and an energy relative to the direct sound within the ranges asked for.
    pub(super) fn draw(rng: &mut ChaCha8Rng, augmentation: &Augmentation) -> Self {
        let (shortest, longest) = augmentation.room_seconds;
        let (faintest, strongest) = augmentation.room_db;
        let seconds = rng.random_range(shortest..=longest);
        let energy = 10f64.powf(rng.random_range(faintest..=strongest) / 10.0);
        let rate = f64::from(SAMPLE_RATE);
        let delay = (rng.random_range(DELAY.0..=DELAY.1) * rate) as usize;
        // 60 dB less after the reverberation time.
        let decay = |seconds: f64| 10f64.powf(-3.0 / (seconds * rate)) as f32;
        let (low_decay, high_decay) = (decay(seconds), decay(HIGH_TIME * seconds));
        let smoothing = 1.0 - (-std::f64::consts::TAU * CROSSOVER / rate).exp() as f32;
        let mut response = vec![0.0; delay];
        let (mut low, mut low_level, mut high_level) = (0.0f32, 1.0f32, 1.0f32);
        response.extend((0..(seconds * rate) as usize).map(|_| {
            let noise = rng.random_range(-1.0f32..1.0);
            low += smoothing * (noise - low);
            low_level *= low_decay;
            high_level *= high_decay;
            low * low_level + (noise - low) * high_level
        }));
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
        let (forward, inverse) = {
            let mut planner = PLANNER.lock().unwrap_or_else(PoisonError::into_inner);
            (planner.plan_fft_forward(length), planner.plan_fft_inverse(length))
        };
        let spectrum = |x: &[f32]| {
            let (mut padded, mut spectrum) = (forward.make_input_vec(), forward.make_output_vec());
            padded[..x.len()].copy_from_slice(x);
            forward.process(&mut padded, &mut spectrum).map(|()| spectrum)
        };
        let reverberate = || {
            let mut product = spectrum(samples)?;
            for (x, h) in product.iter_mut().zip(spectrum(&self.response)?) {
                *x *= h / length as f32;
            }
            // The spectra of real signals are real at both ends; rounding must not make the inverse complain.
            let last = product.len() - 1;
            (product[0].im, product[last].im) = (0.0, 0.0);
            let mut reverberation = inverse.make_output_vec();
            inverse.process(&mut product, &mut reverberation).map(|()| reverberation)
        };
        // The buffers come from the transforms themselves: their lengths are right.
        if let Ok(reverberation) = reverberate() {
            samples.iter_mut().zip(reverberation).for_each(|(x, y)| *x += y);
        }
    }
}

/// An even length of at least `samples` that is quick to transform: a power of two, or three times one.
fn transform_length(samples: usize) -> usize {
    let power = samples.next_power_of_two().max(8);
    if power / 4 * 3 >= samples { power / 4 * 3 } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    fn room(seconds: f64, db: f64) -> Room {
        let augmentation =
            Augmentation { room_seconds: (seconds, seconds), room_db: (db, db), ..Augmentation::default() };
        Room::draw(&mut ChaCha8Rng::seed_from_u64(5), &augmentation)
    }

    #[test]
    fn the_response_has_its_energy_and_decays_by_60_db_in_its_time() {
        let room = room(0.5, -10.0);
        let energy = |from: f64, to: f64| {
            let range = (from * 24_000.0) as usize..(to * 24_000.0) as usize;
            room.response[range].iter().map(|&h| f64::from(h * h)).sum::<f64>()
        };
        assert!((energy(0.0, 0.5) / 0.1 - 1.0).abs() < 1e-3);
        // Low frequencies remain: 120 dB a second.
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
