//! `spiccato train` with a network so small that it takes no time.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use assert_cmd::Command;

use crate::util::{Folder, Wav, format, json, spiccato, succeed, write_tones};

const TINY: [&str; 12] = [
    "batch=2",
    "shards=2",
    "frames=16",
    "warm_up=2",
    "validation_interval=2",
    "checkpoint_seconds=0.0",
    "network.width=8",
    "network.hidden=12",
    "network.neurons=16",
    "network.taps=3",
    "network.dilations=[1]",
    "network.knots=2",
];

/// Recordings with a table like MAESTRO's, one of them held out. The table has another one that is not there.
fn recordings(folder: &Folder) -> PathBuf {
    let data = folder.file("data");
    fs::create_dir(&data).unwrap();
    for (name, rate) in [("first.wav", 24_000), ("second.wav", 16_000), ("held-out.wav", 24_000)] {
        write_tones(&data.join(name), rate, 3.0);
    }
    let table = "split,audio_filename\ntrain,first.wav\ntrain,lost.wav\ntrain,second.wav\nvalidation,held-out.wav\n";
    fs::write(data.join("maestro-v3.0.0.csv"), table).unwrap();
    data
}

/// The arguments of a run of so many steps.
fn arguments(steps: u32, data: &Path, run: &Path) -> Vec<std::ffi::OsString> {
    let mut arguments = vec!["train".into(), "--data".into(), data.into(), "--out".into(), run.into()];
    for setting in TINY {
        arguments.extend(["--set".into(), setting.into()]);
    }
    arguments.extend(["--set".into(), format!("steps={steps}").into()]);
    arguments
}

fn train(steps: u32, data: &Path, run: &Path) -> Command {
    let mut command = spiccato("");
    command.args(arguments(steps, data, run));
    command
}

fn resume(data: &Path, run: &Path) -> Command {
    let mut command = spiccato("train --resume --data");
    command.arg(data).arg("--out").arg(run);
    command
}

#[test]
fn a_run_leaves_a_model_that_works() {
    let folder = Folder::new();
    let (data, run) = (recordings(&folder), folder.file("run"));
    let output = succeed(&mut train(4, &data, &run));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("step 4/4") && said.contains("finished"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("missing: ") && line.ends_with("lost.wav")), "{said}");
    assert!(output.stdout.is_empty());

    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("steps = 4") && config.contains("width = 8"), "{config}");
    let log = fs::read_to_string(run.join("log.csv")).unwrap();
    let rows: Vec<&str> = log.lines().collect();
    assert!(rows[0].starts_with("step,loss,"), "{log}");
    assert!(rows[1].starts_with("2,") && rows.last().unwrap().starts_with("4,"), "{log}");
    assert!(run.join("checkpoint.safetensors").is_file());
    let model = run.join("model.safetensors");
    let facts = json(spiccato("info --json").arg(&model));
    assert_eq!((&facts["network"]["width"], &facts["network"]["neurons"]), (&8.into(), &16.into()));

    let (spic, wav) = (folder.file("out.spic"), folder.file("out.wav"));
    succeed(spiccato("compress --model").args([&model, &format("s16.wav"), &spic]));
    assert_eq!(json(spiccato("info --json").arg(&spic))["neurons"], 16);
    succeed(spiccato("decompress --model").args([&model, &spic, &wav]));
    assert_eq!(Wav::read(&wav).shape(), (44_100, 1, 2000));

    // A second run there would overwrite the first.
    let before = fs::read(&model).unwrap();
    let other_cache = folder.file("other-cache");
    let message = folder.refuse(train(4, &data, &run).arg("--quiet").arg("--cache").arg(&other_cache));
    assert!(message.contains("holds a run already") && message.contains("resume"), "{message}");
    assert!(!other_cache.exists(), "nothing is decoded for a run that can't start");
    assert!(fs::read(&model).unwrap() == before);
    let message = folder.refuse(resume(&data, &run).args(["--set", "steps=8"]));
    assert!(message.contains("--set"), "{message}");
    // A finished run has nothing left to do.
    succeed(resume(&data, &run).arg("--quiet"));
    assert!(fs::read(&model).unwrap() == before);
}

/// Ends a run as its user would, where there is a way.
fn interrupt(child: &mut Child) {
    if cfg!(unix) {
        let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    } else {
        child.kill().unwrap();
    }
}

#[test]
fn an_interrupted_run_resumes_to_the_same_model_on_any_number_of_threads() {
    const STEPS: u32 = 60;
    let folder = Folder::new();
    let (data, whole, parts) = (recordings(&folder), folder.file("whole"), folder.file("parts"));
    let quiet = succeed(train(STEPS, &data, &whole).args(["--quiet", "--threads", "1"]));
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());

    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_spiccato"))
        .args(arguments(STEPS, &data, &parts))
        .args(["--threads", "2"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("step ")));
    interrupt(&mut child);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    child.wait().unwrap();
    assert!(!rest.iter().any(|line| line.starts_with("finished")), "interrupted too late: {rest:?}");
    if cfg!(unix) {
        assert!(rest.last().unwrap().starts_with("interrupted after step"), "{rest:?}");
    }
    succeed(&mut resume(&data, &parts));
    let model = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&whole) == model(&parts));
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let folder = Folder::new();
    let (data, run) = (recordings(&folder), folder.file("run"));
    for (setting, named) in [
        ("stepz=3", "stepz"),
        ("network.with=3", "with"),
        ("steps=0", "steps"),
        ("steps=many", "steps=many"),
        ("batch=3", "shards"),
        ("network.taps=4", "taps"),
        ("network.neurons=0", "neurons"),
        ("checkpoint_seconds=-1.0", "checkpoint_seconds"),
        ("augmentation.gain_db=-1.0", "augmentation"),
        ("learning_rate=-1.0", "learning_rate"),
        ("steps", "KEY=VALUE"),
    ] {
        let message = folder.refuse(train(4, &data, &run).args(["--set", setting]));
        assert!(message.contains(named), "{setting}: {message}");
    }
    let file = folder.write("mine.toml", b"stepz = 3\n");
    let message = folder.refuse(train(4, &data, &run).arg("--config").arg(&file));
    assert!(message.contains("mine.toml") && message.contains("stepz"), "{message}");
    assert!(!run.exists());
}

#[test]
fn data_and_runs_that_are_not_there_are_named() {
    let folder = Folder::new();
    let (data, run) = (folder.file("empty"), folder.file("run"));
    fs::create_dir(&data).unwrap();
    let message = folder.refuse(&mut train(4, &data, &run));
    assert!(message.contains("empty") && message.contains("no usable audio file"), "{message}");
    fs::write(data.join("broken.wav"), "no music").unwrap();
    let message = folder.refuse(&mut train(4, &data, &run));
    assert!(message.contains("broken.wav"), "{message}");
    let message = folder.refuse(&mut train(4, &folder.file("missing"), &run));
    assert!(message.contains("missing"), "{message}");
    fs::write(data.join("maestro-v3.0.0.csv"), "name,use\nbroken.wav,train\n").unwrap();
    let message = folder.refuse(&mut train(4, &data, &run));
    assert!(message.contains("maestro-v3.0.0.csv") && message.contains("its columns are name, use"), "{message}");
    if cfg!(not(feature = "cuda")) {
        let message = folder.refuse(train(4, &data, &run).args(["--device", "cuda:0"]));
        assert!(message.contains("without CUDA"), "{message}");
    }
    let message = folder.refuse(&mut resume(&data, &folder.file("no-run")));
    assert!(message.contains("no-run"), "{message}");
}
