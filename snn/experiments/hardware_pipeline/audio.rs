//! Audio to code: notes that the program plays, or recordings of spoken digits one after the other.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use spiccato::signal::SAMPLE_RATE;
use spiccato_neurons::Random;
use spiccato_snn::wav::read_at_codec_rate;

/// Notes of decaying harmonics at random times, four a second, at the codec's sample rate.
pub(super) fn notes(seconds: f64, random: &mut Random) -> Vec<f32> {
    let rate = f64::from(SAMPLE_RATE);
    let mut samples = vec![0.0f32; (seconds * rate) as usize];
    for _ in 0..(4.0 * seconds) as usize {
        let start = random.below(samples.len());
        // Keys of a piano from C3 to C6.
        let pitch = 130.8 * 2f64.powf(random.below(37) as f64 / 12.0);
        let (strength, decay) = (random.between(0.05, 0.2), random.between(0.3, 1.0));
        for (n, sample) in samples[start..].iter_mut().enumerate() {
            let time = n as f64 / rate;
            let envelope = strength * (-time / decay).exp() * (time * 200.0).min(1.0);
            let harmonic = |k: i32| (std::f64::consts::TAU * f64::from(k) * pitch * time).sin() / f64::from(k * k);
            *sample += (envelope * (1..=5).map(harmonic).sum::<f64>()) as f32;
        }
    }
    samples
}

/// The first recordings of a folder until they are this long together.
pub(super) fn recordings(folder: &Path, seconds: f64) -> Result<Vec<f32>> {
    let wanted = (seconds * f64::from(SAMPLE_RATE)) as usize;
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
    files.sort();
    // Speakers and digits in turn.
    files.sort_by_key(|path| path.file_stem().and_then(|name| name.to_str()?.rsplit('_').next()?.parse::<u32>().ok()));
    let mut samples = Vec::new();
    for path in files {
        if samples.len() >= wanted {
            break;
        }
        samples.extend(read_at_codec_rate(&path)?);
    }
    ensure!(!samples.is_empty(), "{}: no recordings", folder.display());
    samples.truncate(wanted);
    Ok(samples)
}
