//! External codecs, each described by the commands that encode and decode, one line of TOML for each. `peers.toml`
//! lists the well-known ones; their programs are looked for on `PATH`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::codec::{Codec, Rates, Template, find_program};
use crate::process;

/// A codec that was requested but can't be run here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Descriptions of external codecs by name.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Peers(BTreeMap<String, Entry>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    encode: String,
    decode: String,
    rates: Option<Vec<f64>>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    version: Option<String>,
    install: Option<String>,
}

/// Time limit for a program to print its version.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

impl Peers {
    /// The well-known codecs: AAC, Codec 2, MP3, Opus and Vorbis.
    ///
    /// # Errors
    /// Never, unless the table in the program is wrong.
    pub fn built_in() -> Result<Self> {
        Ok(toml::from_str(include_str!("peers.toml"))?)
    }

    /// Adds those of a file; they replace those of the same name.
    ///
    /// # Errors
    /// If the file can't be read or a line of it is wrong.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let added: Self = toml::from_str(&text).with_context(|| {
            format!("{}: expected lines such as name = {{ encode = …, decode = … }}", path.display())
        })?;
        for (name, entry) in &added.0 {
            entry.codec(name).with_context(|| format!("{}: {name}", path.display()))?;
        }
        self.0.extend(added.0);
        Ok(())
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Those of `names` that can be run here, in that order, and those that can't.
    pub fn choose<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> (Vec<Codec>, Vec<Skipped>) {
        let (mut codecs, mut skipped) = (Vec::new(), Vec::new());
        for name in names {
            let found = match self.0.get(name) {
                Some(entry) => entry.found(name),
                None => Err(format!("no command is known for it: describe {name} in a file of further codecs")),
            };
            match found {
                Ok(codec) => codecs.push(codec),
                Err(reason) => skipped.push(Skipped { name: name.to_owned(), reason }),
            }
        }
        (codecs, skipped)
    }
}

impl Entry {
    /// The codec, its version not yet known.
    fn codec(&self, name: &str) -> Result<Codec> {
        let positive = |rates: &[f64]| rates.iter().all(|rate| rate.is_finite() && *rate > 0.0);
        let rates = match (&self.rates, self.minimum, self.maximum) {
            (None, minimum, maximum) => {
                let (low, high) = (minimum.unwrap_or(f64::MIN_POSITIVE), maximum.unwrap_or(f64::MAX));
                ensure!(positive(&[low, high]) && low <= high, "minimum and maximum must be positive and in order");
                Rates::Between(low, high)
            }
            (Some(rates), None, None) => {
                let mut rates = rates.clone();
                ensure!(!rates.is_empty() && positive(&rates), "rates must be numbers above 0, at least one");
                rates.sort_by(f64::total_cmp);
                Rates::Listed(rates)
            }
            _ => anyhow::bail!("rates and minimum or maximum exclude each other"),
        };
        Ok(Codec {
            name: name.to_owned(),
            encode: Template::parse(&self.encode).context("encode")?,
            decode: Template::parse(&self.decode).context("decode")?,
            rates,
            version: String::new(),
            ours: false,
        })
    }

    /// The codec with its version, if its programs are there.
    fn found(&self, name: &str) -> Result<Codec, String> {
        for line in [&self.encode, &self.decode] {
            let words = shlex::split(line).unwrap_or_default();
            let program = words.first().map(OsString::from).unwrap_or_default();
            if find_program(&program).is_none() {
                let advice = self.install.as_ref().map(|name| format!("; install {name}")).unwrap_or_default();
                return Err(format!("the program {} is not on PATH{advice}", program.display()));
            }
        }
        let codec = self.codec(name).map_err(|error| format!("{error:#}"))?;
        Ok(Codec { version: self.version(), ..codec })
    }

    /// First line that the program prints when asked for its version.
    fn version(&self) -> String {
        let words = self.version.as_ref().and_then(|line| shlex::split(line)).unwrap_or_default();
        let command: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        let said = process::run(&command, VERSION_LIMIT, &AtomicBool::new(false)).map(|usage| usage.said);
        let said = said.unwrap_or_default();
        said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(text: &str) -> Result<Peers> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let mut peers = Peers::built_in()?;
        peers.add_file(file.path())?;
        Ok(peers)
    }

    #[test]
    fn the_built_in_lines_are_right() {
        let peers = Peers::built_in().unwrap();
        assert_eq!(peers.names().collect::<Vec<_>>(), ["aac", "codec2", "mp3", "opus", "vorbis"]);
        for (name, entry) in &peers.0 {
            entry.codec(name).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_line_adds_a_codec_and_what_is_missing_is_skipped_with_a_reason() {
        let line =
            "mine = { encode = 'cp {input} {output}', decode = 'cp {input} {output}', version = 'echo mine 1.0' }
                    gone = { encode = 'no-such-thing {input} {output}', decode = 'cp {input} {output}' }";
        let (codecs, skipped) = peers(line).unwrap().choose(["mine", "gone", "lyra"]);
        assert_eq!(codecs.iter().map(|c| (&*c.name, &*c.version)).collect::<Vec<_>>(), [("mine", "mine 1.0")]);
        assert_eq!(skipped.iter().map(|s| &*s.name).collect::<Vec<_>>(), ["gone", "lyra"]);
        assert_eq!(skipped[0].reason, "the program no-such-thing is not on PATH");
        assert!(skipped[1].reason.contains("describe lyra"));
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, word) in [
            ("x = { encode = 'cp {input} {output}' }", "decode"),
            ("x = { encode = 'cp {output}', decode = 'cp {input} {output}' }", "{input}"),
            ("x = { encode = 'cp {input} {output}', decode = 'cp {input} {output}', rate = 3 }", "rate"),
            ("x = { encode = 'cp {input} {output}', decode = 'cp {input} {output}', rates = [] }", "at least one"),
            (
                "x = { encode = 'cp {input} {output}', decode = 'cp {input} {output}', rates = [1], minimum = 1 }",
                "exclude",
            ),
            ("x = 3", "encode"),
        ] {
            let message = format!("{:#}", peers(text).unwrap_err());
            assert!(message.contains(word), "{message}");
        }
    }
}
