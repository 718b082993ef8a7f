//! Folders of recordings of sounds, as levels of bands over time: the codec's analysis, in channels of three of its bands up
//! to 4 kHz, in nepers. With the encoder `threshold`, a pair of inputs per channel fires when its level rises or falls;
//! with the encoder `codec`, the inputs are the events by which Spiccato's built-in model codes the recording.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use spiccato::container::{OnDamage, Reader};
use spiccato::events::{EventMatrix, Methods};
use spiccato::signal::{BANDS, FeatureScale, Loudness, SAMPLE_RATE, analyze};
use spiccato::{Format, Model, Quality};

use super::{DataDescription, Dataset, Encoder};
use crate::wav::read_at_codec_rate;

/// Frames of 16 ms that are taken unless others are asked for.
const FRAMES: usize = 45;
const CHANNELS: usize = 64;
/// Bands of the codec in a channel.
const WIDTH: usize = 3;

/// Reads recordings: `LABEL/NAME.wav`, or `LABEL_NAME.wav` in the folder itself, with labels of any names.
pub(super) fn read(folder: &Path, description: &DataDescription) -> Result<Dataset> {
    let mut files = list(folder)?;
    files.sort();
    ensure!(!files.is_empty(), "it has no IDX files and no recordings LABEL/NAME.wav or LABEL_NAME.wav");
    let mut names: Vec<&String> = files.iter().map(|(label, _)| label).collect();
    names.sort();
    names.dedup();
    let labels: Vec<usize> = files.iter().map(|(label, _)| names.binary_search(&label).unwrap_or_default()).collect();
    let frames = description.steps.unwrap_or(FRAMES);
    ensure!((1..=100_000).contains(&frames), "data.steps is {frames}");
    if let Encoder::Codec { quality } = description.encoder {
        let model = Model::built_in()?;
        let encoder = spiccato::Encoder::new(&model).quality(Quality::from_percent(quality)?);
        let code = |(_, path): &(String, PathBuf)| events(&model, &encoder, &read_at_codec_rate(path)?);
        let matrices = files.par_iter().map(code).collect::<Result<Vec<_>>>()?;
        return Dataset::from_sparse(&matrices, frames, labels);
    }
    let read = |(_, path): &(String, PathBuf)| Ok(levels(&read_at_codec_rate(path)?, frames));
    let values = files.par_iter().map(read).collect::<Result<Vec<Vec<f32>>>>()?;
    match description.encoder {
        Encoder::None | Encoder::Threshold { .. } => {
            Dataset::from_values(values.concat(), frames, labels, description.encoder)
        }
        other => bail!("the encoder {other:?} is for images, not for recordings"),
    }
}

/// Labels and paths.
fn list(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    let entries = |folder: &Path| -> Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .with_context(|| folder.display().to_string())
    };
    let is_wav = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
    let name = |path: &Path| path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
    for path in entries(folder)? {
        if path.is_dir() {
            let label = name(&path).with_context(|| format!("{}: a name that is no text", path.display()))?;
            files.extend(entries(&path)?.into_iter().filter(|path| is_wav(path)).map(|path| (label.clone(), path)));
        } else if is_wav(&path) {
            let label = name(&path).and_then(|name| name.split_once('_').map(|(label, _)| label.to_owned()));
            files.push((label.with_context(|| format!("{}: not named LABEL_NAME.wav", path.display()))?, path));
        }
    }
    Ok(files)
}

/// Events (frames, neurons) of a recording at the codec's rate.
fn events(model: &Model, encoder: &spiccato::Encoder, samples: &[f32]) -> Result<sprs::CsMatI<u8, u32>> {
    let file = encoder.encode(samples.iter().copied(), Format { rate: SAMPLE_RATE, channels: 1 })?;
    let mut reader = Reader::new(&file[..], Methods::all(), OnDamage::Stop)?;
    reader.set_methods(model.complete(Methods::all(), reader.header().quality));
    let mut all = EventMatrix::new(reader.header().neurons)?;
    while let Some(chunk) = reader.next_chunk()? {
        all.append(&chunk.events)?;
    }
    Ok(all.to_sprs()?)
}

/// Levels (frames, channels); silence follows a short recording.
fn levels(samples: &[f32], frames: usize) -> Vec<f32> {
    let mut loudness = Loudness::new();
    loudness.push(samples);
    let mut features = Vec::new();
    let scale = FeatureScale::first(BANDS);
    scale.features(&analyze(samples), loudness.gain(), &mut features);
    let mut levels = vec![scale.floor()[0].ln(); frames * CHANNELS];
    for (frame, levels) in features.chunks_exact(BANDS).zip(levels.chunks_exact_mut(CHANNELS)) {
        for (level, bands) in levels.iter_mut().zip(frame.chunks_exact(WIDTH)) {
            *level = bands.iter().sum::<f32>() / WIDTH as f32;
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato_neurons::Random;

    fn tone(path: &Path, hertz: f32) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(path, spec)?;
        for n in 0..4000 {
            wav.write_sample((9000.0 * (std::f32::consts::TAU * hertz * n as f32 / 8000.0).sin()) as i16)?;
        }
        Ok(wav.finalize()?)
    }

    #[test]
    fn folders_and_names_tell_labels_and_tones_their_channels() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for (name, hertz) in [("low/a.wav", 500.0), ("high/b.wav", 1500.0), ("low_c.wav", 500.0)] {
            tone(&folder.path().join(name), hertz)?;
        }
        let description = DataDescription { steps: Some(20), ..DataDescription::default() };
        let dataset = read(folder.path(), &description)?;
        assert_eq!((dataset.len(), dataset.steps(), dataset.channels(), dataset.classes()), (3, 20, CHANNELS, 2));
        let batch = dataset.batch(&[0, 1, 2], &mut Random::new(1, 0))?.to_vec3::<f32>()?;
        for (item, label) in batch.iter().zip(dataset.labels(&[0, 1, 2])) {
            let loudest = (0..CHANNELS).max_by(|a, b| item[10][*a].total_cmp(&item[10][*b])).unwrap();
            // A bin of the codec's spectrum is 15.625 Hz wide, a channel three bins; "high" comes before "low".
            let expected = if label == 0 { 32 } else { 10 };
            assert!(loudest.abs_diff(expected) <= 1, "{loudest}, not {expected}");
        }
        let spikes = DataDescription { encoder: Encoder::Threshold { level: 0.7 }, ..description.clone() };
        assert_eq!(read(folder.path(), &spikes)?.channels(), 2 * CHANNELS);
        // The codec's own events: equal tones have equal ones, others have others.
        let codec = DataDescription { encoder: Encoder::Codec { quality: 50.0 }, ..description };
        let coded = read(folder.path(), &codec)?;
        assert_eq!((coded.steps(), coded.channels(), coded.classes()), (20, 512, 2));
        let batch = coded.batch(&[0, 1, 2], &mut Random::new(1, 0))?.to_vec3::<f32>()?;
        let of = |label| batch.iter().zip(coded.labels(&[0, 1, 2])).filter(move |(_, l)| *l == label).map(|(x, _)| x);
        let low: Vec<_> = of(1).collect();
        assert!(low[0] == low[1] && of(0).all(|high| high != low[0]));
        assert!(low[0].iter().flatten().sum::<f32>() > 20.0);

        tone(&folder.path().join("nameless.wav"), 500.0)?;
        assert!(format!("{:#}", read(folder.path(), &spikes).unwrap_err()).contains("nameless.wav"));
        Ok(())
    }
}
