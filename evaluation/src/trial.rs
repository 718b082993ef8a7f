//! One file through one codec at one rate: encoded and decoded as often as asked, measured, and kept in the cache.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use spiccato::audio_file::Surround;

use crate::cache::Cache;
use crate::codec::Codec;
use crate::files::{Prepared, read_at_codec_rate};
use crate::metrics::scores;
use crate::process::Usage;
use crate::row::finite;

/// Runs a command with a time limit; see [`HelperProcess`](crate::HelperProcess).
pub type Run<'a> = dyn Fn(&[OsString], Duration) -> Result<Usage, String> + Sync + 'a;

/// Result of one trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// Size of the coded file.
    pub(crate) bytes: u64,
    /// Metrics that have a value.
    pub(crate) scores: BTreeMap<String, f64>,
    /// Length of the decoded file.
    pub(crate) decoded_seconds: f64,
    pub(crate) encode: Cost,
    pub(crate) decode: Cost,
}

/// Resources that a program used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: Option<u64>,
}

/// How trials are made.
pub(crate) struct Bench<'a> {
    pub(crate) cache: Cache,
    pub(crate) run: &'a Run<'a>,
    /// Time limit of each encoding and decoding.
    pub(crate) limit: Duration,
    /// How often each is done; the fastest counts.
    pub(crate) repeats: u32,
}

/// Processor times are not finer than this.
const SHORTEST: f64 = 1e-4;

impl Bench<'_> {
    /// Identifier of a trial by all that its result depends on: audio, codec, rate, and this program, which measures.
    pub(crate) fn key(&self, prepared: &Prepared, identity: &str, rate: f64) -> String {
        let (hash, repeats) = (prepared.hash.to_hex(), self.repeats.to_string());
        Cache::key(&[this_program(), &hash, identity, &rate.to_string(), &repeats])
    }

    /// The trial from the cache, or run now. The inner error is a failure of the codec; failures are not cached.
    ///
    /// # Errors
    /// If the disk can't be written.
    pub(crate) fn trial(
        &self,
        prepared: &Prepared,
        codec: &Codec,
        identity: &str,
        rate: f64,
    ) -> Result<Result<Trial, String>> {
        let key = self.key(prepared, identity, rate);
        if let Some(trial) = self.cache.get(&key) {
            return Ok(Ok(trial));
        }
        let folder = tempfile::tempdir()?;
        let coded = folder.path().join("coded");
        let decoded = folder.path().join("decoded.wav");
        match self.make(prepared, codec, rate, &coded, &decoded) {
            Ok(trial) => {
                let bytes = std::fs::read(&coded).with_context(|| coded.display().to_string())?;
                self.cache.put(&key, &trial, &bytes)?;
                Ok(Ok(trial))
            }
            Err(error) => Ok(Err(format!("{error:#}"))),
        }
    }

    fn make(&self, prepared: &Prepared, codec: &Codec, rate: f64, coded: &Path, decoded: &Path) -> Result<Trial> {
        let encode = self.measure(&codec.encode.fill(&prepared.wav, coded, rate)).context("encoding")?;
        let bytes = coded.metadata().context("encoding: the program left no file")?.len();
        let decode = self.measure(&codec.decode.fill(coded, decoded, rate)).context("decoding")?;
        let samples = self.read(decoded)?;
        let found = scores(&prepared.samples, &samples).context("measuring")?;
        Ok(Trial {
            bytes,
            scores: finite(&found).into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            decoded_seconds: samples.len() as f64 / f64::from(spiccato::signal::SAMPLE_RATE),
            encode,
            decode,
        })
    }

    fn read(&self, decoded: &Path) -> Result<Vec<f32>> {
        anyhow::ensure!(decoded.is_file(), "decoding: the program left no file");
        read_at_codec_rate(decoded, Surround::Downmix).context("decoding")
    }

    fn measure(&self, command: &[OsString]) -> Result<Cost> {
        let mut least: Option<Cost> = None;
        for _ in 0..self.repeats.max(1) {
            let usage = (self.run)(command, self.limit).map_err(anyhow::Error::msg)?;
            let cost = Cost { cpu_seconds: usage.cpu_seconds.max(SHORTEST), peak_bytes: usage.peak_bytes };
            least = Some(least.map_or(cost, |least| Cost {
                cpu_seconds: least.cpu_seconds.min(cost.cpu_seconds),
                peak_bytes: least.peak_bytes.min(cost.peak_bytes),
            }));
        }
        least.context("nothing was run")
    }

    /// Decodes once more the coded file that a trial left in the cache.
    ///
    /// # Errors
    /// If there was no such trial or the decoder fails.
    pub(crate) fn decode_again(&self, prepared: &Prepared, codec: &Codec, rate: f64) -> Result<Vec<f32>> {
        let coded: PathBuf = self.cache.coded(&self.key(prepared, &codec.identity(), rate));
        let folder = tempfile::tempdir()?;
        let decoded = folder.path().join("decoded.wav");
        (self.run)(&codec.decode.fill(&coded, &decoded, rate), self.limit).map_err(anyhow::Error::msg)?;
        self.read(&decoded)
    }
}

/// A hash of the running program: another build may measure otherwise.
fn this_program() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let bytes = std::env::current_exe().and_then(std::fs::read).unwrap_or_default();
        blake3::hash(&bytes).to_hex().to_string()
    })
}
