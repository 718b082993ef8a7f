//! Random changes of a crop's samples: another pitch, a room, noise. Each is drawn only where the configuration asks for
//! it, so that a change that is switched off doesn't alter the others.

use anyhow::Result;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::cache::Clip;
use super::pitch;
use super::room::Room;
use crate::config::Augmentation;

/// `count` samples of `clip` from a random place, changed as asked for.
pub(super) fn samples(
    clip: &Clip,
    count: usize,
    augmentation: &Augmentation,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<f32>> {
    let room = chance(rng, augmentation.room_share).then(|| Room::draw(rng, augmentation));
    // What sounded before the crop still sounds in the room.
    let before = room.as_ref().map_or(0, Room::samples);
    let cents = augmentation.resample_cents;
    let ratio = if cents > 0.0 { 2f64.powf(rng.random_range(-cents..=cents) / 1200.0) } else { 1.0 };
    let reach = |samples: usize| (samples as f64 * ratio).ceil() as usize;

    let start = rng.random_range(0..=clip.samples.saturating_sub(reach(count))) as i64 - reach(before) as i64;
    let mut samples = if ratio == 1.0 {
        clip.read(start, before + count)?
    } else {
        let source = clip.read(start - pitch::HALF as i64, reach(before + count) + 2 * pitch::HALF)?;
        pitch::resample(&source, ratio, before + count)
    };
    if let Some(room) = room {
        room.apply(&mut samples);
        samples.drain(..before);
    }
    if chance(rng, augmentation.noise_share) {
        let (from, to) = augmentation.noise_db;
        // Uniform noise of that root mean square.
        let bound = from_db(rng.random_range(from..=to)) * 3f32.sqrt();
        samples.iter_mut().for_each(|x| *x += rng.random_range(-bound..=bound));
    }
    Ok(samples)
}

fn chance(rng: &mut ChaCha8Rng, share: f64) -> bool {
    share > 0.0 && rng.random::<f64>() < share
}

/// Amplitude of a level.
pub(super) fn from_db(db: f64) -> f32 {
    10f64.powf(db / 20.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;
    use spiccato::signal::SAMPLE_RATE;

    /// A clip of a sine of 1 kHz, full scale.
    fn sine(folder: &std::path::Path) -> Clip {
        let path = folder.join("sine.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(&path, spec).unwrap();
        for n in 0..48_000 {
            let x = (std::f64::consts::TAU * 1000.0 * f64::from(n) / f64::from(SAMPLE_RATE)).sin();
            wav.write_sample((x * 32_000.0) as i16).unwrap();
        }
        wav.finalize().unwrap();
        let source = spiccato_datasets::Source { path, split: spiccato_datasets::Split::Train, midi: None };
        super::super::open_corpus(&[source], &folder.join("cache"), |_, _| ()).unwrap().train.remove(0)
    }

    fn none() -> Augmentation {
        Augmentation { gain_db: 0.0, equaliser_db: 0.0, noise_share: 0.0, ..Augmentation::default() }
    }

    fn draw(clip: &Clip, augmentation: &Augmentation, stream: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        rng.set_stream(stream);
        samples(clip, 12_000, augmentation, &mut rng).unwrap()
    }

    /// Frequency by the zero crossings of the middle of the crop.
    fn hertz(samples: &[f32]) -> f64 {
        let crossings: Vec<f64> = samples
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
            .map(|(n, pair)| n as f64 + f64::from(pair[0] / (pair[0] - pair[1])))
            .collect();
        let periods = (crossings.len() - 1) as f64;
        f64::from(SAMPLE_RATE) * periods / (crossings[crossings.len() - 1] - crossings[0])
    }

    #[test]
    fn pitch_stays_within_the_range_and_fills_it() {
        let folder = tempfile::tempdir().unwrap();
        let clip = sine(folder.path());
        assert!((hertz(&draw(&clip, &none(), 0)) - 1000.0).abs() < 0.01);
        let augmentation = Augmentation { resample_cents: 50.0, ..none() };
        let cents: Vec<f64> =
            (0..40).map(|i| 1200.0 * (hertz(&draw(&clip, &augmentation, i)) / 1000.0).log2()).collect();
        let (low, high) = cents.iter().fold((0f64, 0f64), |(l, h), &c| (l.min(c), h.max(c)));
        assert!(-50.1 < low && low < -35.0 && 35.0 < high && high < 50.1, "{low} to {high} cents");
    }

    #[test]
    fn a_room_adds_the_power_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let clip = sine(folder.path());
        let noise = Augmentation { noise_share: 1.0, noise_db: (-20.0, -20.0), ..none() };
        let power = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>() / x.len() as f64;
        let added = power(&draw(&clip, &noise, 1)) - power(&draw(&clip, &none(), 1));
        assert!((added / 0.01 - 1.0).abs() < 0.3, "{added}"); // the crop is short
        let room = Augmentation { room_share: 1.0, room_db: (-10.0, -10.0), ..none() };
        // A sine meets the room's response at one frequency only: many rooms have the power on average, give or take the
        // colour of the response.
        let dry = power(&draw(&clip, &none(), 1));
        let mean = (0..400).map(|i| power(&draw(&clip, &room, i)) / dry - 1.0).sum::<f64>() / 400.0;
        assert!((0.05..0.2).contains(&mean), "{mean}");
    }

    #[test]
    fn the_same_stream_gives_the_same_samples_and_others_differ() {
        let folder = tempfile::tempdir().unwrap();
        let clip = sine(folder.path());
        let all = Augmentation { resample_cents: 30.0, room_share: 1.0, noise_share: 1.0, ..none() };
        let samples = draw(&clip, &all, 3);
        assert_eq!(samples.len(), 12_000);
        assert_eq!(draw(&clip, &all, 3), samples);
        assert_ne!(draw(&clip, &all, 4), samples);
    }
}
