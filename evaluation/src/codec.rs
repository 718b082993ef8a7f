//! A codec as a pair of commands: one that encodes a WAV file, one that decodes the result to a WAV file. Our own
//! models are run in the same way as external programs, so that the same things are measured for all.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// A codec that can be run.
#[derive(Debug, Clone)]
pub struct Codec {
    /// Its name in the report.
    pub name: String,
    /// WAV, 16 bits, mono → coded file.
    pub encode: Template,
    /// Coded file → WAV.
    pub decode: Template,
    /// Bitrates that it can be asked for.
    pub rates: Rates,
    /// Version, as its program prints it.
    pub version: String,
    /// Whether it is one of the models that are judged, rather than a peer.
    pub ours: bool,
}

impl Codec {
    /// Everything that determines the output of this codec: its commands and version, with every file that they name
    /// (programs, scripts, weights) by a hash of its content.
    pub fn identity(&self) -> String {
        format!("{}\n{}\n{}", self.version, self.encode.identity(), self.decode.identity())
    }
}

/// Bitrates in kbit/s that a codec can be asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Rates {
    /// Any from the first to the second.
    Between(f64, f64),
    /// These, in ascending order, at least one.
    Listed(Vec<f64>),
}

impl Rates {
    /// The possible bitrate that is nearest, by ratio.
    pub fn nearest(&self, asked: f64) -> f64 {
        match self {
            Self::Between(low, high) => asked.clamp(*low, *high),
            Self::Listed(rates) => {
                let distance = |rate: f64| (rate / asked).ln().abs();
                rates.iter().copied().min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(asked)
            }
        }
    }
}

/// A command with places for the input, the output and the bitrate.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Vec<Vec<Piece>>);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(OsString),
    Place(Place),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Input,
    Output,
    Kbps,
    Bps,
}

static PLACES: [(&str, Place); 4] =
    [("{input}", Place::Input), ("{output}", Place::Output), ("{kbps}", Place::Kbps), ("{bps}", Place::Bps)];

impl Template {
    /// A template from a line, with words and quotes as in a shell (but no shell runs it). `{input}` and `{output}`
    /// must be there; `{kbps}` and `{bps}` are the bitrate.
    ///
    /// # Errors
    /// If a quote is open or a place is missing.
    pub fn parse(line: &str) -> Result<Self> {
        let words = shlex::split(line).with_context(|| format!("a quote is open in: {line}"))?;
        let template = Self::from_words(words.into_iter().map(OsString::from));
        for (name, place) in &PLACES[..2] {
            ensure!(template.pieces().any(|piece| *piece == Piece::Place(*place)), "{name} is missing in: {line}");
        }
        match template.0.first().map(Vec::as_slice) {
            Some([Piece::Text(_)]) => Ok(template),
            _ => bail!("the first word must be a program in: {line}"),
        }
    }

    /// A template from words.
    pub fn from_words(words: impl IntoIterator<Item = OsString>) -> Self {
        Self(words.into_iter().map(pieces).collect())
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.0.iter().flatten()
    }

    /// The command with everything filled in.
    pub fn fill(&self, input: &Path, output: &Path, kbps: f64) -> Vec<OsString> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Place(Place::Input) => input.into(),
            Piece::Place(Place::Output) => output.into(),
            Piece::Place(Place::Kbps) => kbps.to_string().into(),
            Piece::Place(Place::Bps) => (kbps * 1000.0).round().to_string().into(),
        };
        self.0.iter().map(|word| word.iter().map(text).collect()).collect()
    }

    /// The program.
    pub fn program(&self) -> &OsStr {
        match self.0.first().and_then(|word| word.first()) {
            Some(Piece::Text(text)) => text,
            _ => OsStr::new(""),
        }
    }

    /// The command as one line, for display.
    pub fn line(&self) -> String {
        let word = |word: &Vec<Piece>| -> String {
            let text = |piece: &Piece| match piece {
                Piece::Text(text) => text.to_string_lossy().into_owned(),
                Piece::Place(place) => {
                    PLACES.iter().find(|(_, p)| p == place).map(|(name, _)| (*name).to_owned()).unwrap_or_default()
                }
            };
            word.iter().map(text).collect()
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn identity(&self) -> String {
        let mut words = Vec::new();
        for (at, word) in self.0.iter().enumerate() {
            let path = match word.as_slice() {
                [Piece::Text(text)] if at == 0 => find_program(text),
                [Piece::Text(text)] => Some(PathBuf::from(text)),
                _ => None,
            };
            words.push(path.and_then(|path| content(&path)).unwrap_or_else(|| format!("{word:?}")));
        }
        words.join(" ")
    }
}

/// Hash of a file, or of the files directly in a folder.
fn content(path: &Path) -> Option<String> {
    let mut files = match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect(),
        Err(_) => vec![path.to_owned()],
    };
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in &files {
        hasher.update(blake3::hash(&std::fs::read(file).ok()?).as_bytes());
    }
    Some(hasher.finalize().to_hex().to_string())
}

/// Cuts a word at its places.
fn pieces(word: OsString) -> Vec<Piece> {
    let Some(mut rest) = word.to_str() else { return vec![Piece::Text(word)] };
    let mut pieces = Vec::new();
    loop {
        let next = PLACES.iter().filter_map(|(name, place)| Some((rest.find(name)?, name, place))).min_by_key(|n| n.0);
        let (at, length) = next.map_or((rest.len(), 0), |(at, name, _)| (at, name.len()));
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].into()));
        }
        let Some((_, _, place)) = next else { return pieces };
        pieces.push(Piece::Place(*place));
        rest = &rest[at + length..];
    }
}

/// Where a program lies: as named if the name has a folder, else the first on `PATH`.
pub(crate) fn find_program(name: &OsStr) -> Option<PathBuf> {
    let path = Path::new(name);
    if path.components().count() > 1 {
        return Some(path.to_owned()).filter(|path| executable(path));
    }
    let with_extension = |folder: PathBuf| {
        let plain = folder.join(name);
        [plain.with_extension(std::env::consts::EXE_EXTENSION), plain]
    };
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).flat_map(with_extension).find(|path| executable(path))
}

fn executable(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    #[cfg(unix)]
    let permitted = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let permitted = true;
    metadata.is_file() && permitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_within_words_and_quotes() {
        let template = Template::parse("enc -b {bps} --rate={kbps}k 'a b' --in={input} {output}").unwrap();
        let command = template.fill(Path::new("in put.wav"), Path::new("out"), 1.5);
        assert_eq!(command, ["enc", "-b", "1500", "--rate=1.5k", "a b", "--in=in put.wav", "out"]);
        assert_eq!(template.line(), "enc -b {bps} --rate={kbps}k a b --in={input} {output}");
        assert_eq!(template.program(), "enc");
    }

    #[test]
    fn lines_that_cannot_work_are_refused() {
        for (line, word) in
            [("enc {input}", "{output}"), ("enc {output}", "{input}"), ("enc ' {input} {output}", "quote")]
        {
            assert!(Template::parse(line).unwrap_err().to_string().contains(word));
        }
        assert!(Template::parse("{input} {output}").is_err());
        assert!(Template::parse("").is_err());
    }

    #[test]
    fn the_nearest_rate_is_by_ratio() {
        let codec2 = Rates::Listed(vec![0.7, 1.2, 1.6, 2.4, 3.2]);
        assert_eq!([0.1, 1.0, 2.0, 8.0].map(|r| codec2.nearest(r)), [0.7, 1.2, 2.4, 3.2]);
        assert_eq!([1.0, 7.0, 900.0].map(|r| Rates::Between(6.0, 256.0).nearest(r)), [6.0, 7.0, 256.0]);
    }

    #[test]
    fn files_count_by_content_for_the_identity() {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("weights");
        let codec = |weights: &Path| {
            let words = ["enc", weights.to_str().unwrap(), "{input}", "{output}"].map(OsString::from);
            let template = Template::from_words(words);
            let (encode, decode) = (template.clone(), template);
            let rates = Rates::Between(1.0, 2.0);
            Codec { name: "x".to_owned(), encode, decode, rates, version: "1".to_owned(), ours: false }
        };
        std::fs::write(&weights, b"one").unwrap();
        let one = codec(&weights).identity();
        std::fs::write(&weights, b"two").unwrap();
        assert_ne!(codec(&weights).identity(), one);
        let moved = folder.path().join("moved");
        std::fs::write(&moved, b"one").unwrap();
        assert_eq!(codec(&moved).identity(), one);
        let folder_of = |text: &[u8]| {
            let run = folder.path().join("run");
            std::fs::create_dir_all(&run).unwrap();
            std::fs::write(run.join("model"), text).unwrap();
            codec(&run).identity()
        };
        assert_ne!(folder_of(b"one"), folder_of(b"two"));
    }
}
