//! No command changes a file that it was not told to write, whatever it is given.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::util::{Folder, default_model, format, spiccato, succeed};

/// What each path of a folder is: its bytes, or where it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    File(Vec<u8>),
    Link(PathBuf),
    Folder,
}

fn entries(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let paths = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
    let entry = |path: PathBuf| {
        let entry = match (fs::read_link(&path), path.is_dir()) {
            (Ok(target), _) => Entry::Link(target),
            (_, true) => Entry::Folder,
            _ => Entry::File(fs::read(&path).unwrap()),
        };
        (path.strip_prefix(folder).unwrap().to_owned(), entry)
    };
    paths.map(entry).collect()
}

/// A folder with audio, archives, a model, and links between them that mislead.
struct Trap {
    folder: Folder,
    /// Paths to be given to commands.
    paths: Vec<&'static str>,
}

impl Trap {
    fn new() -> Self {
        let folder = Folder::new();
        let (one, archive) = (folder.file("one.wav"), folder.file("archive.spic"));
        fs::copy(format("s16.wav"), &one).unwrap();
        fs::copy(format("stereo.flac"), folder.file("two.flac")).unwrap();
        succeed(spiccato("compress --quality 30").args([&one, &archive]));
        fs::copy(&archive, folder.file("second.spic")).unwrap();
        folder.write("notes.txt", b"precious");
        let mut paths = vec!["one.wav", "two.flac", "archive.spic", "second.spic", "notes.txt"];
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink("one.wav", folder.file("link.wav")).unwrap();
            symlink("one.wav", folder.file("link.spic")).unwrap();
            fs::hard_link(&archive, folder.file("hard.wav")).unwrap();
            paths.extend(["link.wav", "link.spic", "hard.wav"]);
        }
        Self { folder, paths }
    }

    fn pairs(&self) -> Vec<(&'static str, &'static str)> {
        self.paths.iter().flat_map(|&one| self.paths.iter().map(move |&two| (one, two))).collect()
    }

    /// The name of the file that a name stands for.
    fn real(name: &str) -> &str {
        match name {
            "link.wav" | "link.spic" => "one.wav",
            "hard.wav" => "archive.spic",
            name => name,
        }
    }

    /// Runs a command in a copy of the folder, `1` and `2` being the two paths. Then everything that was there must be as
    /// it was, but for what `may_change` lists.
    fn check(&self, before: &BTreeMap<PathBuf, Entry>, line: &str, (one, two): (&str, &str), may_change: &[&str]) {
        let copy = Folder::new();
        for (path, entry) in before {
            let target = copy.path().join(path);
            match entry {
                Entry::Folder => fs::create_dir_all(target).unwrap(),
                #[cfg(unix)]
                Entry::Link(to) => std::os::unix::fs::symlink(to, target).unwrap(),
                #[cfg(not(unix))]
                Entry::Link(_) => {}
                Entry::File(_) if path == Path::new("hard.wav") => {}
                Entry::File(bytes) => fs::write(target, bytes).unwrap(),
            }
        }
        if before.contains_key(Path::new("hard.wav")) {
            fs::hard_link(copy.file("archive.spic"), copy.file("hard.wav")).unwrap();
        }
        let arguments = line.split_whitespace().map(|word| match word {
            "1" => one,
            "2" => two,
            word => word,
        });
        let output = spiccato("").args(arguments).current_dir(copy.path()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!message.contains("panicked"), "{line}, {one}, {two}: {message}");
        let after = entries(copy.path());
        for (path, entry) in before {
            let name = path.to_str().unwrap();
            let allowed = may_change.iter().any(|may| Self::real(may) == Self::real(name));
            assert!(allowed || after.get(path) == Some(entry), "{line}, {one}, {two} changed {name}: {message}");
        }
        let left_over = after.keys().find(|path| path.to_string_lossy().contains(".part"));
        assert_eq!(left_over, None, "{line}, {one}, {two}");
        if output.status.success() && line.contains("--force") && !may_change.is_empty() {
            // What was replaced was told to be, and is no input.
            assert_ne!(Self::real(one), Self::real(two), "{line}, {one}, {two} replaced its input");
        }
    }

    /// Runs every command on every pair, two at a time.
    fn check_all(&self, cases: Vec<(String, (&'static str, &'static str), Vec<&'static str>)>) {
        let before = entries(self.folder.path());
        let queue = Mutex::new(cases);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let Some((line, pair, may_change)) = queue.lock().unwrap().pop() else { break };
                        self.check(&before, &line, pair, &may_change);
                    }
                });
            }
        });
    }
}

#[test]
fn without_force_nothing_that_exists_changes() {
    let trap = Trap::new();
    let mut cases = Vec::new();
    for pair in trap.pairs() {
        for line in [
            "compress --quiet --quality 30 1 2",
            "decompress --quiet 1 2",
            "compress --quiet --quality 30 1 -o 2",
            "decompress --quiet --raw 1 2",
            "decompress --quiet --flac 1 -o 2",
            "compress --quiet --quality 30 1 new.spic --preview 2",
            "compress --quiet --quality 30 --lenient --downmix 1 2 -o .",
            "test 1 2",
        ] {
            cases.push((line.to_owned(), pair, vec![]));
        }
    }
    trap.check_all(cases);
}

#[test]
fn with_force_nothing_but_the_named_output_changes() {
    let trap = Trap::new();
    let mut cases = Vec::new();
    for pair in trap.pairs() {
        let (one, two) = pair;
        // Two files that can be read are two inputs, of which each is replaced by its own output at most: never by another's.
        let beside: Vec<&str> = [(one, "spic"), (two, "spic"), (one, "wav"), (two, "wav")]
            .into_iter()
            .filter_map(|(name, extension)| {
                let output = Path::new(name).with_extension(extension);
                trap.paths.iter().copied().find(|path| Path::new(path) == output)
            })
            .filter(|output| Trap::real(output) != Trap::real(one) && Trap::real(output) != Trap::real(two))
            .collect();
        for line in ["compress --quality 30", "decompress"] {
            let audio = |name: &str| !name.ends_with(".spic") && !name.ends_with(".txt");
            let archive = |name: &str| name.ends_with(".spic");
            let both_inputs = if line.starts_with("c") { audio(two) } else { archive(two) };
            let may = if both_inputs { beside.clone() } else { vec![two] };
            cases.push((format!("{line} --quiet --force 1 2"), pair, may));
            cases.push((format!("{line} --quiet --force 1 -o 2"), pair, vec![two]));
        }
    }
    trap.check_all(cases);
}

#[test]
fn an_input_is_never_its_own_output() {
    let trap = Trap::new();
    let same = ["one.wav", "archive.spic"].into_iter().flat_map(|one| {
        let same = trap.paths.iter().filter(move |two| Trap::real(two) == one);
        same.map(move |&two| (one, two))
    });
    let mut cases = Vec::new();
    for pair in same {
        for line in [
            "compress --force 1 2",
            "compress --force 1 -o 2",
            "decompress --force 1 -o 2",
            "decompress --force --raw 1 -o 2",
            "compress --force 1 new.spic --preview 2",
            "compress --force 1 2 --preview 2",
        ] {
            cases.push((line.to_owned(), pair, vec![]));
        }
    }
    trap.check_all(cases);
}

#[test]
fn commands_that_only_read_change_nothing() {
    let trap = Trap::new();
    let model = default_model();
    let model = model.to_str().unwrap();
    let mut cases = Vec::new();
    for &path in &trap.paths {
        for line in ["info 1", "info --json 1", "events 1", "events --list 1", "test --decode 1", "compress 1 -"] {
            cases.push((line.to_owned(), (path, ""), vec![]));
        }
        cases.push((format!("compress --quiet --model {model} 1 -"), (path, ""), vec![]));
        cases.push((format!("compress --quiet --model 1 {} -", "one.wav"), (path, ""), vec![]));
    }
    #[cfg(feature = "research")]
    for pair in trap.pairs() {
        // These write what is in no pair, but for links and inputs in their way.
        for line in ["sweep 1 --out 2 --quiet", "selectivity 1 --midi 2 --quiet"] {
            if pair.1 == "notes.txt" || pair.1 == "hard.wav" {
                cases.push((line.to_owned(), pair, vec![]));
            }
        }
        if pair.0 == pair.1 {
            cases.push(("evaluate 1 --quality 30 --quiet".to_owned(), pair, vec![]));
        }
    }
    trap.check_all(cases);
}

#[cfg(feature = "research")]
#[test]
fn what_is_kept_of_an_evaluation_replaces_no_input() {
    let folder = Folder::new();
    let wav = fs::read(format("s16.wav")).unwrap();
    let (one, two) = (folder.write("x.wav", &wav), folder.write("x.decoded.wav", &wav));
    let message = folder.refuse(spiccato("evaluate --keep").arg(folder.path()).args([&one, &two]));
    assert!(message.contains("overwrite the input"), "{message}");
}

#[cfg(unix)]
#[test]
fn standard_output_by_its_path_is_standard_output() {
    use std::process::{Command, Stdio};

    let folder = Folder::new();
    let (input, spic) = (format("s16.wav"), folder.file("out.spic"));
    succeed(spiccato("compress --quality 30").args([&input, &spic]));
    let expected = fs::read(&spic).unwrap();
    for name in ["-", "/dev/stdout", "/dev/fd/1"] {
        // To a pipe, and to a file that the shell opened: only data, all of it, and the file stays the file that it was.
        let piped = succeed(spiccato("compress --quality 30").arg(&input).arg(name));
        assert!(piped.stdout == expected, "{name}");
        assert!(String::from_utf8(piped.stderr).unwrap().contains("standard output: 0.0 s"));
        let target = folder.write("appended", b"before:");
        let file = fs::File::options().append(true).open(&target).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiccato"));
        command.args(["compress", "--quality", "30"]).arg(&input).arg(name).stdout(file).stderr(Stdio::null());
        assert!(command.status().unwrap().success());
        assert!(fs::read(&target).unwrap() == [&b"before:"[..], &expected].concat(), "{name}");
        let wav = succeed(spiccato("decompress --raw").arg(&spic).arg(name)).stdout;
        assert_eq!(wav.len(), 2 * 2000, "{name}");
    }
}
