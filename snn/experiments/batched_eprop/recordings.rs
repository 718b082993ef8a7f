//! Recordings of spoken digits as spikes: the codec's analysis, in bands of three of its own up to 4 kHz, and a pair of
//! inputs per band that fire when its level has risen or fallen by a step since the last spike.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use spiccato::signal::{BANDS, FeatureScale, Loudness, analyze};

use spiccato_neurons::Random;
use spiccato_snn::wav::read_at_codec_rate;

/// Frames of 16 ms that are looked at; most recordings are shorter.
pub(super) const FRAMES: usize = 45;
const CHANNELS: usize = 64;
/// Inputs of a network: rising and falling levels.
pub(super) const INPUTS: usize = 2 * CHANNELS;
/// Bands of the codec in a channel.
const WIDTH: usize = 3;
/// Change of level that makes an input fire, in nepers: some 6 dB.
const LEVEL: f32 = 0.7;
pub(super) const DIGITS: usize = 10;

/// Spikes of recordings and the digits that are spoken.
pub(super) struct Recordings {
    /// (recordings, frames, inputs), 0 or 1.
    spikes: Vec<f32>,
    digits: Vec<usize>,
}

impl Recordings {
    /// Those to learn from and those to test on, which are the first five of every speaker and digit, of a folder with files
    /// named DIGIT_SPEAKER_NUMBER.wav.
    pub(super) fn read(folder: &Path) -> Result<(Self, Self)> {
        let mut files = Vec::new();
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry.with_context(|| folder.display().to_string())?.path();
            if path.extension().is_some_and(|extension| extension == "wav") {
                files.push(path);
            }
        }
        files.sort();
        let read = files.par_iter().map(|path| -> Result<_> {
            let (digit, number) = digit_and_number(path)
                .with_context(|| format!("{}: not named DIGIT_SPEAKER_NUMBER.wav", path.display()))?;
            Ok((spikes(&read_at_codec_rate(path)?), digit, number))
        });
        let (mut train, mut test) =
            (Self { spikes: Vec::new(), digits: Vec::new() }, Self { spikes: Vec::new(), digits: Vec::new() });
        for recording in read.collect::<Vec<_>>() {
            let (spikes, digit, number) = recording?;
            let part = if number < 5 { &mut test } else { &mut train };
            part.spikes.extend(spikes);
            part.digits.push(digit);
        }
        let some = !train.digits.is_empty() && !test.digits.is_empty();
        ensure!(some, "{}: no recordings to learn from or none to test on", folder.display());
        Ok((train, test))
    }

    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }

    /// All indices, in random order.
    pub(super) fn shuffled(&self, random: &mut Random) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        random.shuffle(&mut order);
        order
    }

    /// Spikes (batch, frames, inputs) and digits of some.
    pub(super) fn batch(&self, indices: &[usize]) -> Result<(Tensor, Vec<usize>)> {
        let size = FRAMES * INPUTS;
        let spikes: Vec<f32> = indices.iter().flat_map(|&i| &self.spikes[i * size..][..size]).copied().collect();
        let digits = indices.iter().map(|&i| self.digits[i]).collect();
        Ok((Tensor::from_vec(spikes, (indices.len(), FRAMES, INPUTS), &Device::Cpu)?, digits))
    }
}

fn digit_and_number(path: &Path) -> Option<(usize, usize)> {
    let mut parts = path.file_stem()?.to_str()?.split('_');
    let digit = parts.next()?.parse().ok().filter(|digit| *digit < DIGITS)?;
    Some((digit, parts.nth(1)?.parse().ok()?))
}

/// Spikes (frames, inputs); silence follows a short recording.
fn spikes(samples: &[f32]) -> Vec<f32> {
    let mut loudness = Loudness::new();
    loudness.push(samples);
    let mut features = Vec::new();
    let scale = FeatureScale::first(BANDS);
    scale.features(&analyze(samples), loudness.gain(), &mut features);
    let mut spikes = vec![0.0; FRAMES * INPUTS];
    let mut last = [scale.floor()[0].ln(); CHANNELS];
    for (frame, spikes) in features.chunks_exact(BANDS).zip(spikes.chunks_exact_mut(INPUTS)) {
        let (rising, falling) = spikes.split_at_mut(CHANNELS);
        for (channel, bands) in frame.chunks_exact(WIDTH).take(CHANNELS).enumerate() {
            let level = bands.iter().sum::<f32>() / WIDTH as f32;
            // Whole steps, so that a spike leaves less than one of them to the next.
            let steps = ((level - last[channel]) / LEVEL).trunc();
            last[channel] += steps * LEVEL;
            rising[channel] = if steps > 0.0 { 1.0 } else { 0.0 };
            falling[channel] = if steps < 0.0 { 1.0 } else { 0.0 };
        }
    }
    spikes
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato::signal::SAMPLE_RATE;

    /// 0.6 s with a tone from 0.2 to 0.4 s.
    fn tone(hertz: f32, rate: u32) -> Vec<f32> {
        let at = |n: u32| n as f32 / rate as f32;
        let sample = |n| if (0.2..0.4).contains(&at(n)) { (std::f32::consts::TAU * hertz * at(n)).sin() } else { 0.0 };
        (0..rate * 6 / 10).map(sample).collect()
    }

    #[test]
    fn inputs_of_a_tone_fire_when_it_begins_and_when_it_ends() {
        // A bin of the codec's spectrum is 15.625 Hz wide, a channel three bins.
        let channel = 1000 * 1536 / 24_000 / WIDTH;
        let spikes = spikes(&tone(1000.0, SAMPLE_RATE));
        let frames = |input: usize| -> Vec<usize> {
            (0..FRAMES).filter(|frame| spikes[frame * INPUTS + input] == 1.0).collect()
        };
        // A window is four frames long.
        let (rising, falling) = (frames(channel), frames(CHANNELS + channel));
        assert!(!rising.is_empty() && rising.iter().all(|frame| (10..17).contains(frame)), "{rising:?}");
        assert!(!falling.is_empty() && falling.iter().all(|frame| (22..30).contains(frame)), "{falling:?}");
        let far = CHANNELS - 1;
        assert!(frames(far).len() + frames(CHANNELS + far).len() < rising.len() + falling.len());
    }

    #[test]
    fn names_tell_digit_and_part() -> Result<()> {
        let folder = tempfile::tempdir()?;
        assert!(Recordings::read(folder.path()).is_err());
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        for name in ["3_ann_4.wav", "7_ann_5.wav", "2_bob_12.wav"] {
            let mut wav = hound::WavWriter::create(folder.path().join(name), spec)?;
            tone(500.0, 8000).iter().try_for_each(|sample| wav.write_sample((9000.0 * sample) as i16))?;
            wav.finalize()?;
        }
        let (train, test) = Recordings::read(folder.path())?;
        assert_eq!((&train.digits[..], &test.digits[..]), (&[2, 7][..], &[3][..]));
        let (spikes, digits) = train.batch(&[1])?;
        assert_eq!((spikes.dims(), &digits[..]), (&[1, FRAMES, INPUTS][..], &[7][..]));
        assert!(spikes.sum_all()?.to_scalar::<f32>()? > 0.0);

        std::fs::copy(folder.path().join("3_ann_4.wav"), folder.path().join("ten.wav"))?;
        let refused = Recordings::read(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("ten.wav"), "{refused}");
        Ok(())
    }
}
