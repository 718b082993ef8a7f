//! From the likeness of the bands to a listener's opinion: a support vector machine for regression (ν-SVR with radial
//! basis functions) that was trained on listening tests, in the text format of LIBSVM (Chang & Lin 2011).

use anyhow::{Context, Result, ensure};

use super::{BANDS, Frame};

/// The trained machine, as it comes with ViSQOL v3.
const TEXT: &str = include_str!("svr_model.txt");

/// A machine: opinion = Σ weight · exp(−γ |x − vector|²) − offset.
pub(super) struct Model {
    gamma: f64,
    offset: f64,
    vectors: Vec<(f64, Frame)>,
}

impl Model {
    pub(super) fn load() -> Result<Self> {
        Self::parse(TEXT).context("the support vectors of ViSQOL")
    }

    fn parse(text: &str) -> Result<Self> {
        let (head, vectors) = text.split_once("\nSV\n").context("no line SV")?;
        let value = |name: &str| -> Result<f64> {
            let line = head.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            line.trim().parse().with_context(|| format!("{name}{line}"))
        };
        let vectors = vectors.lines().map(vector).collect::<Result<Vec<_>>>()?;
        ensure!(vectors.len() as f64 == value("total_sv ")?, "{} vectors", vectors.len());
        Ok(Self { gamma: value("gamma ")?, offset: value("rho ")?, vectors })
    }

    /// Opinion from 1 (bad) to 5 (excellent).
    pub(super) fn opinion(&self, likeness: &Frame) -> f64 {
        let distance = |vector: &Frame| likeness.iter().zip(vector).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let sum: f64 =
            self.vectors.iter().map(|(weight, vector)| weight * (-self.gamma * distance(vector)).exp()).sum();
        (sum - self.offset).clamp(1.0, 5.0)
    }
}

/// A line: the weight, then `index:value`, indices counted from 1.
fn vector(line: &str) -> Result<(f64, Frame)> {
    let mut fields = line.split_whitespace();
    let weight = fields.next().context("an empty line")?.parse()?;
    let mut vector = [0.0; BANDS];
    for field in fields {
        let (index, value) = field.split_once(':').with_context(|| field.to_owned())?;
        let index: usize = index.parse().with_context(|| field.to_owned())?;
        ensure!((1..=BANDS).contains(&index), "{field}: there are {BANDS} bands");
        vector[index - 1] = value.parse().with_context(|| field.to_owned())?;
    }
    Ok((weight, vector))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `predict_quality` of visqol-python 3.8.0 (LIBSVM 3.37) for the same likeness.
    #[test]
    fn opinions_are_those_of_libsvm() {
        let model = Model::load().unwrap();
        type Shape = fn(f64) -> f64;
        let cases: [(Shape, f64); 4] = [
            (|_| 1.0, 4.732101253042348),
            (|band| 0.95 - 0.01 * band, 3.578207825775178),
            (|band| 0.5 + 0.3 * band.sin(), 2.8486508978888407),
            (|_| 0.2, 1.97696061567756),
        ];
        for (likeness, expected) in cases {
            let opinion = model.opinion(&std::array::from_fn(|band| likeness(band as f64)));
            assert!((opinion - expected).abs() < 1e-9, "{opinion} for {expected}");
        }
    }

    #[test]
    fn texts_that_are_no_machine_are_refused() {
        let head = "gamma 0.01\ntotal_sv 1\nrho -3\nSV\n";
        assert!(Model::parse(&format!("{head}1 1:0.5 32:1 \n")).is_ok());
        for bad in ["", "1 0:1", "1 33:1", "1 1:x", "x 1:1", "1 1", "1 1:1\n1 1:1"] {
            assert!(Model::parse(&format!("{head}{bad}")).is_err(), "{bad}");
        }
        assert!(Model::parse("gamma 0.01\nSV\n").is_err());
        assert!(Model::parse("").is_err());
    }
}
