//! Running the command, and files to run it on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// The command with the words of `line` as its first arguments.
pub(crate) fn spiccato(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiccato"));
    command.args(line.split_whitespace());
    command
}

/// Runs a command that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    command.assert().success().get_output().clone()
}

/// Runs a command that must fail with this exit code, and gives what it says.
pub(crate) fn fail(command: &mut Command, code: i32) -> String {
    let output = command.assert().code(code).stdout("").get_output().clone();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!message.is_empty() && !message.contains("panicked"), "{message}");
    message
}

/// What a command that must succeed says on standard error.
pub(crate) fn said(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stderr).unwrap()
}

/// What a command prints as JSON.
pub(crate) fn json(command: &mut Command) -> Value {
    serde_json::from_slice(&succeed(command).stdout).unwrap()
}

/// A file of `testdata/`.
pub(crate) fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)
}

/// A file of `testdata/formats/`.
pub(crate) fn format(name: &str) -> PathBuf {
    testdata("formats").join(name)
}

/// The model that is built in.
pub(crate) fn default_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/default.safetensors")
}

/// A temporary folder.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// All files in it and in folders below, but for those of caches.
    pub(crate) fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = walkdir::WalkDir::new(&self.0).into_iter().map(|entry| entry.unwrap().into_path());
        let files = entries.filter(|path| path.is_file() && !path.iter().any(|name| name == ".spiccato-cache"));
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    /// The names of all files in it and in folders below, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let relative = |path: PathBuf| path.strip_prefix(&self.0).unwrap().to_str().unwrap().replace('\\', "/");
        self.contents().into_keys().map(relative).collect()
    }

    /// Runs a command that must fail with exit code 1 and leave the folder as it was.
    pub(crate) fn refuse(&self, command: &mut Command) -> String {
        let before = self.contents();
        let message = fail(command, 1);
        assert!(self.contents() == before, "the folder changed: {:?}", self.contents().keys());
        message
    }
}

/// A WAV file, samples as they are stored over full scale.
pub(crate) struct Wav {
    pub(crate) spec: hound::WavSpec,
    pub(crate) samples: Vec<f32>,
}

impl Wav {
    pub(crate) fn read(path: &Path) -> Self {
        let mut reader = hound::WavReader::open(path).unwrap();
        let spec = reader.spec();
        let samples = match spec.sample_format {
            hound::SampleFormat::Float => reader.samples::<f32>().map(Result::unwrap).collect(),
            hound::SampleFormat::Int => {
                let scale = (1u32 << (spec.bits_per_sample - 1)) as f32;
                reader.samples::<i32>().map(|sample| sample.unwrap() as f32 / scale).collect()
            }
        };
        Self { spec, samples }
    }

    /// Writes it with 16 bits.
    pub(crate) fn write(&self, path: &Path) {
        let mut writer = hound::WavWriter::create(path, self.spec).unwrap();
        for sample in &self.samples {
            writer.write_sample((sample * 32_768.0).round() as i16).unwrap();
        }
        writer.finalize().unwrap();
    }

    /// Sample rate, channels, frames.
    pub(crate) fn shape(&self) -> (u32, u16, usize) {
        (self.spec.sample_rate, self.spec.channels, self.samples.len() / usize::from(self.spec.channels))
    }

    pub(crate) fn peak(&self) -> f32 {
        assert!(self.samples.iter().all(|sample| sample.is_finite()));
        self.samples.iter().fold(0.0, |peak, sample| sample.abs().max(peak))
    }
}

/// Writes decaying tones, a new one every half second, as 16-bit mono.
pub(crate) fn write_tones(path: &Path, sample_rate: u32, seconds: f64) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for n in 0..(seconds * f64::from(sample_rate)) as u32 {
        let time = f64::from(n) / f64::from(sample_rate);
        let (note, since) = ((time / 0.5).floor(), time % 0.5);
        let hertz = 220.0 * 2f64.powf(note * 7.0 % 24.0 / 12.0);
        let sample = 0.5 * (-5.0 * since).exp() * (std::f64::consts::TAU * hertz * since).sin();
        writer.write_sample((sample * 32_767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// Sample rate and length of [`music`]: two chunks, the last one short.
pub(crate) const MUSIC_RATE: u32 = 8_000;
pub(crate) const MUSIC_SECONDS: f64 = 13.5;
pub(crate) const MUSIC_SAMPLES: usize = 108_000;

/// A recording of two chunks and its compressed form, made once.
pub(crate) struct Music {
    pub(crate) wav: Vec<u8>,
    pub(crate) spic: Vec<u8>,
}

pub(crate) fn music() -> &'static Music {
    static MUSIC: OnceLock<Music> = OnceLock::new();
    MUSIC.get_or_init(|| {
        let folder = Folder::new();
        let (wav, spic) = (folder.file("music.wav"), folder.file("music.spic"));
        write_tones(&wav, MUSIC_RATE, MUSIC_SECONDS);
        succeed(spiccato("compress --quality 40").args([&wav, &spic]));
        Music { wav: fs::read(wav).unwrap(), spic: fs::read(spic).unwrap() }
    })
}
