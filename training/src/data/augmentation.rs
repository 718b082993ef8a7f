//! Random changes of a crop's samples: another pitch, a second recording mixed in, a room, noise. Each is drawn only
//! where the configuration asks for it, so that a change that is switched off doesn't alter the others.

use anyhow::{Context, Result};
use spiccato_neurons::Random;

use super::clip::Clip;
use super::noise::coloured;
use super::pitch;
use super::pool::Pool;
use super::room::Room;
use crate::config::Augmentation;

/// `count` samples of a random clip from a random place, at the loudness that the codec works at, changed as
/// configured.
pub(super) fn samples(
    pools: &[Pool<'_>],
    count: usize,
    augmentation: &Augmentation,
    random: &mut Random,
) -> Result<Vec<f32>> {
    let room = chance(random, augmentation.room_share).then(|| Room::draw(random, augmentation));
    // What sounded before the crop still sounds in the room.
    let before = room.as_ref().map_or(0, Room::samples);
    let mut samples = piece(draw(pools, random)?, before, count, augmentation, random)?;
    if chance(random, augmentation.mixture_share) {
        let (from, to) = augmentation.mixture_db;
        let gain = from_db(random.between(from, to));
        let second = piece(draw(pools, random)?, before, count, augmentation, random)?;
        samples.iter_mut().zip(second).for_each(|(x, y)| *x += gain * y);
    }
    if let Some(room) = room {
        room.apply(&mut samples);
        samples.drain(..before);
    }
    if chance(random, augmentation.noise_share) {
        let (from, to) = augmentation.noise_db;
        let level = from_db(random.between(from, to));
        let exponent = random.between(0.0, augmentation.noise_colour);
        samples.iter_mut().zip(coloured(count, exponent, level, random)).for_each(|(x, n)| *x += n);
    }
    Ok(samples)
}

fn draw<'a>(pools: &[Pool<'a>], random: &mut Random) -> Result<&'a Clip> {
    Pool::draw(pools, random).context("the training data is empty")
}

/// `count` samples from a random place of a clip and `before` samples ahead of them, at the normal loudness, perhaps at
/// another pitch.
fn piece(
    clip: &Clip,
    before: usize,
    count: usize,
    augmentation: &Augmentation,
    random: &mut Random,
) -> Result<Vec<f32>> {
    let cents = augmentation.resample_cents;
    let changed = cents > 0.0 && chance(random, augmentation.resample_share);
    let ratio = if changed { 2f64.powf(random.between(-cents, cents) / 1200.0) } else { 1.0 };
    let reach = |samples: usize| (samples as f64 * ratio).ceil() as usize;
    let start = random.below(clip.samples.saturating_sub(reach(count)) + 1) as i64 - reach(before) as i64;
    let mut samples = if changed {
        let source = clip.read(start - pitch::HALF as i64, reach(before + count) + 2 * pitch::HALF)?;
        pitch::resample(&source, ratio, before + count)
    } else {
        clip.read(start, before + count)?
    };
    samples.iter_mut().for_each(|x| *x *= clip.gain);
    Ok(samples)
}

fn chance(random: &mut Random, share: f64) -> bool {
    share > 0.0 && random.chance(share)
}

/// Amplitude of a level.
pub(super) fn from_db(db: f64) -> f32 {
    10f64.powf(db / 20.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato::signal::SAMPLE_RATE;
    use spiccato_datasets::Audio;

    /// A clip of a sine, full scale, at a gain of one.
    fn sine(folder: &std::path::Path, hertz: f64) -> Clip {
        let path = folder.join(format!("{hertz}.s16"));
        let sample = |n: i32| (std::f64::consts::TAU * hertz * f64::from(n) / f64::from(SAMPLE_RATE)).sin() * 32_000.0;
        std::fs::write(&path, (0..48_000).flat_map(|n| (sample(n) as i16).to_le_bytes()).collect::<Vec<u8>>()).unwrap();
        Clip { audio: Audio::File("sine".into()), path, samples: 48_000, gain: 1.0 }
    }

    fn none() -> Augmentation {
        let Augmentation { room_seconds, room_db, .. } = Augmentation::default();
        Augmentation { room_seconds, room_db, ..Augmentation::none() }
    }

    fn draw(clips: &[Clip], augmentation: &Augmentation, stream: u64) -> Vec<f32> {
        let pools: Vec<Pool<'_>> = clips.iter().map(|clip| Pool::new(1.0, vec![clip])).collect();
        samples(&pools, 12_000, augmentation, &mut Random::new(7, stream)).unwrap()
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

    fn power(x: &[f32]) -> f64 {
        x.iter().map(|x| f64::from(x * x)).sum::<f64>() / x.len() as f64
    }

    #[test]
    fn pitch_stays_within_the_range_and_fills_it() {
        let folder = tempfile::tempdir().unwrap();
        let clip = [sine(folder.path(), 1000.0)];
        assert!((hertz(&draw(&clip, &none(), 0)) - 1000.0).abs() < 0.01);
        let augmentation = Augmentation { resample_cents: 50.0, resample_share: 0.5, ..none() };
        let cents: Vec<f64> =
            (0..60).map(|i| 1200.0 * (hertz(&draw(&clip, &augmentation, i)) / 1000.0).log2()).collect();
        let (low, high) = cents.iter().fold((0f64, 0f64), |(l, h), &c| (l.min(c), h.max(c)));
        assert!(-50.1 < low && low < -35.0 && 35.0 < high && high < 50.1, "{low} to {high} cents");
        let unchanged = cents.iter().filter(|cents| cents.abs() < 0.1).count();
        assert!((18..43).contains(&unchanged), "{unchanged} of 60");
    }

    #[test]
    fn noise_and_rooms_add_the_power_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let clip = [sine(folder.path(), 1000.0)];
        let dry = power(&draw(&clip, &none(), 1));
        let noise = Augmentation { noise_share: 1.0, noise_db: (-20.0, -20.0), noise_colour: 0.0, ..none() };
        let added = power(&draw(&clip, &noise, 1)) - dry;
        assert!((added / 0.01 - 1.0).abs() < 0.3, "{added}"); // the crop is short
        let room = Augmentation { room_share: 1.0, room_db: (-10.0, -10.0), ..none() };
        // A sine meets the room's response at one frequency only: many rooms have the power on average, give or take
        // the colour of the response.
        let mean = (0..400).map(|i| power(&draw(&clip, &room, i)) / dry - 1.0).sum::<f64>() / 400.0;
        assert!((0.05..0.25).contains(&mean), "{mean}");
    }

    #[test]
    fn a_mixture_adds_a_second_recording_at_its_level_and_clips_come_at_their_loudness() {
        let folder = tempfile::tempdir().unwrap();
        let mut clips = [sine(folder.path(), 1000.0), sine(folder.path(), 1250.0)];
        let mixture = Augmentation { mixture_share: 1.0, mixture_db: (-6.0206, -6.0206), ..none() };
        // Two different sines are orthogonal over the crop: ½·(1 + ¼); the same one twice adds up with a random phase.
        let full = (32_000.0f64 / 32_768.0).powi(2) / 2.0;
        let powers: Vec<f64> = (0..60).map(|i| power(&draw(&clips, &mixture, i)) / full).collect();
        let orthogonal = powers.iter().filter(|&p| (p - 1.25).abs() < 1e-3).count();
        assert!((15..46).contains(&orthogonal), "{powers:?}");
        clips.iter_mut().for_each(|clip| clip.gain = 0.1);
        assert!((power(&draw(&clips, &none(), 1)) / full - 0.01).abs() < 1e-4);
    }

    #[test]
    fn the_same_stream_gives_the_same_samples_and_others_differ() {
        let folder = tempfile::tempdir().unwrap();
        let clip = [sine(folder.path(), 1000.0)];
        let all = Augmentation { room_share: 1.0, noise_share: 1.0, mixture_share: 1.0, ..Augmentation::default() };
        let samples = draw(&clip, &all, 3);
        assert_eq!(samples.len(), 12_000);
        assert_eq!(draw(&clip, &all, 3), samples);
        assert_ne!(draw(&clip, &all, 4), samples);
    }
}
