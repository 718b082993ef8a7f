//! Help pages, manual pages, completions, versions.

use std::fs;
use std::process::Command;

use crate::util::{Folder, default_model, fail, json, spiccato, succeed};

fn printed(line: &str) -> String {
    String::from_utf8(succeed(spiccato(line).env("COLUMNS", "80")).stdout).unwrap()
}

/// The commands that a help page lists.
fn commands(page: &str) -> Vec<String> {
    let list = page.split("Commands:\n").nth(1).unwrap_or("").split("\n\n").next().unwrap_or("");
    let named = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    named.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// The command lines of all commands, those of commands too.
fn all_commands() -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut at = 0;
    while let Some(line) = lines.get(at).cloned() {
        lines.extend(commands(&printed(&format!("{line} --help"))).into_iter().map(|name| format!("{line} {name}")));
        at += 1;
    }
    lines
}

#[test]
fn every_page_fits_a_screen() {
    let lines = all_commands();
    assert!(lines.len() >= 8, "{lines:?}");
    for line in lines {
        let page = printed(&format!("{line} --help"));
        assert!(page.lines().count() <= 40, "{line}: {} lines\n{page}", page.lines().count());
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
        assert_eq!(page, printed(&format!("{line} -h")), "one page, not two");
    }
}

#[test]
fn manual_pages_are_there_for_every_command() {
    let page = printed("man");
    assert!(page.contains(".TH") && page.contains("compress"), "{page}");
    let folder = Folder::new();
    succeed(spiccato("man --output").arg(folder.file("man1")));
    for line in all_commands() {
        let name = format!("spiccato {line}").split_whitespace().collect::<Vec<_>>().join("-");
        let page = fs::read_to_string(folder.file("man1").join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME"), "{page}");
    }
}

#[test]
fn completions_know_the_commands() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&format!("completions {shell}"));
        for word in ["compress", "decompress", "skip-existing"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        if shell == "bash" && Command::new("bash").arg("--version").output().is_ok() {
            let file = folder.write("completions", script.as_bytes());
            let asked =
                "COMP_WORDS=(spiccato comp); COMP_CWORD=1; _spiccato spiccato comp spiccato; echo ${COMPREPLY[@]}";
            let output = Command::new("bash").arg("-c").arg(format!("source $0; {asked}")).arg(file).output().unwrap();
            let found = String::from_utf8(output.stdout).unwrap();
            assert!(found.split_whitespace().any(|word| word == "compress"), "{found}");
        }
    }
    fail(&mut spiccato("completions csh"), 2);
}

#[test]
fn versions_of_program_model_and_format() {
    let text = printed("--version");
    let lines: Vec<&str> = text.lines().collect();
    let model = json(spiccato("info --json").arg(default_model()))["model"].as_str().unwrap().to_owned();
    assert_eq!(lines[0], format!("spiccato {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(lines[1], format!("built-in model {model}"));
    assert!(lines[2].starts_with("file format 1."), "{text}");
    assert_eq!(printed("-V"), text);
}
