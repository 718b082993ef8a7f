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

/// Spikes of recordings, the digits that are spoken and who speaks them.
pub(super) struct Recordings {
    /// (recordings, frames, inputs), 0 or 1.
    spikes: Vec<f32>,
    digits: Vec<usize>,
    speakers: Vec<String>,
    numbers: Vec<usize>,
}

impl Recordings {
    /// Those of a folder with files named DIGIT_SPEAKER_NUMBER.wav.
    pub(super) fn read(folder: &Path) -> Result<Self> {
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
            let name = name(path).with_context(|| format!("{}: not named DIGIT_SPEAKER_NUMBER.wav", path.display()))?;
            Ok((spikes(&read_at_codec_rate(path)?), name))
        });
        let mut all = Self::none();
        for recording in read.collect::<Vec<_>>() {
            let (spikes, (digit, speaker, number)) = recording?;
            all.push(&spikes, digit, speaker, number);
        }
        ensure!(all.len() > 0, "{}: no recordings", folder.display());
        Ok(all)
    }

    fn none() -> Self {
        Self { spikes: Vec::new(), digits: Vec::new(), speakers: Vec::new(), numbers: Vec::new() }
    }

    fn push(&mut self, spikes: &[f32], digit: usize, speaker: String, number: usize) {
        self.spikes.extend_from_slice(spikes);
        self.digits.push(digit);
        self.speakers.push(speaker);
        self.numbers.push(number);
    }

    /// Those to learn from and those to test on, by speaker and number.
    ///
    /// # Errors
    /// If there are none of one kind.
    pub(super) fn split(&self, is_test: impl Fn(&str, usize) -> bool) -> Result<(Self, Self)> {
        let (mut train, mut test) = (Self::none(), Self::none());
        for (i, (speaker, &number)) in self.speakers.iter().zip(&self.numbers).enumerate() {
            let part = if is_test(speaker, number) { &mut test } else { &mut train };
            let size = FRAMES * INPUTS;
            part.push(&self.spikes[i * size..][..size], self.digits[i], speaker.clone(), number);
        }
        ensure!(train.len() > 0 && test.len() > 0, "no recordings to learn from or none to test on");
        Ok((train, test))
    }

    /// Names of the speakers in alphabetical order.
    pub(super) fn speakers(&self) -> Vec<String> {
        let mut speakers = self.speakers.clone();
        speakers.sort();
        speakers.dedup();
        speakers
    }

    /// Mean number of spikes of a recording.
    pub(super) fn events(&self) -> f64 {
        self.spikes.iter().map(|spike| f64::from(*spike)).sum::<f64>() / self.len() as f64
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

/// Digit, speaker and number.
fn name(path: &Path) -> Option<(usize, String, usize)> {
    let mut parts = path.file_stem()?.to_str()?.split('_');
    let digit = parts.next()?.parse().ok().filter(|digit| *digit < DIGITS)?;
    Some((digit, parts.next()?.to_owned(), parts.next()?.parse().ok()?))
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
        let all = Recordings::read(folder.path())?;
        assert_eq!(all.speakers(), ["ann", "bob"]);
        let (train, test) = all.split(|speaker, _| speaker == "bob")?;
        assert_eq!((&train.digits[..], &test.digits[..]), (&[3, 7][..], &[2][..]));
        assert!(all.split(|_, _| false).is_err());
        let (train, test) = all.split(|_, number| number < 5)?;
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
