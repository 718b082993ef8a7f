//! The table of what has been decoded or measured: `clips.json` in the cache, so that nothing is done twice.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use spiccato::atomic_file::{AtomicFile, Existing};
use spiccato_datasets::Audio;

use super::clip::Clip;
use super::decoder::{Failure, Measured, Opener, decode};

/// Name of the table.
const TABLE: &str = "clips.json";

/// Time between savings of the table while files are decoded.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    file: String,
    /// Length of the audio file.
    bytes: u64,
    /// When it was changed last, in seconds since 1970.
    modified: Option<u64>,
    samples: usize,
    gain: f32,
}

fn modified(metadata: &Metadata) -> Option<u64> {
    Some(metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

type Entries = BTreeMap<PathBuf, Entry>;

/// The table while files are being decoded.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    folder: &'a Path,
    state: Mutex<(Entries, Instant)>,
}

impl<'a> Table<'a> {
    /// The table in a cache's folder, empty if there is none.
    pub(crate) fn open(folder: &'a Path) -> Result<Self> {
        let path = folder.join(TABLE);
        let entries = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!("{}: damaged; delete the folder to have everything decoded anew", path.display())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Entries::new(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(Self { folder, state: Mutex::new((entries, Instant::now())) })
    }

    /// The clip of an audio file: as it is known, or decoded now. If its decoded form needn't be there (`keep` is false),
    /// it is at most measured.
    pub(crate) fn clip(&self, audio: &Audio, keep: bool, opener: &Opener) -> Result<Clip, Failure> {
        // The cache may be used from another folder, or for another data set.
        let name = audio.name();
        let name = std::path::absolute(&name).unwrap_or(name);
        let metadata = std::fs::metadata(audio.path()).with_context(|| audio.path().display().to_string());
        let metadata = metadata.map_err(Failure::Source)?;
        let bytes = if let Audio::Member { bytes, .. } = audio { *bytes } else { metadata.len() };
        let known = self.lock().0.get(&name).cloned();
        let known = known.filter(|entry| entry.bytes == bytes && entry.modified == modified(&metadata));
        if let Some(entry) = known {
            let clip = self.clip_of(audio, &entry);
            if !keep || clip.is_decoded() {
                return Ok(clip);
            }
        }
        let file = format!("{}.s16", &blake3::hash(name.as_os_str().as_encoded_bytes()).to_hex()[..24]);
        let target = self.folder.join(&file);
        let Measured { samples, gain } = decode(audio, opener, Some(target.as_path()).filter(|_| keep))?;
        let entry = Entry { file, bytes, modified: modified(&metadata), samples, gain };
        let clip = self.clip_of(audio, &entry);
        self.insert(name, entry).map_err(Failure::Target)?;
        Ok(clip)
    }

    /// Writes the table.
    pub(crate) fn save(&self) -> Result<()> {
        save(&self.lock().0, self.folder)
    }

    fn clip_of(&self, audio: &Audio, entry: &Entry) -> Clip {
        let path = self.folder.join(&entry.file);
        Clip { audio: audio.clone(), path, samples: entry.samples, gain: entry.gain }
    }

    fn insert(&self, name: PathBuf, entry: Entry) -> Result<()> {
        let mut state = self.lock();
        state.0.insert(name, entry);
        if state.1.elapsed() > SAVE_INTERVAL {
            save(&state.0, self.folder)?;
            state.1 = Instant::now();
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Entries, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn save(entries: &Entries, folder: &Path) -> Result<()> {
    let mut file = AtomicFile::create(&folder.join(TABLE), Existing::Replace)?;
    serde_json::to_writer(&mut file, entries)?;
    Ok(file.commit()?)
}
