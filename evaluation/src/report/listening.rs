//! Clips to listen to: the files on which our first model does worst, and a typical one, each as the original and as
//! decoded by every codec, all at the level of the original. The page draws their spectrograms itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use spiccato::signal::SAMPLE_RATE;

use super::html::{base64, escape, json as script_json};
use crate::metrics::METRICS;
use crate::problem::Problem;
use crate::results::Results;
use crate::row::Row;
use crate::study::{Listening, Study};
use crate::summary::badness;
use crate::trial::Run;

/// Length of a clip, from the middle of a file, in seconds.
const SECONDS: f64 = 5.0;

/// Bitrate at which codecs are compared by ear: each is heard at its rate nearest to it, in kbit/s.
const KBPS: f64 = 3.0;

/// Number of worst files.
const WORST: usize = 2;

/// Highest peak of a clip.
const PEAK: f32 = 0.98;

/// A root mean square below this is silence, whose level can't be matched.
const SILENCE: f64 = 1e-5;

/// The clips of some files.
pub(super) struct Clips(Vec<File>);

struct File {
    name: String,
    /// Why it was chosen.
    reason: String,
    /// The original first.
    clips: Vec<Clip>,
}

struct Clip {
    codec: Option<String>,
    kbps: Option<f64>,
    samples: Vec<f32>,
}

/// Decodes the clips of the worst files and of a typical one. Clips that can't be decoded are added to the failures.
pub(super) fn clips(results: &mut Results, study: &Study, run: &Run<'_>) -> Clips {
    let mut files = Vec::new();
    for (name, reason) in chosen(results) {
        let rows = heard(results, &name);
        let wanted: Vec<(&str, f64)> = rows.iter().map(|row| (row.codec.as_str(), row.rate_asked)).collect();
        match study.listen(&name, &wanted, run) {
            Ok(listening) => files.push(file(name, reason, &rows, listening, &mut results.failures)),
            Err(error) => results.failures.push(Problem::of_file(name, format!("no clips: {error:#}"))),
        }
    }
    Clips(files)
}

/// Names of the files to hear, and why.
fn chosen(results: &Results) -> Vec<(String, String)> {
    let Some(metric) = METRICS.first() else { return Vec::new() };
    let Some(ours) = results.measured().next() else { return Vec::new() };
    let rows: Vec<&Row> = results.rows.iter().filter(|row| row.codec == ours.name).collect();
    let Some(rate) = nearest(&rows).map(|row| row.rate_asked) else { return Vec::new() };
    let score = |row: &&Row| row.scores.get(metric.key).copied();
    let mut rows: Vec<(&Row, f64)> =
        rows.into_iter().filter(|r| r.rate_asked == rate).filter_map(|r| Some((r, score(&r)?))).collect();
    rows.sort_by(|a, b| badness(metric, b.1).total_cmp(&badness(metric, a.1)).then(a.0.file.cmp(&b.0.file)));
    let about = |row: &Row, score: f64| {
        format!("{} at {:.2} kbit/s: {} {score:.2} {}", ours.name, row.kbps, metric.label, metric.unit)
    };
    let mut chosen: Vec<(String, String)> = Vec::new();
    for (row, score) in rows.iter().take(WORST) {
        chosen.push((row.file.clone(), format!("Among the worst: {}", about(row, *score))));
    }
    if let Some((row, score)) = rows.get((rows.len() / 2).max(WORST)) {
        chosen.push((row.file.clone(), format!("Typical: {}", about(row, *score))));
    }
    chosen
}

/// The row of each codec that is nearest to the rate of comparison.
fn heard(results: &Results, file: &str) -> Vec<Row> {
    let of_codec = |name: &str| {
        let rows: Vec<&Row> = results.rows.iter().filter(|row| row.file == file && row.codec == name).collect();
        nearest(&rows).cloned()
    };
    results.measured().filter_map(|codec| of_codec(&codec.name)).collect()
}

fn nearest<'a>(rows: &[&'a Row]) -> Option<&'a Row> {
    let distance = |row: &Row| (row.kbps / KBPS).ln().abs();
    rows.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

fn file(name: String, reason: String, rows: &[Row], listening: Listening, failures: &mut Vec<Problem>) -> File {
    let length = ((SECONDS * f64::from(SAMPLE_RATE)) as usize).min(listening.original.len());
    let start = (listening.original.len() - length) / 2;
    let cut = |samples: &[f32]| -> Vec<f32> {
        let from = samples.get(start..).unwrap_or_default();
        let mut clip = from[..from.len().min(length)].to_vec();
        clip.resize(length, 0.0);
        clip
    };
    let original = cut(&listening.original);
    let level = root_mean_square(&original);
    let mut clips = vec![Clip { codec: None, kbps: None, samples: original }];
    for (row, decoded) in rows.iter().zip(listening.decoded) {
        match decoded {
            Ok(decoded) => {
                let mut samples = cut(&decoded);
                let own = root_mean_square(&samples);
                if own > SILENCE && level > SILENCE {
                    scale(&mut samples, (level / own) as f32);
                }
                clips.push(Clip { codec: Some(row.codec.clone()), kbps: Some(row.kbps), samples });
            }
            Err(error) => failures.push(Problem {
                file: Some(name.clone()),
                codec: Some(row.codec.clone()),
                rate_asked: Some(row.rate_asked),
                what: format!("no clip: {error:#}"),
            }),
        }
    }
    // One gain for all, so that none clips and the levels stay equal.
    let peak = clips.iter().flat_map(|clip| &clip.samples).fold(0.0f32, |peak, x| peak.max(x.abs()));
    if peak > PEAK {
        clips.iter_mut().for_each(|clip| scale(&mut clip.samples, PEAK / peak));
    }
    File { name, reason, clips }
}

fn root_mean_square(samples: &[f32]) -> f64 {
    (samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

fn scale(samples: &mut [f32], gain: f32) {
    samples.iter_mut().for_each(|x| *x *= gain);
}

impl Clips {
    /// The place of each file on the page; the page's script fills it.
    pub(super) fn section(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let place = |(at, file): (usize, &File)| {
            let (name, reason) = (escape(&file.name), escape(&file.reason));
            format!("<h3>{name}</h3>\n<p>{reason}.</p>\n<div class=\"clips\" data-file=\"{at}\"></div>\n")
        };
        let places: String = self.0.iter().enumerate().map(place).collect();
        format!(
            "<p>{SECONDS} seconds from the middle of a file, at 24 kHz, each codec at its rate nearest to {KBPS} kbit/s, all \
             at the level of the original. Spectrograms: up to 12 kHz, 80 dB.</p>\n\
             <noscript><p>The clips need JavaScript.</p></noscript>\n{places}"
        )
    }

    /// The clips for the page's script: samples as 16-bit integers in base 64.
    pub(super) fn json(&self) -> String {
        let clip = |clip: &Clip| {
            let bytes: Vec<u8> =
                clip.samples.iter().flat_map(|x| ((x * 32_767.0).round() as i16).to_le_bytes()).collect();
            json!({ "codec": clip.codec, "kbps": clip.kbps, "samples": base64(&bytes) })
        };
        let file =
            |file: &File| json!({ "name": file.name, "clips": file.clips.iter().map(clip).collect::<Vec<Value>>() });
        script_json(&json!({ "rate": SAMPLE_RATE, "files": self.0.iter().map(file).collect::<Vec<Value>>() }))
    }
}

/// The place of the blind test.
pub(super) fn blind_section(clips: &Clips) -> String {
    let codecs: BTreeSet<&str> =
        clips.0.iter().flat_map(|file| &file.clips).filter_map(|c| c.codec.as_deref()).collect();
    if codecs.is_empty() {
        return String::new();
    }
    "<p>After MUSHRA (ITU-R BS.1534): the original is given as the reference; among the clips to be judged, in random \
     order and without names, are the original once more and an anchor, the original without anything above 3.5 kHz. Give \
     each a number from 0 to 100 by how near it is to the reference; at least one deserves 100. Use headphones.</p>\n\
     <div id=\"test\"></div>\n"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(codec: &str, kbps: f64) -> Row {
        Row {
            file: "a".to_owned(),
            codec: codec.to_owned(),
            rate_asked: kbps,
            bytes: 1,
            kbps,
            scores: [(METRICS[0].key, 1.0)].into(),
            encode_x: 1.0,
            decode_x: 1.0,
            encode_mb: None,
            decode_mb: None,
        }
    }

    #[test]
    fn clips_are_the_middle_at_one_level_without_clipping() {
        let count = SAMPLE_RATE as usize;
        let original: Vec<f32> = (0..10 * count).map(|n| 0.9 * (n as f32 * 0.1).sin()).collect();
        let quiet: Vec<f32> = original.iter().map(|x| 0.01 * x).collect();
        let mut spiky = original.clone();
        spiky[5 * count] = 3.0;
        let decoded = vec![Ok(quiet[..9 * count].to_vec()), Ok(spiky), Err(anyhow::anyhow!("gone"))];
        let rows = [row("quiet", 3.0), row("spiky", 3.0), row("broken", 3.0)];
        let mut failures = Vec::new();
        let file = file("a".to_owned(), String::new(), &rows, Listening { original, decoded }, &mut failures);
        assert_eq!(failures.len(), 1);
        assert_eq!(file.clips.len(), 3);
        let level = root_mean_square(&file.clips[0].samples);
        for clip in &file.clips {
            assert_eq!(clip.samples.len(), 5 * count);
            assert!(clip.samples.iter().all(|x| x.abs() <= PEAK + 1e-6));
        }
        // The second half second of the quiet one is missing: it is beyond the clip.
        assert!((root_mean_square(&file.clips[1].samples) / level - 1.0).abs() < 1e-3);
    }

    #[test]
    fn each_codec_is_heard_at_the_rate_nearest_to_the_comparison() {
        let rows = [row("x", 1.0), row("x", 2.5), row("x", 8.0)];
        assert_eq!(nearest(&rows.iter().collect::<Vec<_>>()).unwrap().kbps, 2.5);
        assert!(nearest(&[]).is_none());
    }
}
