//! A look-ahead peak limiter: decoded audio never clips, and audio that needs no help passes untouched.
//!
//! The gain that each frame needs is held for the look-ahead time before its peak (a sliding minimum), recovers
//! exponentially after it, and is then averaged over the look-ahead time. Every value in that average already allows
//! for the peak, so the smooth gain does too. Gains are integers in units of 2⁻³⁰, which keeps the running sum exact:
//! at rest the gain is 1 to the last bit, however long the stream.

use std::collections::VecDeque;

/// The highest magnitude let through: −0.1 dB below full scale.
const CEILING: f32 = 0.988_553_1;
const LOOK_AHEAD_SECONDS: f64 = 0.005;
const RELEASE_SECONDS: f64 = 0.05;
/// A gain of 1.
const UNITY: u32 = 1 << 30;

/// Limits the peaks of one stream of interleaved samples, with one gain for all channels.
#[derive(Debug)]
pub struct Limiter {
    channels: usize,
    look_ahead: usize,
    /// The part of the gain reduction that remains after one frame, in units of 2⁻³².
    release: u64,
    /// Frames waiting for their gain, interleaved.
    delayed: VecDeque<f32>,
    /// Frame number and gain of those frames in the look-ahead window that no later frame undercuts.
    minima: VecDeque<(u64, u32)>,
    /// Gain reduction after the release.
    reduction: u32,
    /// The last `look_ahead + 1` gains and their sum.
    window: VecDeque<u32>,
    sum: u64,
    frames: u64,
}

impl Limiter {
    /// A limiter for a sample rate in hertz.
    pub fn new(sample_rate: u32, channels: usize) -> Self {
        let rate = f64::from(sample_rate);
        Self {
            channels,
            look_ahead: (LOOK_AHEAD_SECONDS * rate) as usize,
            release: ((-1.0 / (RELEASE_SECONDS * rate)).exp() * 2f64.powi(32)) as u64,
            delayed: VecDeque::new(),
            minima: VecDeque::new(),
            reduction: 0,
            window: VecDeque::new(),
            sum: 0,
            frames: 0,
        }
    }

    /// Takes whole interleaved frames and appends those whose gain is known to `output`.
    pub fn push(&mut self, input: &[f32], output: &mut Vec<f32>) {
        for frame in input.chunks_exact(self.channels) {
            let peak = frame.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
            let needed = if peak <= CEILING { UNITY } else { (CEILING / peak * UNITY as f32) as u32 };
            self.delayed.extend(frame);
            self.step(needed, output);
        }
    }

    /// Appends the frames that are still held back; in all as many come out as went in.
    pub fn finish(mut self, output: &mut Vec<f32>) {
        while !self.delayed.is_empty() {
            self.step(UNITY, output);
        }
    }

    /// Advances by one frame that needs the gain `needed`, and gives out the frame `look_ahead` before it.
    fn step(&mut self, needed: u32, output: &mut Vec<f32>) {
        while self.minima.back().is_some_and(|&(_, gain)| gain >= needed) {
            self.minima.pop_back();
        }
        self.minima.push_back((self.frames, needed));
        if self.minima.front().is_some_and(|&(frame, _)| frame + (self.look_ahead as u64) < self.frames) {
            self.minima.pop_front();
        }
        self.frames += 1;
        let least = self.minima.front().map_or(UNITY, |&(_, gain)| gain);
        let released = (u64::from(self.reduction) * self.release) >> 32;
        self.reduction = (UNITY - least).max(released as u32);
        let gain = UNITY - self.reduction;
        self.window.push_back(gain);
        self.sum += u64::from(gain);
        if self.window.len() > self.look_ahead + 1 {
            self.sum -= u64::from(self.window.pop_front().unwrap_or(0));
        }
        if self.window.len() == self.look_ahead + 1 {
            let gain = (self.sum as f64 / (self.window.len() as f64 * f64::from(UNITY))) as f32;
            let frame = self.delayed.drain(..self.channels.min(self.delayed.len()));
            output.extend(frame.map(|sample| (sample * gain).clamp(-CEILING, CEILING))); // clamps rounding only
        }
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
    fn quiet_audio_is_untouched_even_after_a_peak() {
        let quiet: Vec<f32> = (0..30_000).map(|n| 0.98 * (n as f32 * 0.7).sin()).collect();
        assert_eq!(limit(&quiet, 1), quiet);
        let mut loud = quiet.clone();
        loud[1000] = 3.0;
        let output = limit(&loud, 1);
        assert_eq!(output[..1000 - 240], quiet[..1000 - 240]);
        assert_eq!(output[25_000..], quiet[25_000..]); // 1 s later: twenty time constants
        assert_eq!(limit(&quiet[..1], 2), Vec::<f32>::new()); // half a frame is none
        assert_eq!(limit(&[0.5], 1), [0.5]);
    }

    #[test]
    fn the_gain_is_shared_and_smooth() {
        let mut input = vec![0.5; 2 * 6000];
        for frame in 3000..3010 {
            input[2 * frame] = 2.0;
        }
        let output = limit(&input, 2);
        let gains: Vec<f32> = output.chunks(2).map(|frame| frame[1] / 0.5).collect();
        assert!((output[2 * 3000] - CEILING).abs() < 0.01 * CEILING, "{}", output[2 * 3000]);
        assert!((gains[3000] - CEILING / 2.0).abs() < 0.01, "the quiet channel follows");
        let steepest = gains.windows(2).fold(0.0f32, |most, pair| most.max((pair[1] - pair[0]).abs()));
        assert!(steepest <= 1.01 * (1.0 - CEILING / 2.0) / 121.0, "{steepest}");
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
