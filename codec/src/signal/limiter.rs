//! A limiter of single peaks: samples that are beyond full scale are brought under it by gains that last half a
//! millisecond, and everything else passes untouched, to the last bit. A longer release, as limiters in music production
//! have, would take down whole passages where peaks are dense: a codec must not change loudness.
//!
//! Each frame has a gain that it needs. The least of them within the reach on either side, averaged over the same reach
//! by a Hann window, is never above the need of the frame itself, because every value in that average already allows for it.

use std::collections::VecDeque;
use std::f64::consts::PI;

/// The highest magnitude let through: −0.1 dB below full scale.
const CEILING: f32 = 0.988_553_1;
/// How far on either side a peak is felt in the least gain, and that again by the average. Of 0.25 to 2 ms, this costs the
/// least level and changes the spectrum little more than the best of them.
const REACH_SECONDS: f64 = 0.000_25;

/// Limits the peaks of one stream of interleaved samples, with one gain for all channels.
#[derive(Debug, Clone)]
pub struct Limiter {
    channels: usize,
    /// Frames on either side.
    reach: usize,
    /// Weights of the average, from `reach` frames before to as many after.
    weights: Vec<f32>,
    /// Frames waiting for their gain, interleaved.
    delayed: VecDeque<f32>,
    /// Number and needed gain of those of the last frames that no later frame undercuts.
    minima: VecDeque<(u64, f32)>,
    /// The last of the least gains.
    window: VecDeque<f32>,
    /// How many of them are below 1.
    reduced: usize,
    frames: u64,
    /// Frames since the last one that needed a gain.
    quiet: u64,
}

impl Limiter {
    /// A limiter for a sample rate in hertz.
    pub fn new(sample_rate: u32, channels: usize) -> Self {
        let reach = (REACH_SECONDS * f64::from(sample_rate)).ceil() as usize;
        let window = (1..2 * reach + 2).map(|i| 1.0 - (PI * i as f64 / (reach + 1) as f64).cos());
        let sum = 2.0 * (reach + 1) as f64;
        Self {
            channels: channels.max(1),
            reach,
            weights: window.map(|weight| (weight / sum) as f32).collect(),
            delayed: VecDeque::new(),
            minima: VecDeque::new(),
            window: VecDeque::new(),
            reduced: 0,
            frames: 0,
            quiet: 0,
        }
    }

    /// Takes whole interleaved frames and appends those whose gain is known to `output`.
    pub fn push(&mut self, input: &[f32], output: &mut Vec<f32>) {
        let input = &input[..input.len() / self.channels * self.channels];
        if self.quiet > 2 * self.weights.len() as u64 && input.iter().all(|sample| sample.abs() <= CEILING) {
            // No peak is in reach, as is so nearly always: the frames only wait for their turn.
            self.delayed.extend(input);
            output.extend(self.delayed.drain(..input.len()));
            self.frames += (input.len() / self.channels) as u64;
            return;
        }
        for frame in input.chunks_exact(self.channels) {
            let peak = frame.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
            self.delayed.extend(frame);
            self.step(if peak <= CEILING { 1.0 } else { CEILING / peak }, output);
        }
    }

    /// Appends the frames that are still held back; in all as many come out as went in.
    pub fn finish(mut self, output: &mut Vec<f32>) {
        while !self.delayed.is_empty() {
            self.step(1.0, output);
        }
    }

    /// Advances by one frame that needs the gain `needed`, and gives out the frame two reaches before it.
    fn step(&mut self, needed: f32, output: &mut Vec<f32>) {
        let width = 2 * self.reach as u64 + 1;
        while self.minima.back().is_some_and(|&(_, gain)| gain >= needed) {
            self.minima.pop_back();
        }
        self.minima.push_back((self.frames, needed));
        self.quiet = if needed < 1.0 { 0 } else { self.quiet + 1 };
        if self.minima.front().is_some_and(|&(frame, _)| frame + width <= self.frames) {
            self.minima.pop_front();
        }
        self.frames += 1;
        let least = self.minima.front().map_or(1.0, |&(_, gain)| gain);
        self.window.push_back(least);
        self.reduced += usize::from(least < 1.0);
        if self.window.len() > self.weights.len() {
            let past = self.window.pop_front();
            self.reduced -= usize::from(past.is_some_and(|gain| gain < 1.0));
        }
        if self.window.len() < self.weights.len() {
            return;
        }
        let frame = self.delayed.drain(..self.channels.min(self.delayed.len()));
        if self.reduced == 0 {
            output.extend(frame);
            return;
        }
        let gain: f32 = self.window.iter().zip(&self.weights).map(|(gain, weight)| gain * weight).sum();
        output.extend(frame.map(|sample| (sample * gain).clamp(-CEILING, CEILING))); // clamps rounding only
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(input: &[f32], channels: usize) -> Vec<f32> {
        let mut output = Vec::new();
        let mut limiter = Limiter::new(24_000, channels);
        limiter.push(input, &mut output);
        limiter.finish(&mut output);
        output
    }

    #[test]
    fn the_ceiling_is_a_tenth_of_a_decibel_down() {
        assert!((20.0 * CEILING.log10() + 0.1).abs() < 1e-5);
    }

    #[test]
    fn what_is_half_a_millisecond_from_a_peak_is_untouched() {
        let quiet: Vec<f32> = (0..3000).map(|n| 0.98 * (n as f32 * 0.7).sin()).collect();
        assert_eq!(limit(&quiet, 1), quiet);
        let mut loud = quiet.clone();
        loud[1000] = 3.0;
        let output = limit(&loud, 1);
        assert_eq!(output[..1000 - 12], quiet[..1000 - 12]);
        assert_eq!(output[1000 + 13..], quiet[1000 + 13..]);
        assert!((output[1000] - CEILING).abs() < 1e-3, "{}", output[1000]);
        assert_eq!(limit(&quiet[..1], 2), Vec::<f32>::new()); // half a frame is none
        assert_eq!(limit(&[0.5], 1), [0.5]);
    }

    #[test]
    fn peaks_after_long_quiet_are_limited_all_the_same() {
        let mut input: Vec<f32> = (0..4000).map(|n| 0.9 * (n as f32 * 0.3).sin()).collect();
        for at in [10, 1500, 1501, 3990] {
            input[at] = 2.5;
        }
        let whole = limit(&input, 1);
        assert!(whole.iter().all(|sample| sample.abs() <= CEILING) && whole.len() == input.len());
        for length in [1, 7, 64, 500] {
            let (mut pieces, mut limiter) = (Vec::new(), Limiter::new(24_000, 1));
            input.chunks(length).for_each(|piece| limiter.push(piece, &mut pieces));
            limiter.finish(&mut pieces);
            assert_eq!(pieces, whole, "pieces of {length}");
        }
    }

    #[test]
    fn the_gain_is_shared_and_smooth() {
        let mut input = vec![0.5; 2 * 600];
        for frame in 300..310 {
            input[2 * frame] = 2.0;
        }
        let output = limit(&input, 2);
        let gains: Vec<f32> = output.chunks(2).map(|frame| frame[1] / 0.5).collect();
        assert!((gains[300] - CEILING / 2.0).abs() < 1e-3, "the quiet channel follows: {}", gains[300]);
        let steepest = gains.windows(2).fold(0.0f32, |most, pair| most.max((pair[1] - pair[0]).abs()));
        // The steepest of the weights is 2 / (2 · 7).
        assert!(steepest <= 1.01 * (1.0 - CEILING / 2.0) / 7.0, "{steepest}");
    }

    /// Noise of −5.8 dB with 5 % of its samples beyond full scale: a clipper, which takes the least level that is
    /// possible, takes 0.42 dB (twice (1 − c²) Q(c) + c φ(c) for normal noise and c = 1.93).
    #[test]
    fn dense_peaks_cost_little_level() {
        let uniform = |i: u64| (crate::signal::noise::hash(i) >> 40) as f64 / f64::from(1 << 24);
        let normal = |i: u64| (-2.0 * (1.0 - uniform(2 * i)).ln()).sqrt() * (2.0 * PI * uniform(2 * i + 1)).cos();
        // Low-passed, as music is: a one-pole filter of unit power.
        let mut state = 0.0;
        let input: Vec<f32> = (0..48_000)
            .map(|i| {
                state = 0.9 * state + (1.0f64 - 0.81).sqrt() * normal(i);
                (0.513 * state) as f32
            })
            .collect();
        let power = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let over = input.iter().filter(|x| x.abs() > CEILING).count();
        assert!((1800..3000).contains(&over), "{over}");
        let lost = 10.0 * (power(&input) / power(&limit(&input, 1))).log10();
        assert!(lost < 1.05, "{lost} dB"); // 3.4 dB with a release of 50 ms
    }

    proptest! {
        #[test]
        fn peaks_never_pass_and_nothing_is_lost(
            input in prop::collection::vec(-4.0f32..4.0, 0..2000), cut in 0usize..1000,
        ) {
            let input = &input[..input.len() / 2 * 2];
            let output = limit(input, 2);
            prop_assert_eq!(output.len(), input.len());
            prop_assert!(output.iter().all(|sample| sample.abs() <= CEILING));
            prop_assert!(output.iter().zip(input).all(|(a, b)| a.abs() <= b.abs() && a * b >= 0.0));
            let (mut pieces, mut limiter) = (Vec::new(), Limiter::new(24_000, 2));
            let (first, second) = input.split_at((2 * cut).min(input.len()));
            limiter.push(first, &mut pieces);
            limiter.push(second, &mut pieces);
            limiter.finish(&mut pieces);
            prop_assert_eq!(pieces, output);
        }
    }
}
