//! Phases from magnitudes: phase gradient heap integration (Průša, Balazs and Søndergaard, "A noniterative method for
//! reconstruction of phase from STFT magnitude", 2017), with known phases of an earlier frame as seeds as in its
//! real-time form (Průša and Søndergaard 2016).
//!
//! Phases here are counted in turns (2π), from the middle of the window. Three differences from the papers:
//!
//! - They take the gradients of a Gaussian window for those of the window used. Here they are exact for the Hann window
//!   and the two signals that matter most. Of a stationary sine that lies δ bins above bin k, the neighbours have
//!   |X(k+1)| : |X(k−1)| = (1+δ)(2+δ) : (1−δ)(2−δ), which is solved for δ. Of an impulse τ samples after the middle of
//!   frame t, |X(t±1)| = cos²(π(τ∓H)/W), which for H = W/4 gives
//!   tan(πτ/W) = (√|X(t+1)| − √|X(t−1)|) / (√|X(t+1)| + √|X(t−1)|).
//! - Only the lowest [`LOW_BINS`] bins are integrated, which have magnitudes of their own. Above, whole bands of bins share
//!   one: integration would find an impulse in the middle of every frame, heard as a buzz. Phases there begin at random,
//!   but for clicks, which are impulses indeed.
//! - Instead of a heap there is a queue of 1/16-octave levels: the order among nearly equal magnitudes doesn't matter.

use super::{BINS, LOW_BINS, noise};
use multiversion::multiversion;
use std::f32::consts::PI;

/// Integrates phases over blocks of frames; holds the working memory.
#[derive(Debug, Clone, Default)]
pub(super) struct PhaseIntegrator {
    /// Phase difference from each frame to the next, in turns.
    advances: Vec<f32>,
    /// Phase difference from each bin to the next, in turns.
    slopes: Vec<f32>,
    phases: Vec<f32>,
    known: Vec<bool>,
    /// Bins of known phase whose neighbours are to be visited.
    front: LevelQueue,
    /// Bins where integration may begin anew, where no known phase reaches.
    beginnings: LevelQueue,
}

impl PhaseIntegrator {
    /// Phases, in turns, of a block of frames × [`BINS`] magnitudes. `seed` holds the phases of the first frame if they
    /// are known. Bins from [`LOW_BINS`] on, and those not above `tolerance` times the block's largest magnitude, get
    /// pseudo-random phases, which depend only on the bin and on the number of the frame, or those of a click;
    /// `first_frame` is the number of the block's first frame.
    pub(super) fn integrate(
        &mut self,
        magnitudes: &[f32],
        seed: Option<&[f32; BINS]>,
        first_frame: u64,
        tolerance: f32,
    ) -> &[f32] {
        let size = magnitudes.len();
        for buffer in [&mut self.advances, &mut self.slopes, &mut self.phases] {
            buffer.resize(size, 0.0);
        }
        gradients(magnitudes, &mut self.advances, &mut self.slopes);

        let largest = magnitudes.iter().copied().fold(0.0, f32::max);
        let quiet = tolerance * largest;
        self.known.clear();
        self.known.resize(size, true);
        self.front.clear(size, largest);
        self.beginnings.clear(size, largest);
        if let Some(seed) = seed {
            self.phases[..BINS].copy_from_slice(seed);
            for (index, &magnitude) in magnitudes[..LOW_BINS].iter().enumerate().filter(|(_, m)| **m > quiet) {
                self.front.push(index, magnitude);
            }
        }
        let rows = (first_frame..).zip(magnitudes.chunks_exact(BINS)).enumerate();
        for (row, (frame, magnitudes)) in rows.skip(usize::from(seed.is_some())) {
            for (bin, &magnitude) in magnitudes.iter().enumerate() {
                let index = row * BINS + bin;
                if bin < LOW_BINS && magnitude > quiet {
                    self.known[index] = false;
                    self.beginnings.push(index, magnitude);
                } else {
                    self.phases[index] = random_phase(frame, bin as u64);
                }
            }
        }
        loop {
            self.spread(magnitudes);
            match self.beginnings.pop() {
                Some(index) if self.known[index] => {}
                // That of an impulse, in case it is one; else the phase is free.
                Some(index) => self.reach(index, self.slopes[index] * (index % BINS) as f32, magnitudes),
                None => break,
            }
        }
        for click in clicks(magnitudes) {
            self.strike(click, usize::from(seed.is_some()));
        }
        &self.phases
    }

    /// Gives the high bins of a click's frames, from row `first` on, the phases of an impulse.
    fn strike(&mut self, Click { row, slope }: Click, first: usize) {
        for hops in -1i8..=1 {
            let row = row.saturating_add_signed(hops.into()).max(first);
            let slope = slope + 0.25 * f32::from(hops);
            for (bin, phase) in self.phases[row * BINS..(row + 1) * BINS].iter_mut().enumerate().skip(LOW_BINS) {
                *phase = slope * bin as f32;
            }
        }
    }

    /// Spreads known phases to neighbours in time and frequency, from the loudest bins to the quiet ones.
    fn spread(&mut self, magnitudes: &[f32]) {
        while let Some(index) = self.front.pop() {
            let (bin, phase) = (index % BINS, self.phases[index]);
            let (advance, slope) = (0.5 * self.advances[index], 0.5 * self.slopes[index]);
            let (later, earlier) = (index + BINS, index.wrapping_sub(BINS));
            if self.known.get(later) == Some(&false) {
                self.reach(later, phase + advance + 0.5 * self.advances[later], magnitudes);
            }
            if self.known.get(earlier) == Some(&false) {
                self.reach(earlier, phase - advance - 0.5 * self.advances[earlier], magnitudes);
            }
            if bin + 1 < BINS && !self.known[index + 1] {
                self.reach(index + 1, phase + slope + 0.5 * self.slopes[index + 1], magnitudes);
            }
            if bin > 0 && !self.known[index - 1] {
                self.reach(index - 1, phase - slope - 0.5 * self.slopes[index - 1], magnitudes);
            }
        }
    }

    fn reach(&mut self, index: usize, phase: f32, magnitudes: &[f32]) {
        self.known[index] = true;
        self.phases[index] = phase - nearest(phase);
        self.front.push(index, magnitudes[index]);
    }
}

/// Phase gradients of a block of magnitudes.
fn gradients(magnitudes: &[f32], advances: &mut [f32], slopes: &mut [f32]) {
    let frames = magnitudes.len() / BINS;
    let row = |frame: usize| &magnitudes[frame * BINS..(frame + 1) * BINS];
    for frame in 0..frames {
        let range = frame * BINS..(frame + 1) * BINS;
        frame_advances(row(frame), &mut advances[range.clone()]);
        if frame > 0 && frame + 1 < frames {
            frame_slopes(row(frame - 1), row(frame + 1), &mut slopes[range]);
        } else {
            slopes[range].fill(0.0);
        }
    }
}

/// Turns by which the phase of each bin advances in a hop: a quarter of its frequency in bins.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f+avx512vl+avx512dq"))]
fn frame_advances(magnitudes: &[f32], advances: &mut [f32]) {
    for (bin, (advance, pair)) in (1..).zip(advances[1..].iter_mut().zip(magnitudes.windows(3))) {
        let (below, above) = (pair[0], pair[2]);
        let q = (above - below) / (above + below + f32::MIN_POSITIVE);
        // The root of q δ² − 3 δ + 2 q = 0 between −1 and 1.
        let offset = 4.0 * q / (3.0 + (9.0 - 8.0 * q * q).sqrt());
        *advance = 0.25 * ((bin % 4) as f32 + offset);
    }
    advances[0] = 0.0;
    advances[BINS - 1] = 0.25 * ((BINS - 1) % 4) as f32;
}

/// Turns by which the phase changes from each bin to the next: minus the time from the middle of the frame in windows.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f+avx512vl+avx512dq"))]
fn frame_slopes(before: &[f32], after: &[f32], slopes: &mut [f32]) {
    for (slope, (before, after)) in slopes.iter_mut().zip(before.iter().zip(after)) {
        let (before, after) = (before.sqrt(), after.sqrt());
        let q = (after - before) / (after + before + f32::MIN_POSITIVE);
        // Arctangent of −1 … 1 to 1e-5 (Abramowitz and Stegun 4.4.47).
        let square = q * q;
        let arctangent = q
            * (0.999_866
                + square * (-0.330_299_5 + square * (0.180_141 + square * (-0.085_133 + square * 0.020_835_1))));
        *slope = -arctangent / PI;
    }
}

/// A frame whose middle is near an impulse.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Click {
    row: usize,
    /// Turns by which the phase changes from each bin to the next.
    slope: f32,
}

/// Clicks above [`LOW_BINS`]: frames in which there is an impulse, since frames two hops away have next to nothing of it.
fn clicks(magnitudes: &[f32]) -> Vec<Click> {
    /// Power two hops away, relative to that in the middle: 0.02 at most for an impulse.
    const SHORT: f32 = 0.05;
    let power = |row: &[f32]| row[LOW_BINS..].iter().map(|magnitude| magnitude * magnitude).sum::<f32>();
    let powers: Vec<f32> = magnitudes.chunks_exact(BINS).map(power).collect();
    let mut clicks = Vec::new();
    for (row, window) in (1..).zip(powers.windows(4)) {
        let [before, power, after, later] = *window else { continue };
        let earlier = if row > 1 { powers[row - 2] } else { 0.0 };
        if power > before && power >= after && earlier.max(later) < SHORT * power {
            let mut slope = [0.0];
            frame_slopes(&[before.sqrt()], &[after.sqrt()], &mut slope);
            clicks.push(Click { row, slope: slope[0] });
        }
    }
    clicks
}

/// The whole number nearest to a phase; a form that compilers vectorise.
#[inline(always)]
pub(super) fn nearest(phase: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 · 2^23
    (phase + SHIFT) - SHIFT
}

/// A pseudo-random phase in turns for a bin of a frame.
fn random_phase(frame: u64, bin: u64) -> f32 {
    let bits = noise::hash(frame * BINS as u64 + bin) >> 40;
    bits as f32 / (1 << 24) as f32
}

/// A priority queue of bins: lists by level of magnitude, 16 levels to the octave, the last in first out.
#[derive(Debug, Clone, Default)]
struct LevelQueue {
    /// First bin of each level's list, loud levels last.
    heads: Vec<u32>,
    /// The bin after each bin in its list.
    next: Vec<u32>,
    /// No level above this one has bins.
    highest: usize,
    /// Level 0 on the scale of [`Self::octaves`].
    base: u32,
}

impl LevelQueue {
    /// 120 dB; whatever is more quiet counts as the lowest level.
    const LEVELS: u32 = 320;
    const NONE: u32 = u32::MAX;

    /// Empties the queue and prepares it for bins up to `size` and magnitudes up to `largest`.
    fn clear(&mut self, size: usize, largest: f32) {
        self.heads.clear();
        self.heads.resize(Self::LEVELS as usize, Self::NONE);
        self.next.resize(size, Self::NONE);
        self.highest = 0;
        self.base = Self::octaves(largest).saturating_sub(Self::LEVELS - 1);
    }

    /// Sixteenths of octaves: the bits of a positive float are its logarithm, piecewise linearly.
    fn octaves(magnitude: f32) -> u32 {
        magnitude.to_bits() >> 19
    }

    fn push(&mut self, index: usize, magnitude: f32) {
        let level = Self::octaves(magnitude).saturating_sub(self.base) as usize;
        self.next[index] = std::mem::replace(&mut self.heads[level], index as u32);
        self.highest = self.highest.max(level);
    }

    /// Takes out a bin of the loudest level.
    fn pop(&mut self) -> Option<usize> {
        loop {
            match self.heads[self.highest] {
                Self::NONE if self.highest == 0 => return None,
                Self::NONE => self.highest -= 1,
                index => {
                    self.heads[self.highest] = self.next[index as usize];
                    return Some(index as usize);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::WINDOW;
    use crate::signal::frames::Framer;
    use crate::signal::transform::{Complex32, Transform};

    /// Magnitudes and phases in turns from the middle of the window of frames without the signal's ends.
    fn analysed(samples: usize, signal: impl Fn(f64) -> f64) -> (Vec<f32>, Vec<f32>) {
        let signal: Vec<f32> = (0..samples).map(|i| signal(i as f64) as f32).collect();
        let (mut transform, mut spectrum) = (Transform::new(), [Complex32::ZERO; BINS]);
        let (mut magnitudes, mut phases) = (Vec::new(), Vec::new());
        Framer::new().push([&signal], |[frame]| {
            transform.forward(frame, &mut spectrum);
            magnitudes.extend(spectrum.iter().map(|amplitude| amplitude.norm()));
            phases.extend(
                (0..).zip(&spectrum).map(|(bin, amplitude)| amplitude.arg() / (2.0 * PI) + (bin % 2) as f32 / 2.0),
            );
        });
        (magnitudes.split_off(2 * BINS), phases.split_off(2 * BINS))
    }

    /// Integrates from the first frame's phases and gives the largest error in turns over the bins of each frame that
    /// are at most 20 dB under its largest.
    fn largest_errors(magnitudes: &[f32], phases: &[f32]) -> Vec<f32> {
        let seed = phases.first_chunk().unwrap();
        let mut integrator = PhaseIntegrator::default();
        let integrated = integrator.integrate(magnitudes, Some(seed), 0, 1e-4);
        let frames = magnitudes.chunks(BINS).zip(phases.chunks(BINS).zip(integrated.chunks(BINS)));
        let error = |(magnitudes, (phases, integrated)): (&[f32], (&[f32], &[f32]))| {
            let loud = 0.1 * magnitudes.iter().copied().fold(0.0, f32::max);
            let bins = magnitudes.iter().zip(phases.iter().zip(integrated)).filter(|(magnitude, _)| **magnitude > loud);
            bins.map(|(_, (phase, integrated))| phase - integrated).map(|e| (e - nearest(e)).abs()).fold(0.0, f32::max)
        };
        frames.map(error).collect()
    }

    #[test]
    fn stationary_sine_keeps_its_phase() {
        for bin in [20.0, 40.13, 77.37, 120.5, 160.81] {
            let (magnitudes, phases) =
                analysed(48_000, |i| (2.0 * std::f64::consts::PI * (bin * i / WINDOW as f64 + 0.2)).sin());
            let errors = largest_errors(&magnitudes, &phases);
            assert!(errors.len() > 100);
            // The frequency is exact, so errors don't grow: a turn's hundredth after 2 s.
            assert!(errors.iter().all(|&error| error < 0.01), "bin {bin}: {errors:?}");
        }
    }

    #[test]
    fn chirp_is_followed() {
        // From 1500 Hz upwards by 1000 Hz a second; the phase is quadratic in time.
        let (magnitudes, phases) = analysed(24_000, |i| {
            let seconds = i / 24_000.0;
            (2.0 * std::f64::consts::PI * (1500.0 * seconds + 500.0 * seconds * seconds)).sin()
        });
        let errors = largest_errors(&magnitudes, &phases);
        // It crosses four bins in the length of a window, so gradients are rough; but errors don't grow over some 1500
        // turns. The last frame has no frame after it for its slopes.
        let (_, errors) = errors.split_last().unwrap();
        assert!(errors.len() > 50 && errors.iter().all(|&error| error < 0.2), "{errors:?}");
    }

    #[test]
    fn impulse_has_its_place_in_the_slope() {
        // Closed form: an impulse τ samples after the middle has the phase −τ k / W turns at bin k.
        for delay in [-300, -100, 0, 7, 250, 383] {
            let (magnitudes, _) = analysed(8000, |i| if i == f64::from(5 * 384 + delay) { 1.0 } else { 0.0 });
            let mut slopes = vec![0.0; magnitudes.len()];
            gradients(&magnitudes, &mut vec![0.0; magnitudes.len()], &mut slopes);
            let expected = -delay as f32 / WINDOW as f32;
            let frame = &slopes[3 * BINS..4 * BINS];
            assert!(frame.iter().all(|slope| (slope - expected).abs() < 1e-4), "{delay}: {:?}", &frame[..3]);
        }
    }

    #[test]
    fn clicks_are_found_in_their_place_and_nowhere_else() {
        for delay in [-180, -90, 0, 50, 191] {
            let at = f64::from(10 * 384 + delay);
            let (magnitudes, _) = analysed(9000, |i| if i == at { 0.5 } else { 0.0 });
            let [Click { row: 8, slope }] = clicks(&magnitudes)[..] else {
                panic!("{delay}: {:?}", clicks(&magnitudes));
            };
            assert!((slope + delay as f32 / WINDOW as f32).abs() < 1e-4, "{delay}: {slope}");
        }
        let (noise, _) = analysed(48_000, |i| (noise::hash(i as u64) >> 40) as f64 / f64::from(1 << 23) - 1.0);
        assert_eq!(clicks(&noise), []);
        let (attack, _) = analysed(9000, |i| if i < 4000.0 { 0.0 } else { (i * i).sin() });
        assert_eq!(clicks(&attack), []);
    }

    #[test]
    fn high_bins_begin_at_random_but_for_clicks() {
        // Of steady magnitudes, integration would make slopes of zero: an impulse in the middle of every frame.
        let magnitudes = vec![1.0; 6 * BINS];
        let mut integrator = PhaseIntegrator::default();
        let phases = integrator.integrate(&magnitudes, None, 7, 1e-4);
        for frame in phases.chunks_exact(BINS) {
            let spread = |bins: &[f32]| {
                let (mut re, mut im) = (0.0, 0.0);
                let every_fourth = bins.iter().step_by(4); // which a hop takes by whole turns
                every_fourth.for_each(|p| (re, im) = (re + (2.0 * PI * p).cos(), im + (2.0 * PI * p).sin()));
                1.0 - re.hypot(im) / bins.len().div_ceil(4) as f32
            };
            assert!(spread(&frame[..LOW_BINS]) < 0.01 && spread(&frame[LOW_BINS..]) > 0.8);
        }
    }

    #[test]
    fn quiet_bins_have_the_same_phases_in_every_block() {
        let magnitudes: Vec<f32> = (0..4 * BINS).map(|i| if i % 7 == 0 { 1.0 } else { 1e-6 }).collect();
        let phases = PhaseIntegrator::default().integrate(&magnitudes, None, 100, 1e-4).to_vec();
        let later = PhaseIntegrator::default().integrate(&magnitudes[2 * BINS..], None, 102, 1e-4).to_vec();
        let quiet = (0..2 * BINS).filter(|i| !(2 * BINS + i).is_multiple_of(7));
        assert!(quiet.clone().all(|i| phases[2 * BINS + i] == later[i]));
        let mean = quiet.clone().map(|i| later[i]).sum::<f32>() / quiet.count() as f32;
        assert!((mean - 0.5).abs() < 0.05, "phases are spread over the turn");
    }

    #[test]
    fn all_bins_get_phases_whatever_the_magnitudes() {
        for magnitudes in [vec![0.0; 3 * BINS], vec![1e-40; 3 * BINS], vec![1e30; 3 * BINS]] {
            let seed = [0.25; BINS];
            for seed in [None, Some(&seed)] {
                let mut integrator = PhaseIntegrator::default();
                assert!(integrator.integrate(&magnitudes, seed, 0, 1e-4).iter().all(|phase| phase.abs() <= 1.0));
                assert!(integrator.known.iter().all(|&known| known));
            }
        }
    }

    #[test]
    fn queue_gives_loud_bins_first() {
        let magnitudes: Vec<f32> = (0..1000).map(|i| 10f32.powf((i * 7919 % 1000) as f32 / -250.0)).collect();
        let mut queue = LevelQueue::default();
        queue.clear(1000, 1.0);
        for (index, &magnitude) in magnitudes.iter().enumerate() {
            queue.push(index, magnitude);
        }
        let order: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order.len(), 1000);
        // Equal but for the width of a level, which is at most 2^(1/8) in amplitude.
        assert!(order.windows(2).all(|pair| magnitudes[pair[0]] > 0.9 * magnitudes[pair[1]]));
    }
}
