//! Magnitudes to complex spectra and samples: phases rebuilt block by block.
//!
//! A block is a number of frames to be settled and some frames of lookahead. Its phases begin with [`PhaseIntegrator`],
//! seeded by the last settled frame, and are then refined by fast Griffin–Lim rounds (Perraudin, Balazs and Søndergaard,
//! "A fast Griffin–Lim algorithm", 2013): the block's samples are computed together with the fixed frames before it,
//! analysed again, and the new phases extrapolated with a momentum.
//!
//! Rebuilt phases don't know the arrangement that kept the original within full scale, and make higher peaks of the same
//! magnitudes. So peaks are clipped between the rounds: the phases settle on a signal that has fewer of them (Van der
//! Ouderaa, Schoukens and Renneboog, "Peak factor minimization using a time-frequency domain swapping algorithm", 1988).

use super::overlap::{COVER, OverlapAdd, normalise};
use super::phase::{PhaseIntegrator, nearest};
use super::transform::{Complex32, Spectrum, Transform};
use super::{BINS, HOP};
use multiversion::multiversion;
use std::f32::consts::PI;

/// Frames settled at a time: half a second. Longer blocks measure no better, and leave the processor's cache.
const BLOCK: usize = 32;
/// Frames beyond a block that are rebuilt with it and then again with the next.
const LOOKAHEAD: usize = 4;
/// Griffin–Lim rounds: each doubling takes some 0.03 dB off the log-mel distance of piano, and a third off the speed.
const ROUNDS: usize = 6;
/// Momentum, the paper's best.
const MOMENTUM: f32 = 0.99;
/// Peaks beyond this are clipped between the rounds,
const CEILING: f32 = 0.9;
/// but not under this many times the root mean square of the block, in case that the original is beyond full scale.
const LEAST_CREST: f32 = 1.25;
/// Bins 80 dB under the loudest of the block begin with noise.
const TOLERANCE: f32 = 1e-4;

/// Rebuilds the phases of a stream of magnitude frames.
#[derive(Debug, Clone)]
pub(super) struct Reconstruction {
    /// Samples of the settled frames.
    output: OverlapAdd,
    transform: Transform,
    integrator: PhaseIntegrator,
    /// Magnitudes, frames × bins: of the last settled frame if there is one, then of those that wait.
    magnitudes: Vec<f32>,
    /// Phases of the last settled frame, in turns from the middle of the window.
    seed: [f32; BINS],
    /// Of the frames that wait: the spectra,
    spectra: Vec<Spectrum>,
    /// what the last round's samples had as spectra,
    analysed: Vec<Spectrum>,
    /// and their samples.
    samples: Vec<f32>,
}

impl Reconstruction {
    pub(super) fn new() -> Self {
        Self {
            output: OverlapAdd::new(),
            transform: Transform::new(),
            integrator: PhaseIntegrator::default(),
            magnitudes: Vec::new(),
            seed: [0.0; BINS],
            spectra: Vec::new(),
            analysed: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Frames taken so far.
    pub(super) fn frames(&self) -> u64 {
        self.output.frames() + self.waiting() as u64
    }

    /// Takes the magnitudes of a frame. Whenever a block is settled, hands its spectra to `settled`, one by one, and
    /// appends its samples.
    pub(super) fn push(&mut self, magnitudes: &[f32; BINS], samples: &mut Vec<f32>, settled: impl FnMut(&Spectrum)) {
        self.magnitudes.extend_from_slice(magnitudes);
        if self.waiting() == BLOCK + LOOKAHEAD {
            self.rebuild(None);
            self.settle(BLOCK, samples, settled);
        }
    }

    /// Settles all frames that wait; the signal ends after `total` samples.
    pub(super) fn finish(mut self, total: u64, samples: &mut Vec<f32>, settled: impl FnMut(&Spectrum)) {
        self.rebuild(Some(total));
        self.settle(self.waiting(), samples, settled);
        self.output.finish(total, samples);
    }

    /// Rows of `magnitudes` that are settled: 1, but 0 at the beginning.
    fn past(&self) -> usize {
        usize::from(self.output.frames() > 0)
    }

    fn waiting(&self) -> usize {
        self.magnitudes.len() / BINS - self.past()
    }

    /// Gives spectra to all frames that wait.
    fn rebuild(&mut self, total: Option<u64>) {
        self.integrate();
        for round in 0..ROUNDS {
            self.synthesize(total);
            clip(&mut self.samples);
            self.analyze(if round == 0 { 0.0 } else { MOMENTUM });
        }
    }

    /// First spectra, with integrated phases.
    fn integrate(&mut self) {
        let (past, waiting) = (self.past(), self.waiting());
        let seed = (past > 0).then_some(&self.seed);
        let first_frame = self.output.frames() - past as u64;
        let phases = self.integrator.integrate(&self.magnitudes, seed, first_frame, TOLERANCE);
        self.spectra.resize(waiting, [Complex32::ZERO; BINS]);
        self.analysed.resize(waiting, [Complex32::ZERO; BINS]);
        let rows = self.magnitudes.chunks_exact(BINS).zip(phases.chunks_exact(BINS)).skip(past);
        for (spectrum, (magnitudes, phases)) in self.spectra.iter_mut().zip(rows) {
            polar(magnitudes, phases, spectrum);
        }
    }

    /// Samples of the spectra, which are overwritten, and of the settled frames that overlap with them.
    fn synthesize(&mut self, total: Option<u64>) {
        let (settled, waiting) = (self.output.frames(), self.spectra.len());
        self.samples.clear();
        self.samples.extend_from_slice(self.output.sums());
        self.samples.resize((waiting + COVER - 1) * HOP, 0.0);
        for (frame, spectrum) in self.spectra.iter_mut().enumerate() {
            let windowed = self.transform.inverse(spectrum);
            for (sum, sample) in self.samples[frame * HOP..].iter_mut().zip(windowed) {
                *sum += sample;
            }
        }
        for (segment, samples) in (settled..).zip(self.samples.chunks_exact_mut(HOP)) {
            normalise(samples, segment, settled + waiting as u64, total);
        }
    }

    /// Spectra with the given magnitudes and the samples' phases, extrapolated.
    fn analyze(&mut self, momentum: f32) {
        let mut fresh = [Complex32::ZERO; BINS];
        let magnitudes = self.magnitudes.chunks_exact(BINS).skip(self.past());
        let spectra = self.spectra.iter_mut().zip(&mut self.analysed);
        for (frame, (magnitudes, (spectrum, analysed))) in magnitudes.zip(spectra).enumerate() {
            if let Some(samples) = self.samples[frame * HOP..].first_chunk() {
                self.transform.forward(samples, &mut fresh);
            }
            extrapolate(magnitudes, &fresh, analysed, momentum, spectrum);
        }
    }

    /// Hands out the first `count` of the frames that wait, at least one.
    fn settle(&mut self, count: usize, samples: &mut Vec<f32>, mut settled: impl FnMut(&Spectrum)) {
        self.magnitudes.drain(..(self.past() + count - 1) * BINS);
        for (bin, (phase, amplitude)) in self.seed.iter_mut().zip(&self.spectra[count - 1]).enumerate() {
            *phase = amplitude.arg() / (2.0 * PI) + half_turn(bin as u32);
        }
        for spectrum in &mut self.spectra[..count] {
            settled(spectrum);
            self.output.push(spectrum, samples);
        }
    }
}

/// The transform counts phases from the window's beginning, the integration from its middle: for odd bins that is half
/// a turn, for even bins nothing.
#[inline(always)]
fn half_turn(bin: u32) -> f32 {
    0.5 * (bin % 2) as f32
}

/// Clips peaks between two rounds.
fn clip(samples: &mut [f32]) {
    let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    if peak > CEILING {
        let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32;
        let ceiling = CEILING.max(LEAST_CREST * power.sqrt());
        samples.iter_mut().for_each(|sample| *sample = sample.clamp(-ceiling, ceiling));
    }
}

/// `spectrum` gets the given magnitudes and the phases of `fresh + momentum · (fresh − analysed)`; `analysed` becomes
/// `fresh`.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f+avx512vl+avx512dq"))]
fn extrapolate(magnitudes: &[f32], fresh: &Spectrum, analysed: &mut Spectrum, momentum: f32, spectrum: &mut Spectrum) {
    for (((spectrum, analysed), fresh), magnitude) in spectrum.iter_mut().zip(analysed).zip(fresh).zip(magnitudes) {
        let re = fresh.re + momentum * (fresh.re - analysed.re);
        let im = fresh.im + momentum * (fresh.im - analysed.im);
        let scale = magnitude / (re * re + im * im + f32::MIN_POSITIVE).sqrt();
        *spectrum = Complex32::new(re * scale, im * scale);
        *analysed = *fresh;
    }
}

/// Spectrum of magnitudes and phases in turns from the middle of the window.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f+avx512vl+avx512dq"))]
fn polar(magnitudes: &[f32], phases: &[f32], spectrum: &mut Spectrum) {
    for (bin, ((amplitude, magnitude), phase)) in (0u32..).zip(spectrum.iter_mut().zip(magnitudes).zip(phases)) {
        let (sine, cosine) = sine_cosine(phase + half_turn(bin));
        *amplitude = Complex32::new(magnitude * cosine, magnitude * sine);
    }
}

/// Sine and cosine of a phase in turns, to 1e-6, in a form that compilers vectorise.
#[inline(always)]
fn sine_cosine(turns: f32) -> (f32, f32) {
    let turns = turns - nearest(turns);
    let half = nearest(2.0 * turns);
    let angle = 2.0 * PI * (turns - 0.5 * half);
    let sign = 1.0 - 2.0 * half * half;
    // Taylor series within a quarter of a turn.
    let x = angle * angle;
    let sine = 1.0 - x / 6.0 * (1.0 - x / 20.0 * (1.0 - x / 42.0 * (1.0 - x / 72.0 * (1.0 - x / 110.0))));
    let cosine =
        1.0 - x / 2.0 * (1.0 - x / 12.0 * (1.0 - x / 30.0 * (1.0 - x / 56.0 * (1.0 - x / 90.0 * (1.0 - x / 132.0)))));
    (sign * angle * sine, sign * cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_agree_with_the_library() {
        for i in -4000..4000 {
            let turns = i as f32 / 1600.0;
            let (sine, cosine) = sine_cosine(turns);
            let (expected_sine, expected_cosine) = (f64::from(turns) * std::f64::consts::TAU).sin_cos();
            assert!((f64::from(sine) - expected_sine).abs() < 1e-6, "{turns}");
            assert!((f64::from(cosine) - expected_cosine).abs() < 1e-6, "{turns}");
        }
    }

    #[test]
    fn extrapolation_takes_phases_and_keeps_magnitudes() {
        let (fresh, mut analysed) = ([Complex32::new(0.0, 3.0); BINS], [Complex32::new(-1.0, 1.0); BINS]);
        let mut spectrum = [Complex32::ZERO; BINS];
        // 3i + ½ (3i − (−1 + i)) = ½ + 4i
        extrapolate(&[2.0; BINS], &fresh, &mut analysed, 0.5, &mut spectrum);
        let expected = Complex32::new(0.5, 4.0) * (2.0 / 16.25f32.sqrt());
        assert!(spectrum.iter().all(|amplitude| (amplitude - expected).norm() < 1e-6));
        assert_eq!(analysed, fresh);
    }
}
