//! Finished work on disk under a key made of everything that it depends on, so that an interrupted evaluation goes on
//! where it was.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spiccato::atomic_file::{AtomicFile, Existing};

/// A folder of finished work.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// If it can't be made.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The key of work that depends on `parts`.
    pub(crate) fn key(parts: &[&str]) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// What was found under a key. What can't be read counts as absent.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_slice(&std::fs::read(self.path(key, "json")).ok()?).ok()
    }

    /// Keeps a result and the coded file that it belongs to.
    ///
    /// # Errors
    /// If they can't be written.
    pub(crate) fn put(&self, key: &str, value: &impl Serialize, coded: &[u8]) -> Result<()> {
        let mut file = AtomicFile::create(&self.coded(key), Existing::Replace)?;
        file.write_all(coded)?;
        file.commit()?;
        let mut file = AtomicFile::create(&self.path(key, "json"), Existing::Replace)?;
        serde_json::to_writer(&mut file, value)?;
        file.commit()?;
        Ok(())
    }

    /// Where the coded file of a key is.
    pub(crate) fn coded(&self, key: &str) -> PathBuf {
        self.path(key, "coded")
    }

    fn path(&self, key: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{key}.{extension}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_by_key_and_takes_damage_for_absence() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let key = Cache::key(&["ab", "c"]);
        assert_ne!(key, Cache::key(&["a", "bc"]));
        assert_eq!(cache.get::<Vec<u8>>(&key), None);
        cache.put(&key, &[1u8, 2], b"coded").unwrap();
        assert_eq!(cache.get::<Vec<u8>>(&key), Some(vec![1, 2]));
        assert_eq!(std::fs::read(cache.coded(&key)).unwrap(), b"coded");
        std::fs::write(cache.path(&key, "json"), b"[1,").unwrap();
        assert_eq!(cache.get::<Vec<u8>>(&key), None);
    }
}
