//! The files in the folder of a run.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use spiccato::atomic_file::{AtomicFile, Existing};

/// The folder of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder(PathBuf);

impl RunFolder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// Everything that is needed to go on.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint.safetensors")
    }

    /// The averaged weights of the last checkpoint.
    pub(crate) fn model(&self) -> PathBuf {
        self.0.join("model.safetensors")
    }

    /// The averaged weights of the validation with the lowest objective.
    pub(crate) fn best(&self) -> PathBuf {
        self.0.join("best.safetensors")
    }

    /// The prior of a quantiser's symbols.
    pub(crate) fn code_prior(&self) -> PathBuf {
        self.0.join("code-prior.safetensors")
    }

    /// Makes the folder, which must not hold a run.
    pub(crate) fn create(&self) -> Result<()> {
        check_vacant(&self.0)?;
        std::fs::create_dir_all(&self.0).with_context(|| self.0.display().to_string())
    }
}

/// Whether `folder` holds a run that can be resumed.
pub fn holds_run(folder: &Path) -> bool {
    RunFolder::new(folder).checkpoint().exists()
}

/// Checks that `folder` holds no run yet.
///
/// # Errors
/// If it does.
pub fn check_vacant(folder: &Path) -> Result<()> {
    ensure!(!holds_run(folder), "{} holds a run already: resume it or choose another folder", folder.display());
    Ok(())
}

/// Writes a file that appears when it is complete.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path, Existing::Replace)?;
    file.write_all(content).with_context(|| path.display().to_string())?;
    Ok(file.commit()?)
}
