//! Compares the table of files in `docs/architecture.md` with the first sentence of every module, or rewrites it.
//!
//! ```sh
//! rustc --edition 2024 -o target/architecture scripts/architecture.rs
//! target/architecture            # fails if the table differs from the modules
//! target/architecture --write    # rewrites the table
//! ```
//!
//! Run from the root of the repository. A single file without dependencies, so that the check costs a second.

use std::fmt::Write as _;
use std::fs::{read_dir, read_to_string, write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const DOCUMENT: &str = "docs/architecture.md";
const BEGIN: &str = "<!-- files: begin, written by scripts/architecture.rs -->\n";
/// Characters in a purpose beyond which it is cut at a colon.
const LONG: usize = 140;
const END: &str = "<!-- files: end -->\n";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let document = read(Path::new(DOCUMENT))?;
    let missing = |mark: &str| format!("{DOCUMENT} lacks the line {mark:?}");
    let (before, rest) = document.split_once(BEGIN).ok_or_else(|| missing(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| missing(END))?;
    let new = format!("{before}{BEGIN}{}{END}{after}", tables()?);
    if new == document {
        return Ok(());
    }
    if std::env::args().any(|argument| argument == "--write") {
        return write(DOCUMENT, new).map_err(|error| format!("{DOCUMENT}: {error}"));
    }
    let changed = |from: &str, to: &str, sign: char| -> String {
        from.lines()
            .filter(|line| !to.lines().any(|other| other == *line))
            .map(|line| format!("{sign} {line}\n"))
            .collect()
    };
    Err(format!(
        "{DOCUMENT} differs from the modules; run this program again with --write:\n{}{}",
        changed(&document, &new, '-'),
        changed(&new, &document, '+')
    ))
}

/// A heading and a table for every crate of the workspace.
fn tables() -> Result<String, String> {
    let members = members(&read(Path::new("Cargo.toml"))?)?;
    let mut text = String::new();
    for member in &members {
        let manifest = Path::new(member).join("Cargo.toml");
        let name = quoted(&read(&manifest)?, "name = ").ok_or(format!("{}: no name", manifest.display()))?;
        let mut files = Vec::new();
        for path in sources(Path::new(member))? {
            // A crate inside the folder of another has a table of its own.
            let owner = members.iter().filter(|folder| path.starts_with(folder)).max_by_key(|folder| folder.len());
            if owner == Some(member) {
                files.push(path);
            }
        }
        files.sort_by_key(|path| order(path));
        _ = write!(text, "\n### `{member}/` (crate `{name}`)\n\n| file | purpose |\n|---|---|\n");
        for path in files {
            let purpose = first_sentence(&read(&path)?)
                .ok_or(format!("{}: the module has no description (`//!`) in its first line", path.display()))?;
            let file = path.strip_prefix(member).unwrap_or(&path).display().to_string().replace('\\', "/");
            _ = writeln!(text, "| `{file}` | {purpose} |");
        }
    }
    text.push('\n');
    Ok(text)
}

/// The folders in `members = [...]` of the workspace's manifest.
fn members(manifest: &str) -> Result<Vec<String>, String> {
    let list = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.ok_or("Cargo.toml has no list of members")?;
    Ok(list.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// What stands between quotation marks on the first line that begins with `key`.
fn quoted(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// All Rust files in a folder and its subfolders.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let fault = |error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Sources before tests, and in each folder its root module first, then its files and subfolders by name.
fn order(path: &Path) -> Vec<(bool, String)> {
    let mut key: Vec<_> = path
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .map(|part| (!["src", "lib.rs", "main.rs", "mod.rs"].contains(&part.as_str()), part))
        .collect();
    if let Some((_, name)) = key.last_mut() {
        // A module's file comes directly before the folder of its submodules.
        *name = name.trim_end_matches(".rs").to_owned();
    }
    key
}

/// The first sentence of a module's description, without its full stop, fit for a cell of a table. Of a long one, what
/// stands before its first colon.
fn first_sentence(source: &str) -> Option<String> {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let begins = |next: char| next.is_uppercase() || next == '`';
    let mut stops = paragraph.match_indices(". ").map(|(at, _)| at);
    let end = stops.find(|at| paragraph[at + 2..].starts_with(begins)).unwrap_or(paragraph.len());
    let mut sentence = paragraph[..end].trim_end_matches(['.', ':']);
    if sentence.chars().count() > LONG {
        sentence = sentence.split(": ").next().unwrap_or(sentence);
    }
    // Links to items work in Rust's documentation only.
    let plain = sentence.replace("[`", "`").replace("`]", "`").replace('|', "\\|");
    (!plain.is_empty()).then_some(plain)
}

fn read(path: &Path) -> Result<String, String> {
    read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_sentence_of_the_first_paragraph() {
        let source = "//! Loss of [`Run`] (Bellec et al. 2018,\n//! eq. 6). More of it.\n//!\n//! Then this.\nuse a;\n";
        assert_eq!(first_sentence(source).as_deref(), Some("Loss of `Run` (Bellec et al. 2018, eq. 6)"));
        assert_eq!(first_sentence("//! A: b. `c` d.\n").as_deref(), Some("A: b"));
        assert_eq!(first_sentence(&format!("//! A: {}\n", "b".repeat(LONG))).as_deref(), Some("A"));
        assert_eq!(first_sentence("use a;\n"), None);
    }

    #[test]
    fn puts_a_module_before_its_submodules_and_sources_before_tests() {
        let mut paths = ["c/tests/a.rs", "c/src/b.rs", "c/src/a/x.rs", "c/src/a/mod.rs", "c/src/lib.rs"].map(Path::new);
        paths.sort_by_key(|path| order(path));
        assert_eq!(
            paths,
            ["c/src/lib.rs", "c/src/a/mod.rs", "c/src/a/x.rs", "c/src/b.rs", "c/tests/a.rs"].map(Path::new)
        );
    }
}
