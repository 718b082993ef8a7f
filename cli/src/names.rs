//! Which outputs a command writes, by its inputs and options; refusals before any work is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use spiccato::atomic_file::{require_other_file, require_other_files};

use crate::args::{BatchArgs, Shard};
use crate::output::{is_standard, plain, refuse_terminal};
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

/// What a command is to do.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) jobs: Vec<Job>,
    /// Messages about inputs that can't be worked on at all.
    pub(crate) problems: Vec<String>,
    /// Whether work goes on after an error and ends with a summary.
    pub(crate) many: bool,
}

/// The work of a command: `paths` are its inputs, or an input and its output.
pub(crate) fn work(paths: &[PathBuf], batch: &BatchArgs, kinds: &Kinds<'_>) -> Result<Work> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| plain(path)).collect();
    let option = batch.output.as_deref().map(plain);
    let (inputs, output) = match (&paths[..], option) {
        ([input, output], None) if names_output(output, kinds) => (std::slice::from_ref(input), Some(output.clone())),
        (inputs, output) => (inputs, output),
    };
    match inputs {
        [input] if batch.shard.is_none() && !input.is_dir() && !output.as_deref().is_some_and(is_folder) => {
            one(input, output, kinds)
        }
        inputs => many(inputs, output.as_deref(), batch.shard, kinds),
    }
}

fn one(input: &Path, output: Option<PathBuf>, kinds: &Kinds<'_>) -> Result<Work> {
    let output = match output {
        Some(output) => output,
        None if is_standard(input) => bail!("name the output file when reading from standard input"),
        None if is_special(input) => bail!("{}: name the output file when reading from a pipe", input.display()),
        None => input.with_extension(kinds.outputs[0]),
    };
    check_kind(input, &output, kinds)?;
    refuse_terminal(&output)?;
    require_other_file(&output, [input])?;
    Ok(Work { jobs: vec![Job { input: input.to_owned(), output }], problems: Vec::new(), many: false })
}

fn many(inputs: &[PathBuf], output: Option<&Path>, shard: Option<Shard>, kinds: &Kinds<'_>) -> Result<Work> {
    ensure!(!inputs.iter().any(|input| is_standard(input)), "standard input can't be one of several inputs");
    if let Some(output) = output {
        ensure!(!is_standard(output), "several inputs need a folder for their outputs, not standard output");
        ensure!(
            !output.exists() || output.is_dir(),
            "{}: several inputs need a folder for their outputs, and this is a file",
            output.display()
        );
    }
    let (mut found, problems) = files(inputs, kinds.inputs);
    if let Some(shard) = shard {
        found.sort();
        found = found.into_iter().skip(shard.number).step_by(shard.count).collect();
    }
    let jobs = found.into_iter().map(|Found { path, relative }| {
        let output = match output {
            Some(folder) => folder.join(relative.with_extension(kinds.outputs[0])),
            None => path.with_extension(kinds.outputs[0]),
        };
        Job { input: path, output }
    });
    let jobs: Vec<Job> = jobs.collect();
    check_distinct(&jobs)?;
    require_other_files(jobs.iter().map(|job| job.output.as_path()), jobs.iter().map(|job| job.input.as_path()))?;
    Ok(Work { jobs, problems, many: true })
}

/// Whether the second of two paths is an output: it ends as one, is standard output, or is nothing that could be read.
fn names_output(path: &Path, kinds: &Kinds<'_>) -> bool {
    let input = path.is_dir() || path.exists() && has_extension(path, kinds.inputs);
    is_standard(path) || !input
}

/// Whether the path is a pipe or a device.
fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Whether a path means a folder.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR])
}

/// Refuses an output whose name says another kind of file than what is written.
fn check_kind(input: &Path, output: &Path, kinds: &Kinds<'_>) -> Result<()> {
    let free = is_standard(output) || is_special(output) || output.is_dir() || output.extension().is_none();
    let other = has_extension(output, kinds.inputs);
    if free || kinds.any_output && !other || has_extension(output, kinds.outputs) {
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

/// Checks that no output would take another one's place, in whatever way its folder is named.
fn check_distinct(jobs: &[Job]) -> Result<()> {
    let mut folders: BTreeMap<&Path, PathBuf> = BTreeMap::new();
    let mut taken: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for job in jobs {
        let folder = job.output.parent().unwrap_or(Path::new(""));
        let real = folders.entry(folder).or_insert_with(|| match folder.as_os_str().is_empty() {
            true => Path::new(".").canonicalize().unwrap_or_default(),
            false => folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
        });
        let target = job.output.file_name().map_or_else(|| real.clone(), |name| real.join(name));
        if let Some(other) = taken.insert(target, &job.input) {
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
            let work = work(paths, &batch(output), &KINDS).unwrap();
            (work.jobs.into_iter().map(|job| job.output).collect::<Vec<_>>(), work.many)
        };
        assert_eq!(outputs(&[path("a.wav")], None), (vec![path("a.spic")], false));
        assert_eq!(outputs(&[path("a.wav"), path("c.spic")], None), (vec![path("c.spic")], false));
        for name in ["-", "/dev/stdout", "/proc/self/fd/1"] {
            assert_eq!(outputs(&[path("a.wav"), name.into()], None), (vec!["-".into()], false));
        }
        assert_eq!(outputs(&[path("a.wav"), path("plain")], None), (vec![path("plain")], false));
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
            |paths: &[PathBuf], output: Option<&Path>| work(paths, &batch(output), &KINDS).unwrap_err().to_string();
        let message = refusal(&[path("a.wav"), path("new.mp3")], None);
        assert!(message.contains("new.spic") && message.contains("compress"), "{message}");
        assert!(refusal(&[path("a.wav"), path("new.wav")], None).contains("new.spic"));
        assert!(refusal(&[path("a.wav")], Some(&path("b.wav"))).contains("b.spic"));
        assert!(refusal(&[path("a.wav"), path("a.flac")], None).contains("both become"));
        assert!(refusal(&[path("x.spic"), path("x.spic")], None).contains("overwrite the input"));
        assert!(refusal(&[path("x.spic")], None).contains("overwrite the input"));
        assert!(refusal(&["/dev/stdin".into()], None).contains("name the output"));
        assert!(refusal(&[path("a.wav"), "-".into(), path("a.flac")], None).contains("standard input"));
    }

    #[cfg(unix)]
    #[test]
    fn one_folder_by_two_names_is_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("one")).unwrap();
        std::os::unix::fs::symlink(path("one"), path("two")).unwrap();
        let inputs = [path("one/a.wav"), path("two/a.flac")];
        inputs.iter().for_each(|input| std::fs::write(input, b"").unwrap());
        assert!(work(&inputs, &batch(None), &KINDS).unwrap_err().to_string().contains("both become"));
    }

    #[test]
    fn shards_share_all_files() {
        let folder = tempfile::tempdir().unwrap();
        let inputs: Vec<PathBuf> = (0..10).rev().map(|n| folder.path().join(format!("{n}.wav"))).collect();
        inputs.iter().for_each(|input| std::fs::write(input, b"").unwrap());
        let of = |number| {
            let batch = BatchArgs { shard: Some(Shard { number, count: 3 }), ..batch(None) };
            work(&inputs, &batch, &KINDS).unwrap().jobs.into_iter().map(|job| job.input).collect::<Vec<_>>()
        };
        assert_eq!(of(1).iter().map(|path| path.file_name().unwrap()).collect::<Vec<_>>(), ["1.wav", "4.wav", "7.wav"]);
        let mut all = [of(0), of(1), of(2)].concat();
        all.sort();
        assert!(all.iter().rev().eq(&inputs));
        // One file is a list of one.
        let last = BatchArgs { shard: Some(Shard { number: 2, count: 3 }), ..batch(None) };
        assert!(work(&inputs[..1], &last, &KINDS).unwrap().jobs.is_empty());
    }
}
