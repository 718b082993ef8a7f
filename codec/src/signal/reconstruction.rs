//! Magnitudes to complex spectra and samples: phases rebuilt block by block.
//!
//! A block is a number of frames to be settled and some frames of lookahead. Its phases begin with [`PhaseIntegrator`],
//! seeded by the last settled frame, and are then refined by fast Griffin–Lim rounds (Perraudin, Balazs and Søndergaard,
//! "A fast Griffin–Lim algorithm", 2013): the block's samples are computed together with the fixed frames before it,
//! analysed again, and the new phases extrapolated with a momentum.

use super::overlap::{COVER, OverlapAdd, normalise};
use super::phase::{PhaseIntegrator, nearest};
use super::transform::{Complex32, Spectrum, Transform};
use super::{BINS, HOP, WINDOW};
use multiversion::multiversion;
use std::f32::consts::PI;

#[derive(Debug, Clone)]
pub(super) struct Settings { pub block: usize, pub lookahead: usize, pub rounds: usize, pub momentum: f32, pub tolerance: f32 }
impl Settings { fn get() -> Self { fn e(n: &str, d: f32) -> f32 { std::env::var(n).ok().and_then(|s| s.parse().ok()).unwrap_or(d) }
    Self { block: e("BLOCK", 64.) as usize, lookahead: e("LOOK", 8.) as usize, rounds: e("ROUNDS", 4.) as usize, momentum: e("MOM", 0.99), tolerance: e("TOL", 1e-4) } } }

/// Rebuilds the phases of a stream of magnitude frames.
#[derive(Debug, Clone)]
pub(super) struct Reconstruction {
    settings: Settings,
    output: OverlapAdd,
    transform: Transform,
    integrator: PhaseIntegrator,
    /// Magnitudes, frames × bins: the last settled frame if there is one, then those that wait.
    magnitudes: Vec<f32>,
    /// Phases of the last settled frame, in turns from the middle of the window.
    seed: [f32; BINS],
    spectra: Vec<Spectrum>,
    /// Spectra of the last round, before momentum.
    projected: Vec<Spectrum>,
    signal: Vec<f32>,
}

impl Reconstruction {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::get(),
            output: OverlapAdd::new(),
            transform: Transform::new(),
            integrator: PhaseIntegrator::default(),
            magnitudes: Vec::new(),
            seed: [0.0; BINS],
            spectra: Vec::new(),
            projected: Vec::new(),
            signal: Vec::new(),
        }
    }

    /// Takes one frame of magnitudes. Whenever a block is settled, hands its spectra to `settled`, one by one, and
    /// appends its samples.
    pub(super) fn push(&mut self, magnitudes: &[f32; BINS], settled: impl FnMut(&Spectrum), samples: &mut Vec<f32>) {
        self.magnitudes.extend_from_slice(magnitudes);
        if self.waiting() == self.settings.block + self.settings.lookahead {
            self.settle(self.settings.block, None, settled, samples);
        }
    }

    /// Settles all that waits, up to sample `total`, and begins anew.
    pub(super) fn finish(&mut self, total: u64, settled: impl FnMut(&Spectrum), samples: &mut Vec<f32>) {
        self.settle(self.waiting(), Some(total), settled, samples);
        self.output.finish(total, samples);
        self.magnitudes.clear();
    }

    /// Frames taken so far.
    pub(super) fn frames(&self) -> u64 {
        self.output.frames() + self.waiting() as u64
    }

    fn past(&self) -> usize { usize::from(self.output.frames() > 0) }
    fn waiting(&self) -> usize {
        self.magnitudes.len() / BINS - self.past()
    }

    /// Rebuilds the phases of all frames that wait, and settles the first `count` of them.
    fn settle(&mut self, count: usize, total: Option<u64>, mut settled: impl FnMut(&Spectrum), samples: &mut Vec<f32>) {
        let past = self.past();
        self.integrate();
        for round in 0..self.settings.rounds {
            self.lay(total);
            let momentum = if round == 0 { 0.0 } else { self.settings.momentum };
            self.project(momentum);
        }
        for (t, spectrum) in self.spectra[..count].iter_mut().enumerate() {
            settled(spectrum);
            if t + 1 == count {
                for (bin, (phase, amplitude)) in self.seed.iter_mut().zip(spectrum.iter()).enumerate() {
                    let turns = amplitude.arg() / (2.0 * PI) + 0.5 * (bin % 2) as f32;
                    *phase = turns - nearest(turns);
                }
            }
            self.output.push(spectrum, samples);
        }
        self.magnitudes.drain(..(past + count - 1) * BINS);
    }

    /// First spectra of the frames that wait, with integrated phases.
    fn integrate(&mut self) {
        let past = self.past();
        let seed = (past > 0).then_some(&self.seed);
        let first_frame = self.output.frames() - past as u64;
        let phases = self.integrator.integrate(&self.magnitudes, seed, first_frame, self.settings.tolerance);
        let waiting = self.magnitudes.len() / BINS - past;
        self.spectra.resize(waiting, [Complex32::ZERO; BINS]);
        self.projected.resize(waiting, [Complex32::ZERO; BINS]);
        let rows = self.magnitudes.chunks_exact(BINS).zip(phases.chunks_exact(BINS)).skip(past);
        for (spectrum, (magnitudes, phases)) in self.spectra.iter_mut().zip(rows) {
            polar(magnitudes, phases, spectrum);
        }
    }

    /// Samples of the block; overwrites the spectra.
    fn lay(&mut self, total: Option<u64>) {
        let waiting = self.spectra.len();
        self.signal.clear();
        self.signal.extend_from_slice(self.output.sums());
        self.signal.resize((waiting + COVER - 1) * HOP, 0.0);
        for (t, spectrum) in self.spectra.iter_mut().enumerate() {
            let frame = self.transform.inverse(spectrum);
            for (sum, sample) in self.signal[t * HOP..][..WINDOW].iter_mut().zip(frame) {
                *sum += sample;
            }
        }
        let settled = self.output.frames();
        for (segment, samples) in (settled..).zip(self.signal.chunks_exact_mut(HOP)) {
            normalise(samples, segment, settled + waiting as u64, total);
        }
    }

    /// Analyses the samples and gives the magnitudes at hand the phases found.
    fn project(&mut self, momentum: f32) {
        let past = self.past();
        let mut fresh = [Complex32::ZERO; BINS];
        let rows = self.magnitudes.chunks_exact(BINS).skip(past);
        for (t, (magnitudes, (spectrum, projected))) in rows.zip(self.spectra.iter_mut().zip(&mut self.projected)).enumerate() {
            if let Some(frame) = self.signal[t * HOP..].first_chunk() {
                self.transform.forward(frame, &mut fresh);
            }
            extrapolate(magnitudes, &fresh, projected, momentum, spectrum);
        }
    }
}

/// `spectrum` gets the given magnitudes and the phases of `fresh + momentum · (fresh − projected)`, `projected` becomes
/// `fresh`.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f+avx512vl+avx512dq"))]
fn extrapolate(magnitudes: &[f32], fresh: &Spectrum, projected: &mut Spectrum, momentum: f32, spectrum: &mut Spectrum) {
    for (((spectrum, projected), fresh), magnitude) in spectrum.iter_mut().zip(projected).zip(fresh).zip(magnitudes) {
        let re = fresh.re + momentum * (fresh.re - projected.re);
        let im = fresh.im + momentum * (fresh.im - projected.im);
        let scale = magnitude / (re * re + im * im + f32::MIN_POSITIVE).sqrt();
        *spectrum = Complex32::new(re * scale, im * scale);
        *projected = *fresh;
    }
}

/// Spectrum of magnitudes and phases in turns from the middle of the window.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f+avx512vl+avx512dq"))]
fn polar(magnitudes: &[f32], phases: &[f32], spectrum: &mut Spectrum) {
    for (bin, ((amplitude, magnitude), phase)) in (0u32..).zip(spectrum.iter_mut().zip(magnitudes).zip(phases)) {
        // The transform counts phases from the window's beginning: half a turn for every odd bin.
        let turns = phase + 0.5 * (bin % 2) as f32;
        let (sine, cosine) = sine_cosine(turns);
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
