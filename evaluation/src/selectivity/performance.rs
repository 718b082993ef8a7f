//! Recordings paired with their performance in MIDI.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use spiccato_datasets::{Audio, Split, find_sources};

/// Extensions that a MIDI file beside its recording may have.
const MIDI_EXTENSIONS: [&str; 3] = ["midi", "mid", "MID"];

/// A recording and its performance in MIDI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Performance {
    /// Audio file.
    pub audio: PathBuf,
    /// Standard MIDI File of the same performance.
    pub midi: PathBuf,
}

impl Performance {
    /// A recording with the MIDI file of the same name beside it.
    ///
    /// # Errors
    /// If there is none.
    pub fn beside(audio: PathBuf) -> Result<Self> {
        let midi = midi_beside(&audio)
            .with_context(|| format!("{}: there is no MIDI file of the same name beside it", audio.display()))?;
        Ok(Self { audio, midi })
    }
}

/// The MIDI file with the name of `audio` in the same folder, if there is one.
pub fn midi_beside(audio: &Path) -> Option<PathBuf> {
    MIDI_EXTENSIONS.iter().map(|extension| audio.with_extension(extension)).find(|path| path.is_file())
}

/// The performances in the validation split of a data set, and the files that its table names but that are missing. The
/// MIDI file is the one that the table names, or else the one beside the recording.
///
/// # Errors
/// If the data set can't be read, a recording has no MIDI file, or there is no recording.
pub fn performances_of(folder: &Path) -> Result<(Vec<Performance>, Vec<PathBuf>)> {
    let set = find_sources(folder)?;
    let held_out = set.sources.into_iter().filter(|source| source.split == Split::Validation);
    let performances = held_out.filter_map(|source| match (source.audio, source.midi) {
        (Audio::File(audio), Some(midi)) => Some(Ok(Performance { audio, midi })),
        (Audio::File(audio), None) => Some(Performance::beside(audio)),
        _ => None, // archives hold no MIDI files
    });
    let performances = performances.collect::<Result<Vec<_>>>()?;
    let missing = set.missing.first().map_or_else(String::new, |path| format!(": {} is missing", path.display()));
    ensure!(!performances.is_empty(), "{}: no recording in the validation split{missing}", folder.display());
    Ok((performances, set.missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_find_their_midi_by_table_or_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.wav", "b.wav", "b.mid", "notes.midi"] {
            std::fs::write(path(name), b"").unwrap();
        }
        let table = "split,midi_filename,audio_filename\nvalidation,notes.midi,a.wav\ntrain,b.mid,b.wav\n";
        std::fs::write(path("maestro-v3.0.0.csv"), table).unwrap();
        let (performances, missing) = performances_of(folder.path()).unwrap();
        assert_eq!(performances, [Performance { audio: path("a.wav"), midi: path("notes.midi") }]);
        assert!(missing.is_empty());
        assert_eq!(Performance::beside(path("b.wav")).unwrap().midi, path("b.mid"));
        let message = Performance::beside(path("a.wav")).unwrap_err().to_string();
        assert!(message.contains("a.wav") && message.contains("no MIDI file"), "{message}");
    }
}
