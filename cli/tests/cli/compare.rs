//! `spiccato compare`: codecs of others stood in for by shell commands.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::util::{Folder, default_model, fail, spiccato, succeed, write_tones};

/// Codecs of every kind of behaviour.
const CODECS: &str = r#"
copy = { encode = "cp {input} {output}", decode = "cp {input} {output}", version = "echo copy 1.0" }
refuse = { encode = "sh -c 'echo no tones please >&2; exit 3' sh {input} {output}", decode = "cp {input} {output}" }
crash = { encode = "cp {input} {output}", decode = "sh -c 'kill -SEGV $$' sh {input} {output}" }
forget = { encode = "true {input} {output}", decode = "cp {input} {output}" }
absent = { encode = "no-such-program {input} {output}", decode = "cp {input} {output}" }
stretch = { encode = "cp {input} {output}", decode = "sh -c 'cp \"$STRETCHED\" \"$1\"' sh {output} {input}", rates = [6, 9] }
hang = { encode = "sh -c 'sleep 1000' sh {input} {output}", decode = "cp {input} {output}" }
"#;

/// What an evaluation has left.
struct Report {
    results: Value,
    table: Vec<BTreeMap<String, String>>,
    page: String,
    said: String,
}

impl Report {
    /// Evaluates with these words and paths.
    fn make(folder: &Folder, line: &str, paths: &[&Path]) -> Self {
        let codecs = folder.write("codecs.toml", CODECS.as_bytes());
        let out = folder.file("report");
        let mut command = spiccato(&format!("compare --repeats 1 {line} --codecs"));
        command.arg(codecs).arg("--out").arg(&out).args(paths).env("STRETCHED", folder.file("stretched.wav"));
        let output = succeed(&mut command);
        let mut reader = csv::Reader::from_path(out.join("results.csv")).unwrap();
        Self {
            results: serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap(),
            table: reader.deserialize().map(Result::unwrap).collect(),
            page: fs::read_to_string(out.join("report.html")).unwrap(),
            said: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The rows of a codec.
    fn of(&self, codec: &str) -> Vec<&BTreeMap<String, String>> {
        self.table.iter().filter(|row| row["codec"] == codec).collect()
    }

    /// Whether something is in the results, on the page and on the terminal.
    fn tells(&self, list: &str, text: &str) {
        assert!(self.results[list].to_string().contains(text), "{text} in {}", self.results[list]);
        assert!(self.page.contains(text), "{text} on the page");
        assert!(self.said.contains(text), "{text} in {}", self.said);
    }
}

fn tones(folder: &Folder, name: &str, seconds: f64) -> PathBuf {
    let path = folder.file(name);
    write_tones(&path, 24_000, seconds);
    path
}

fn silence(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.file(name);
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    (0..24_000).for_each(|_| writer.write_sample(0i16).unwrap());
    writer.finalize().unwrap();
    path
}

#[test]
fn what_fails_is_told_and_the_rest_goes_on() {
    let folder = Folder::new();
    let (good, silent) = (tones(&folder, "good.wav", 1.5), silence(&folder, "silent.wav"));
    let broken = folder.write("broken.wav", b"no audio at all");
    let empty = folder.file("empty");
    fs::create_dir(&empty).unwrap();
    tones(&folder, "stretched.wav", 2.5);
    let peers = "--peers copy,refuse,crash,forget,absent,stretch,unheard --rates 2,4 --peer-rates 6,7,8";
    let report = Report::make(&folder, peers, &[&good, &silent, &broken, &empty]);

    let columns: Vec<&str> = "file codec rate_asked bytes kbps log_mel_db encode_x decode_x".split(' ').collect();
    assert!(columns.iter().all(|name| report.table[0].contains_key(*name)), "{:?}", report.table[0].keys());
    let [first, ..] = report.of("copy")[..] else { panic!("no row of copy") };
    assert_eq!((&*first["file"], &*first["rate_asked"], &*first["bytes"]), ("good.wav", "6.0", "72044"));
    assert_eq!(first["kbps"].parse::<f64>().unwrap(), 72_044.0 * 8.0 / 1000.0 / 1.5);
    assert_eq!(first["log_mel_db"].parse::<f64>().unwrap(), 0.0);
    assert!(report.of("copy").iter().all(|row| row["encode_x"].parse::<f64>().unwrap() > 0.0));
    assert_eq!(report.of("copy").len(), 6, "two files at three rates");
    assert_eq!(report.of("default").len(), 4);
    assert!(
        report.of("default").iter().filter(|row| row["file"] == "silent.wav").all(|row| row["log_mel_db"].is_empty())
    );
    for codec in ["refuse", "crash", "forget", "absent", "unheard"] {
        assert!(report.of(codec).is_empty(), "{codec}");
    }
    report.tells("failures", "refused (exit code 3): no tones please");
    report.tells("failures", "crashed (signal 11, SIGSEGV)");
    report.tells("failures", "the program left no file");
    report.tells("failures", "broken.wav");
    report.tells("failures", "no usable audio file");
    report.tells("skipped", "no-such-program is not on PATH");
    report.tells("skipped", "unheard");
    report.tells("notes", "1.00 s longer than the original");
    report.tells("notes", "silence");
    report.tells("notes", "asked for 6, 7 kbit/s; run at 6");
    assert_eq!(
        report.of("stretch").iter().map(|row| &*row["rate_asked"]).collect::<Vec<_>>(),
        ["6.0", "6.0", "8.0", "8.0"]
    );
    assert!(report.page.contains("copy 1.0"), "the version");
}

#[test]
fn what_hangs_is_ended() {
    let folder = Folder::new();
    let good = tones(&folder, "good.wav", 0.5);
    let report = Report::make(&folder, "--models none --peers hang,copy --peer-rates 6 --time-limit 1", &[&good]);
    assert_eq!((report.of("hang").len(), report.of("copy").len()), (0, 1));
    report.tells("failures", "took longer than 1 s");
}

#[test]
fn models_of_one_name_are_told_apart() {
    let folder = Folder::new();
    let good = tones(&folder, "good.wav", 1.0);
    let models = ["a", "b"].map(|name| folder.file(name).join("model.safetensors"));
    for model in &models {
        fs::create_dir(model.parent().unwrap()).unwrap();
        fs::copy(default_model(), model).unwrap();
    }
    let none = folder.write("none.safetensors", b"no weights");
    let line =
        format!("--peers none --rates 3 --models {},{},{}", models[0].display(), models[1].display(), none.display());
    let report = Report::make(&folder, &line, &[&good]);
    let ([one], [two]) = (&report.of("model")[..], &report.of("model (2)")[..]) else { panic!("{:?}", report.table) };
    assert_eq!((&one["bytes"], &one["log_mel_db"]), (&two["bytes"], &two["log_mel_db"]));
    report.tells("notes", "model (2)");
    report.tells("skipped", "none.safetensors");
}

#[test]
fn an_interrupted_evaluation_goes_on_from_its_cache() {
    let folder = Folder::new();
    let files = [tones(&folder, "one.wav", 0.5), tones(&folder, "two.wav", 0.6)];
    let log = folder.file("log");
    let codecs = format!(
        "logged = {{ encode = \"sh -c 'echo x >> {}; cp $1 $2' sh {{input}} {{output}}\", decode = \"cp {{input}} {{output}}\" }}",
        log.display()
    );
    let codecs = folder.write("logged.toml", codecs.as_bytes());
    let out = folder.file("report");
    let mut evaluate = spiccato("compare --models none --peers logged --peer-rates 6,8 --repeats 1 --codecs");
    evaluate.arg(codecs).arg("--out").arg(&out).args(&files);
    let runs = || fs::read_to_string(&log).unwrap().lines().count();
    let table = || fs::read_to_string(out.join("results.csv")).unwrap();
    succeed(&mut evaluate);
    let first = table();
    assert_eq!(runs(), 4);
    succeed(&mut evaluate);
    assert_eq!((runs(), table()), (4, first.clone()), "all from the cache, speeds too");

    let cached = || fs::read_dir(out.join(".spiccato-cache")).unwrap().map(|entry| entry.unwrap().path());
    let lost = cached().find(|path| path.extension().unwrap() == "json").unwrap();
    fs::write(lost, b"{").unwrap();
    succeed(&mut evaluate);
    assert_eq!(runs(), 5, "only what is missing");

    write_tones(&files[0], 24_000, 0.7);
    succeed(&mut evaluate);
    assert_eq!(runs(), 7, "a file of the same name and other content");
    assert_ne!(table(), first);
}

#[test]
fn figures_do_not_depend_on_the_number_of_threads() {
    let run = |threads: &str| {
        let folder = Folder::new();
        let files: Vec<PathBuf> =
            (0..2).map(|n| tones(&folder, &format!("{n}.wav"), 0.6 + 0.2 * f64::from(n))).collect();
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let mut report =
            Report::make(&folder, &format!("--threads {threads} --peers copy --rates 2,4 --peer-rates 6,8"), &files);
        let measured = ["encode_x", "decode_x", "encode_mb", "decode_mb"];
        for row in &mut report.table {
            measured.iter().for_each(|name| drop(row.remove(*name)));
        }
        let mut comparisons = report.results["comparisons"].clone();
        let mut summaries = report.results["summaries"].clone();
        for summary in summaries.as_array_mut().unwrap() {
            let summary = summary.as_object_mut().unwrap();
            measured.iter().for_each(|name| drop(summary.remove(*name)));
        }
        (report.table, summaries, comparisons.take())
    };
    let one = run("1");
    assert_eq!(one.0.len(), 2 * 2 + 2 * 2, "two files, each codec at two rates");
    assert_eq!(one, run("3"));
}

#[test]
fn without_a_file_or_a_codec_there_is_no_report() {
    let folder = Folder::new();
    let empty = folder.file("empty");
    fs::create_dir(&empty).unwrap();
    let message = folder.refuse(spiccato("compare --out").args([&folder.file("report"), &empty]));
    assert!(message.contains("no usable audio file") && message.contains("empty"), "{message}");
    let good = tones(&folder, "good.wav", 0.5);
    let command = &mut spiccato("compare --models none --peers none --out");
    let message = folder.refuse(command.args([&folder.file("report"), &good]));
    assert!(message.contains("no codec"), "{message}");
    let wrong = folder.write("wrong.toml", b"x = { encode = 'cp {input}', decode = 'cp {input} {output}' }");
    let command = &mut spiccato("compare --codecs");
    let message = folder.refuse(command.arg(wrong).arg("--out").args([&folder.file("report"), &good]));
    assert!(message.contains("wrong.toml") && message.contains("{output}"), "{message}");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let folder = Folder::new();
    let (report, good) = (folder.file("report"), tones(&folder, "good.wav", 0.5));
    for line in ["--rates 1,2", "--peers opus", "--models default", "--excerpt 3", "--out report"] {
        fail(spiccato(&format!("evaluate {line}")).arg(&good), 2);
    }
    for line in ["--bitrate 3", "--json", "--rates 0", "--rates 1,x", "--repeats 0"] {
        fail(spiccato(&format!("compare {line} --out")).args([&report, &good]), 2);
    }
    fail(spiccato("compare").arg(&good), 2); // where to?
}
