//! A streaming change of sample rate, aligned in time and of exact length.
//!
//! rubato's FFT resampler works on chunks whose input and output lengths stand in the ratio of the rates. Its filter is
//! centred within the chunk, so the delay is half a chunk; with an odd chunk that would be a fraction of a sample, and
//! rounding it shifts the signal. Chunks here are therefore even on both sides. They are filled before anything is
//! transformed, so the result doesn't depend on how the input is cut.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::format::SAMPLE_RATES;
use crate::{Error, Result};

/// The least length of a chunk in frames at the lower of the two rates. Longer chunks have steeper filters: with 1024
/// the pass band ends at 0.987 of the lower Nyquist frequency.
const MIN_CHUNK: usize = 1024;

/// The length of `frames` at `rate_in` after a change to `rate_out`: ⌈frames · rate_out / rate_in⌉.
pub fn resampled_length(frames: u64, rate_in: u32, rate_out: u32) -> u64 {
    let exact = (u128::from(frames) * u128::from(rate_out)).div_ceil(u128::from(rate_in.max(1)));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

/// Changes the sample rate of one stream of interleaved samples.
pub struct Resampler {
    /// Nothing if the rates are equal.
    fft: Option<Fft<f32>>,
    channels: usize,
    rate_in: u32,
    rate_out: u32,
    chunk_in: usize,
    chunk_out: usize,
    /// Input that doesn't fill a chunk yet.
    pending: Vec<f32>,
    /// Output of one chunk.
    block: Vec<f32>,
    /// Frames of the filter's delay that are still to be dropped.
    delay: usize,
    frames_in: u64,
    frames_out: u64,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rate_in, rate_out, channels, .. } = self;
        write!(f, "Resampler({rate_in} to {rate_out} Hz, {channels} channels)")
    }
}

impl Resampler {
    /// A resampler between two rates in hertz, both within [`SAMPLE_RATES`].
    ///
    /// # Errors
    /// [`Error::Usage`] for other rates.
    pub fn new(rate_in: u32, rate_out: u32, channels: usize) -> Result<Self> {
        for rate in [rate_in, rate_out] {
            if !SAMPLE_RATES.contains(&rate) {
                return Err(Error::usage(format!("can't resample from {rate_in} to {rate_out} Hz")));
            }
        }
        let (chunk_in, chunk_out) = chunk_lengths(rate_in as usize, rate_out as usize);
        let mut resampler = Self {
            fft: None,
            channels,
            rate_in,
            rate_out,
            chunk_in,
            chunk_out,
            pending: Vec::new(),
            block: Vec::new(),
            delay: 0,
            frames_in: 0,
            frames_out: 0,
        };
        if rate_in != rate_out {
            let window = WindowFunction::BlackmanHarris2;
            let (input, output) = (rate_in as usize, rate_out as usize);
            let fft =
                Fft::new_custom(input, output, chunk_in, 1, channels, window, FixedSync::Both).map_err(internal)?;
            if fft.fft_size_in() != chunk_in || fft.fft_size_out() != chunk_out {
                return Err(internal("an unexpected chunk length"));
            }
            resampler.delay = fft.output_delay();
            resampler.block = vec![0.0; chunk_out * channels];
            resampler.pending.reserve(chunk_in * channels);
            resampler.fft = Some(fft);
        }
        Ok(resampler)
    }

    /// Takes whole interleaved frames and appends those that are ready to `output`.
    ///
    /// # Errors
    /// Only for a defect of the resampler itself.
    pub fn push(&mut self, input: &[f32], output: &mut Vec<f32>) -> Result<()> {
        debug_assert_eq!(input.len() % self.channels, 0, "whole frames only");
        self.frames_in += (input.len() / self.channels) as u64;
        if self.fft.is_none() {
            self.frames_out = self.frames_in;
            output.extend_from_slice(input);
            return Ok(());
        }
        let mut rest = input;
        while !rest.is_empty() {
            let wanted = self.chunk_in * self.channels - self.pending.len();
            let (now, later) = rest.split_at(wanted.min(rest.len()));
            self.pending.extend_from_slice(now);
            rest = later;
            if now.len() == wanted {
                self.process(u64::MAX, output)?;
            }
        }
        Ok(())
    }

    /// Appends the rest of the output, which is then [`resampled_length`] of the input in all.
    ///
    /// # Errors
    /// Only for a defect of the resampler itself.
    pub fn finish(mut self, output: &mut Vec<f32>) -> Result<()> {
        let total = resampled_length(self.frames_in, self.rate_in, self.rate_out);
        while self.frames_out < total {
            self.pending.resize(self.chunk_in * self.channels, 0.0);
            self.process(total, output)?;
        }
        Ok(())
    }

    /// Transforms the full chunk in `pending`; `total` bounds the frames given in all.
    fn process(&mut self, total: u64, output: &mut Vec<f32>) -> Result<()> {
        let Some(fft) = &mut self.fft else { return Ok(()) };
        let input = InterleavedSlice::new(&self.pending, self.channels, self.chunk_in).map_err(internal)?;
        let mut block = InterleavedSlice::new_mut(&mut self.block, self.channels, self.chunk_out).map_err(internal)?;
        fft.process_into_buffer(&input, &mut block, None).map_err(internal)?;
        self.pending.clear();
        let skipped = self.delay.min(self.chunk_out);
        self.delay -= skipped;
        let room = usize::try_from(total - self.frames_out).unwrap_or(usize::MAX);
        let kept = (self.chunk_out - skipped).min(room);
        output.extend_from_slice(&self.block[skipped * self.channels..(skipped + kept) * self.channels]);
        self.frames_out += kept as u64;
        Ok(())
    }
}

/// Even chunk lengths in the ratio of the rates, neither shorter than [`MIN_CHUNK`].
///
/// Rates with a small common divisor make long chunks: 383,998 frames (2 s) for 191,999 Hz, some 25 MB per channel.
fn chunk_lengths(rate_in: usize, rate_out: usize) -> (usize, usize) {
    let divisor = greatest_common_divisor(rate_in, rate_out);
    let (part_in, part_out) = (rate_in / divisor, rate_out / divisor);
    let parts = MIN_CHUNK.div_ceil(part_in.min(part_out)).next_multiple_of(2);
    (parts * part_in, parts * part_out)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::usage(format!("resampling failed: {error}"))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    fn resample(input: &[f32], rate_in: u32, rate_out: u32, channels: usize) -> Vec<f32> {
        let mut output = Vec::new();
        let mut resampler = Resampler::new(rate_in, rate_out, channels).unwrap();
        resampler.push(input, &mut output).unwrap();
        resampler.finish(&mut output).unwrap();
        output
    }

    fn sine(frequency: f64, rate: u32, frames: usize) -> Vec<f32> {
        let step = TAU * frequency / f64::from(rate);
        (0..frames).map(|n| (0.5 * (step * n as f64).sin()) as f32).collect()
    }

    /// Signal to error ratio in dB of a resampled sine against the sine sampled at the new rate, without the ends.
    fn sine_snr(frequency: f64, rate_in: u32, rate_out: u32) -> f64 {
        let edge = 0.1f64.max(chunk_lengths(rate_in as usize, rate_out as usize).0 as f64 / f64::from(rate_in));
        let seconds = 0.5 + 2.0 * edge;
        let output = resample(&sine(frequency, rate_in, (seconds * f64::from(rate_in)) as usize), rate_in, rate_out, 1);
        let ideal = sine(frequency, rate_out, output.len());
        let margin = (edge * f64::from(rate_out)) as usize;
        let interior = margin..output.len() - margin;
        let power = |x: f64| x * x;
        let signal: f64 = ideal[interior.clone()].iter().map(|&x| power(x.into())).sum();
        let error: f64 = interior.map(|n| power(f64::from(output[n]) - f64::from(ideal[n]))).sum();
        10.0 * (signal / error).log10()
    }

    #[test]
    fn sines_keep_their_shape_and_place() {
        for (rate_in, rate_out) in [(44_100, 24_000), (48_000, 24_000), (8_000, 24_000), (96_000, 24_000)] {
            for (rate_in, rate_out) in [(rate_in, rate_out), (rate_out, rate_in)] {
                let nyquist = f64::from(rate_in.min(rate_out)) / 2.0;
                for frequency in [100.0, 1000.0, 0.5 * nyquist, 0.9 * nyquist, 0.96 * nyquist] {
                    let snr = sine_snr(frequency, rate_in, rate_out);
                    assert!(snr > 90.0, "{rate_in} to {rate_out} Hz: {snr:.1} dB at {frequency} Hz");
                }
            }
        }
    }

    #[test]
    fn awkward_rates_work_too() {
        for rate in [11_025, 22_050, 37_800, 44_056, 44_099, 16_001, 176_400, 191_999, 192_000] {
            for (rate_in, rate_out) in [(rate, 24_000), (24_000, rate)] {
                for frequency in [1000.0, 0.48 * f64::from(rate_in.min(rate_out))] {
                    let snr = sine_snr(frequency, rate_in, rate_out);
                    assert!(snr > 90.0, "{rate_in} to {rate_out} Hz: {snr:.1} dB at {frequency} Hz");
                }
            }
        }
    }

    #[test]
    fn what_lies_above_the_lower_nyquist_frequency_is_removed() {
        let output = resample(&sine(12_500.0, 44_100, 44_100), 44_100, 24_000, 1);
        let peak = output[2400..21_600].iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        assert!(peak < 0.5e-4, "aliased at {peak}"); // 80 dB under the input
    }

    #[test]
    fn an_impulse_stays_where_it_was() {
        // 147 frames in are 80 frames out: an impulse at a multiple of 147 must peak at that of 80, symmetrically.
        for (rate_in, rate_out, at, expected) in
            [(44_100, 24_000, 147 * 20, 80 * 20), (24_000, 44_100, 80 * 20, 147 * 20), (48_000, 24_000, 3000, 1500)]
        {
            let mut input = vec![0.0; at * 2];
            input[at] = 1.0;
            let output = resample(&input, rate_in, rate_out, 1);
            let peak = (0..output.len()).max_by(|&a, &b| output[a].total_cmp(&output[b])).unwrap();
            assert_eq!(peak, expected, "{rate_in} to {rate_out} Hz");
            for offset in 1..200 {
                let (before, after) = (output[peak - offset], output[peak + offset]);
                assert!((before - after).abs() < 1e-6, "{rate_in} to {rate_out} Hz: skewed at {offset}");
            }
        }
    }

    #[test]
    fn channels_stay_apart() {
        let left = sine(440.0, 44_100, 5000);
        let interleaved: Vec<f32> = left.iter().flat_map(|&x| [x, -0.25]).collect();
        let output = resample(&interleaved, 44_100, 24_000, 2);
        let alone = resample(&left, 44_100, 24_000, 1);
        assert!(output.chunks(2).zip(&alone).all(|(frame, &x)| frame[0] == x));
        assert!(output[2000..3000].chunks(2).all(|frame| (frame[1] + 0.25).abs() < 1e-3));
    }

    #[test]
    fn lengths_are_exact_and_survive_the_way_back() {
        for rate in [8_000, 11_025, 44_056, 44_100, 48_000, 192_000] {
            for frames in [0u64, 1, 2, 147, 1175, 1176, 1177, 10_000] {
                let there = resample(&vec![0.1; frames as usize], rate, 24_000, 1).len() as u64;
                assert_eq!(there, (frames * 24_000).div_ceil(u64::from(rate)));
                let back = resample(&vec![0.1; there as usize], 24_000, rate, 1).len() as u64;
                assert!(back >= frames, "{frames} frames at {rate} Hz came back as {back}");
            }
        }
        assert_eq!(resampled_length(u64::MAX, 8_000, 192_000), u64::MAX);
        assert_eq!(resampled_length(1 << 60, 48_000, 24_000), 1 << 59);
    }

    #[test]
    fn equal_rates_pass_through_and_others_are_refused() {
        let input = sine(1000.0, 24_000, 777);
        assert_eq!(resample(&input, 24_000, 24_000, 1), input);
        assert!(Resampler::new(7_999, 24_000, 1).is_err());
        assert!(Resampler::new(24_000, 192_001, 1).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn the_result_does_not_depend_on_how_the_input_is_cut(
            cuts in prop::collection::vec(0usize..3000, 1..12),
            rate in prop::sample::select(vec![8_000u32, 22_050, 44_100, 48_000]),
        ) {
            let input: Vec<f32> = sine(777.0, rate, 8000);
            let whole = resample(&input, rate, 24_000, 2);
            let (mut output, mut rest) = (Vec::new(), &input[..]);
            let mut resampler = Resampler::new(rate, 24_000, 2).unwrap();
            for cut in cuts {
                let (now, later) = rest.split_at((2 * cut).min(rest.len()));
                resampler.push(now, &mut output).unwrap();
                rest = later;
            }
            resampler.push(rest, &mut output).unwrap();
            resampler.finish(&mut output).unwrap();
            prop_assert_eq!(output, whole);
        }
    }
}
