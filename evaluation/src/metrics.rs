//! The metrics by name, and all of them for one pair of signals.
//!
//! Both signals are mono at 24 kHz. A constant delay of the decoded one is taken out, and it is cut or continued with
//! silence to the length of the original. Then one gain for both brings the original to −23 dB of full scale, so that
//! no metric depends on the level of the recording (ViSQOL, whose reference has no such step, gets the signals as they
//! are).

use anyhow::{Result, bail};

use crate::level::{self, root_mean_square};
use crate::{chroma, delay, log_mel, multi_resolution, onsets, partials, pre_echo, si_sdr, visqol};

/// Root mean square that the original is brought to, in dB of full scale.
const LEVEL_DB: f64 = -23.0;

/// A signal with a lower root mean square than this (−100 dB of full scale) is silence: nothing can be said of it.
const SILENCE: f64 = 1e-5;

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Name in result files.
    pub key: &'static str,
    /// Name for display.
    pub label: &'static str,
    /// Unit; empty for a pure number.
    pub unit: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// A sentence on the meaning and the limits of the metric.
    pub note: &'static str,
}

/// Every metric, in the order of the columns in result files.
pub const METRICS: &[Metric] = &[
    Metric {
        key: "log_mel_db",
        label: "Log-mel distance",
        unit: "dB",
        higher_is_better: false,
        note: "Mean difference of the loudness of 80 mel bands, whatever the phase; it does not weigh what is masked.",
    },
    Metric {
        key: "multi_resolution",
        label: "Multi-resolution distance",
        unit: "",
        higher_is_better: false,
        note: "Spectral convergence plus difference of log magnitudes (nepers), mean over windows of 256 to 4096 \
               samples; high frequencies count as much as low ones.",
    },
    Metric {
        key: "si_sdr_db",
        label: "SI-SDR",
        unit: "dB",
        higher_is_better: true,
        note: "Likeness of the waveforms but for their scale; it says nothing about a codec that rebuilds the phase, \
               such as this one.",
    },
    Metric {
        key: "visqol",
        label: "ViSQOL",
        unit: "MOS-LQO",
        higher_is_better: true,
        note: "Predicted opinion of listeners from 1 to some 4.73 (audio mode), both signals limited to 12 kHz; it \
               forgives much that is plainly heard: never judge by it alone.",
    },
    Metric {
        key: "level_db",
        label: "Level error",
        unit: "dB",
        higher_is_better: false,
        note: "Difference of the root mean squares, whichever is louder; nothing about how it is spread over time or \
               frequency.",
    },
    Metric {
        key: "onset_f",
        label: "Onset F-measure",
        unit: "",
        higher_is_better: true,
        note: "Share of note onsets found within 50 ms in both signals, by the same detector (SuperFlux), which itself \
               misses soft notes.",
    },
    Metric {
        key: "chroma",
        label: "Chroma distance",
        unit: "",
        higher_is_better: false,
        note: "One minus the cosine between the energies of the twelve pitch classes, from 0 (same harmony) to 1; deaf \
               to octaves and timbre.",
    },
    Metric {
        key: "partial_cents",
        label: "Partial-frequency error",
        unit: "cents",
        higher_is_better: false,
        note: "Mean mistuning of the partials within 30 dB of the loudest; one without a counterpart within half a \
               semitone counts as 50 cents.",
    },
    Metric {
        key: "pre_echo_db",
        label: "Pre-echo",
        unit: "dB",
        higher_is_better: false,
        note: "Level, relative to the attack, of what sounds up to 50 ms before it at the frequencies that it brings \
               and is not in the original; noise all along counts too.",
    },
];

/// Every metric for one pair of signals; `None` where it is undefined: all of them for a silent original, some for one
/// too short, without onsets or without partials.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Scores {
    /// Mean absolute difference of 80-band log-mel spectra in dB.
    pub log_mel_db: Option<f64>,
    /// Multi-resolution spectral distance.
    pub multi_resolution: Option<f64>,
    /// Scale-invariant signal-to-distortion ratio in dB.
    pub si_sdr_db: Option<f64>,
    /// Predicted mean opinion score, 1 to 5.
    pub visqol: Option<f64>,
    /// Absolute difference of level in dB.
    pub level_db: Option<f64>,
    /// F-measure of onsets, 0 to 1.
    pub onset_f: Option<f64>,
    /// Chroma distance, 0 to 1.
    pub chroma: Option<f64>,
    /// Error of partial frequencies in cents, 0 to 50.
    pub partial_cents: Option<f64>,
    /// Level of pre-echo relative to the attack in dB.
    pub pre_echo_db: Option<f64>,
}

impl Scores {
    /// The score of the metric with this key; `None` if it is undefined or there is no such metric.
    pub fn get(&self, key: &str) -> Option<f64> {
        match key {
            "log_mel_db" => self.log_mel_db,
            "multi_resolution" => self.multi_resolution,
            "si_sdr_db" => self.si_sdr_db,
            "visqol" => self.visqol,
            "level_db" => self.level_db,
            "onset_f" => self.onset_f,
            "chroma" => self.chroma,
            "partial_cents" => self.partial_cents,
            "pre_echo_db" => self.pre_echo_db,
            _ => None,
        }
    }
}

/// Two signals, the decoded one without its delay.
struct Pair<'a> {
    original: &'a [f32],
    decoded: Vec<f32>,
    /// Root mean square of the original.
    level: f64,
}

impl<'a> Pair<'a> {
    /// `None` for a silent original.
    fn new(original: &'a [f32], decoded: &[f32]) -> Result<Option<Self>> {
        for (name, signal) in [("original", original), ("decoded", decoded)] {
            if let Some(at) = signal.iter().position(|v| !v.is_finite()) {
                bail!("sample {at} of the {name} signal is {}: only finite samples can be compared", signal[at]);
            }
        }
        let level = root_mean_square(original);
        if level < SILENCE {
            return Ok(None);
        }
        Ok(Some(Self { original, decoded: delay::aligned(original, decoded)?, level }))
    }

    /// Both at the level that the metrics but ViSQOL take them at.
    fn normal(&self) -> (Vec<f32>, Vec<f32>) {
        let gain = 10f64.powf(LEVEL_DB / 20.0) / self.level;
        let normal = |x: &[f32]| x.iter().map(|&v| (f64::from(v) * gain) as f32).collect();
        (normal(self.original), normal(&self.decoded))
    }
}

/// The log-mel distance alone, as [`scores`] has it: a small part of the work of all metrics.
///
/// # Errors
/// As [`scores`].
pub fn log_mel_distance(original: &[f32], decoded: &[f32]) -> Result<Option<f64>> {
    let Some(pair) = Pair::new(original, decoded)? else { return Ok(None) };
    let (original, decoded) = pair.normal();
    Ok(Some(log_mel::distance(&original, &decoded)))
}

/// The ViSQOL score alone, as [`scores`] has it.
///
/// # Errors
/// As [`scores`].
pub fn visqol_score(original: &[f32], decoded: &[f32]) -> Result<Option<f64>> {
    let Some(pair) = Pair::new(original, decoded)? else { return Ok(None) };
    visqol::visqol(pair.original, &pair.decoded)
}

/// Scores of `decoded` against `original`, both mono at 24 kHz.
///
/// A delay of up to 200 ms is found by cross-correlation and taken out, if the waveforms match at all.
///
/// # Errors
///
/// A sample that is not a finite number; a failure of a Fourier transform.
pub fn scores(original: &[f32], decoded: &[f32]) -> Result<Scores> {
    let Some(pair) = Pair::new(original, decoded)? else { return Ok(Scores::default()) };
    let visqol = visqol::visqol(pair.original, &pair.decoded)?;
    let (original, decoded) = pair.normal();
    let onsets = onsets::onsets(&original);
    Ok(Scores {
        log_mel_db: Some(log_mel::distance(&original, &decoded)),
        multi_resolution: Some(multi_resolution::distance(&original, &decoded)),
        si_sdr_db: si_sdr::si_sdr(&original, &decoded),
        visqol,
        level_db: Some(level::error(&original, &decoded)),
        onset_f: onsets::f_measure(&onsets, &onsets::onsets(&decoded)),
        chroma: chroma::distance(&original, &decoded),
        partial_cents: partials::error(&original, &decoded),
        pre_echo_db: pre_echo::level(&original, &decoded, &onsets),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    /// Values of `scripts/reference_scores.py`: NumPy, librosa 0.11 and visqol-python 3.8.0 on the same signals.
    #[test]
    fn values_of_other_programs() {
        let scores = scores(&fixture::original(), &fixture::decoded()).unwrap();
        let expected = [
            ("log_mel_db", 2.6437889464512114, 1e-4),
            ("multi_resolution", 0.6830919444489731, 1e-4),
            ("si_sdr_db", -17.645118826759102, 1e-3),
            ("level_db", 1.9415255194986694, 1e-4),
            ("chroma", 0.003145222281870096, 1e-6),
            ("visqol", 2.276797576677315, 1e-3),
        ];
        for (key, expected, tolerance) in expected {
            let value = scores.get(key).unwrap();
            assert!((value - expected).abs() < tolerance, "{key}: {value} for {expected}");
        }
        let (original, decoded) = (fixture::original(), fixture::decoded());
        assert_eq!(log_mel_distance(&original, &decoded).unwrap(), scores.log_mel_db);
        assert_eq!(visqol_score(&original, &decoded).unwrap(), scores.visqol);
        // By construction every note is there, 8 cents sharp.
        assert_eq!(scores.onset_f, Some(1.0));
        assert!((scores.partial_cents.unwrap() - 8.0).abs() < 2.0, "{:?}", scores.partial_cents);
    }

    #[test]
    fn every_metric_has_a_score_and_a_text() {
        let x = fixture::original();
        let scores = scores(&x, &x).unwrap();
        for metric in METRICS {
            assert!(scores.get(metric.key).is_some(), "{}", metric.key);
            assert!(metric.note.ends_with('.') && !metric.label.is_empty());
        }
        assert_eq!(scores.get("loudness"), None);
    }

    #[test]
    fn a_copy_is_perfect_and_a_delayed_copy_nearly() {
        let x = fixture::original();
        let copy = scores(&x, &x).unwrap();
        assert_eq!((copy.log_mel_db, copy.multi_resolution, copy.level_db), (Some(0.0), Some(0.0), Some(0.0)));
        assert_eq!((copy.onset_f, copy.partial_cents), (Some(1.0), Some(0.0)));
        assert!(copy.chroma.unwrap() < 1e-9 && copy.si_sdr_db.unwrap() > 100.0);
        // 4.7321 is what ViSQOL's audio mode gives for equal signals.
        assert!((copy.visqol.unwrap() - 4.7321).abs() < 1e-3);
        let late: Vec<f32> = [0.0; 1234].iter().chain(&x).copied().collect();
        assert_eq!(scores(&x, &late).unwrap(), copy);
    }

    #[test]
    fn gain_on_both_changes_nothing_but_visqol() {
        let x = fixture::original();
        let noisy: Vec<f32> = x.iter().enumerate().map(|(n, v)| v + 0.01 * ((n * n) as f32).sin()).collect();
        let half = |x: &[f32]| x.iter().map(|v| 0.5 * v).collect::<Vec<_>>();
        let (a, b) = (scores(&x, &noisy).unwrap(), scores(&half(&x), &half(&noisy)).unwrap());
        for metric in METRICS.iter().filter(|m| m.key != "visqol") {
            let (a, b) = (a.get(metric.key).unwrap(), b.get(metric.key).unwrap());
            assert!((a - b).abs() < 1e-4, "{}: {a} and {b}", metric.key);
        }
    }

    #[test]
    fn silence_and_nothing_have_no_scores() {
        let x = fixture::original();
        assert_eq!(scores(&[], &[]).unwrap(), Scores::default());
        assert_eq!((log_mel_distance(&[], &x).unwrap(), visqol_score(&[], &x).unwrap()), (None, None));
        assert_eq!(scores(&[0.0; 24_000], &x).unwrap(), Scores::default());
        let lost = scores(&x, &[]).unwrap();
        assert_eq!(
            (lost.onset_f, lost.chroma, lost.partial_cents, lost.visqol),
            (Some(0.0), Some(1.0), Some(50.0), Some(1.0))
        );
        assert!(METRICS.iter().all(|m| lost.get(m.key).is_none_or(f64::is_finite)));
    }

    #[test]
    fn short_signals_have_the_scores_that_exist() {
        for length in [1, 2, 100, 1000] {
            let x: Vec<f32> = (0..length).map(|n| (0.2 * n as f32).cos()).collect();
            let scores = scores(&x, &x).unwrap();
            assert_eq!((scores.log_mel_db, scores.visqol), (Some(0.0), None), "{length}");
        }
    }

    #[test]
    fn samples_that_are_no_numbers_are_refused() {
        let error = scores(&[0.1, 0.2], &[0.1, f32::NAN]).unwrap_err().to_string();
        assert!(error.contains("sample 1 of the decoded signal is NaN"), "{error}");
    }
}
