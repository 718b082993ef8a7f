//! Which outputs a command writes, by its inputs and options; refusals before any work is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use spiccato::atomic_file::require_other_file;

use crate::args::BatchArgs;
use crate::output::{is_standard, refuse_terminal};
use crate::walk::{Found, files, has_extension};

/// One input and its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

/// What a command reads and writes.
#[derive(Debug)]
pub(crate) struct Kinds<'a> {
    /// Verb in messages.
    pub(crate) command: &'a str,
    /// Extensions that folders are searched for.
    pub(crate) inputs: &'a [&'a str],
    /// Extensions that an output may have, the usual one first.
    pub(crate) outputs: &'a [&'a str],
    /// Whether an output may have any name, because an option says what is written.
    pub(crate) any_output: bool,
}

/// The work of a command: `paths` are its inputs, or an input and its output. Second, whether many files are worked on, which
/// goes on after an error and ends with a summary.
pub(crate) fn jobs(paths: &[PathBuf], batch: &BatchArgs, kinds: &Kinds<'_>) -> Result<(Vec<Job>, bool)> {
    let (inputs, output) = match (paths, &batch.output) {
        ([input, output], None) if names_output(output, kinds) => (std::slice::from_ref(input), Some(output)),
        (inputs, output) => (inputs, output.as_ref()),
    };
    if let [input] = inputs
        && !input.is_dir()
        && !output.is_some_and(|output| is_folder(output))
    {
        let output = match output {
            Some(output) => output.clone(),
            None if is_standard(input) => bail!("name the output file when reading from standard input"),
            None => input.with_extension(kinds.outputs[0]),
        };
        check_kind(input, &output, kinds)?;
        refuse_terminal(&output)?;
        require_other_file(&output, [input.as_path()])?;
        return Ok((vec![Job { input: input.clone(), output }], false));
    }
    ensure!(!inputs.iter().any(|input| is_standard(input)), "standard input can't be one of several inputs");
    if let Some(output) = output {
        ensure!(!is_standard(output), "several inputs need a folder for their outputs, not standard output");
        ensure!(
            !output.exists() || output.is_dir(),
            "{}: several inputs need a folder for their outputs, and this is a file",
            output.display()
        );
    }
    let mut found = files(inputs, kinds.inputs)?;
    if let Some(shard) = batch.shard {
        found.sort();
        found = found.into_iter().skip(shard.number).step_by(shard.count).collect();
    }
    let mut jobs = Vec::with_capacity(found.len());
    for Found { path, relative } in found {
        let output = match output {
            Some(folder) => folder.join(relative.with_extension(kinds.outputs[0])),
            None => path.with_extension(kinds.outputs[0]),
        };
        jobs.push(Job { input: path, output });
    }
    check_distinct(&jobs)?;
    for job in &jobs {
        require_other_file(&job.output, jobs.iter().map(|job| job.input.as_path()))?;
    }
    Ok((jobs, true))
}

/// Whether the second of two paths is an output: it ends as one, or is standard output, and is nothing that could be read.
fn names_output(path: &Path, kinds: &Kinds<'_>) -> bool {
    is_standard(path)
        || has_extension(path, kinds.outputs)
        || is_folder(path) && !path.is_dir()
        || kinds.any_output
        || !has_extension(path, kinds.inputs) && !path.is_dir()
}

/// Whether a path means a folder.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR])
}

/// Refuses an output whose name says another kind of file than what is written.
fn check_kind(input: &Path, output: &Path, kinds: &Kinds<'_>) -> Result<()> {
    let special = is_standard(output) || output.metadata().is_ok_and(|metadata| !metadata.is_file());
    if special || kinds.any_output || has_extension(output, kinds.outputs) {
        return Ok(());
    }
    let (usual, command) = (kinds.outputs[0], kinds.command);
    let right = output.with_extension(usual);
    bail!(
        "{}: `{command}` writes .{}, which the name should say: spiccato {command} {} {}",
        output.display(),
        kinds.outputs.join(" or ."),
        input.display(),
        right.display()
    );
}

/// Checks that no output would take another one's place.
fn check_distinct(jobs: &[Job]) -> Result<()> {
    let mut taken: BTreeMap<&Path, &Path> = BTreeMap::new();
    for job in jobs {
        if let Some(other) = taken.insert(&job.output, &job.input) {
            let (one, two, output) = (other.display(), job.input.display(), job.output.display());
            bail!("{one} and {two} would both become {output}: work on them one by one, with -o");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: Kinds<'_> =
        Kinds { command: "compress", inputs: &["wav", "flac"], outputs: &["spic"], any_output: false };

    fn batch(output: Option<&Path>) -> BatchArgs {
        BatchArgs {
            output: output.map(Path::to_owned),
            force: false,
            skip_existing: false,
            jobs: 1,
            shard: None,
            keep_time: false,
        }
    }

    #[test]
    fn two_paths_are_an_input_and_an_output_or_two_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.wav", "b.wav"] {
            std::fs::write(path(name), b"").unwrap();
        }
        let outputs = |paths: &[PathBuf], output: Option<&Path>| {
            let (jobs, many) = jobs(paths, &batch(output), &KINDS).unwrap();
            (jobs.into_iter().map(|job| job.output).collect::<Vec<_>>(), many)
        };
        assert_eq!(outputs(&[path("a.wav")], None), (vec![path("a.spic")], false));
        assert_eq!(outputs(&[path("a.wav"), path("c.spic")], None), (vec![path("c.spic")], false));
        assert_eq!(outputs(&[path("a.wav"), "-".into()], None), (vec!["-".into()], false));
        assert_eq!(outputs(&[path("a.wav"), path("b.wav")], None), (vec![path("a.spic"), path("b.spic")], true));
        let out = path("out");
        let both = (vec![out.join("a.spic"), out.join("b.spic")], true);
        assert_eq!(outputs(&[path("a.wav"), path("b.wav")], Some(&out)), both);
        assert_eq!(outputs(&[folder.path().to_owned()], Some(&out)), both);
        let slash = PathBuf::from(format!("{}/", out.display()));
        assert_eq!(outputs(&[path("a.wav"), slash], None).0, [out.join("a.spic")]);
    }

    #[test]
    fn what_would_destroy_or_mislead_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.wav", "a.flac", "x.spic"] {
            std::fs::write(path(name), name).unwrap();
        }
        let refusal =
            |paths: &[PathBuf], output: Option<&Path>| jobs(paths, &batch(output), &KINDS).unwrap_err().to_string();
        let message = refusal(&[path("a.wav"), path("new.mp3")], None);
        assert!(message.contains("new.spic") && message.contains("compress"), "{message}");
        assert!(refusal(&[path("a.wav")], Some(&path("b.wav"))).contains("b.spic"));
        assert!(refusal(&[path("a.wav"), path("a.flac")], None).contains("both become"));
        assert!(refusal(&[path("x.spic"), path("x.spic")], None).contains("overwrite the input"));
        assert!(refusal(&[path("x.spic")], None).contains("overwrite the input"));
        assert!(refusal(&["-".into()], None).contains("name the output"));
        assert!(refusal(&[path("a.wav"), "-".into(), path("a.flac")], None).contains("standard input"));
    }
}
