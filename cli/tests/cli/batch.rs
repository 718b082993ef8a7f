//! Many files in one run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::util::{Folder, fail, format, said, spiccato, succeed};

/// Writes a good file to each of the names, with folders.
fn write_files(folder: &Folder, names: &[&str]) {
    let wav = fs::read(format("s16.wav")).unwrap();
    for name in names {
        let path = folder.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &wav).unwrap();
    }
}

/// Names and contents below a folder, without those of its files that end with `.wav`.
fn outputs(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
    let files = files.filter(|path| path.is_file() && path.extension().unwrap() != "wav");
    files.map(|path| (path.strip_prefix(folder).unwrap().to_owned(), fs::read(path).unwrap())).collect()
}

#[test]
fn of_a_hundred_files_with_one_broken_ninety_nine_are_done() {
    let folder = Folder::new();
    let numbers: Vec<String> = (0..100).map(|n| format!("in/{n:02}.wav")).collect();
    write_files(&folder, &numbers.iter().map(String::as_str).collect::<Vec<_>>());
    fs::write(folder.file("in/50.wav"), b"no audio").unwrap();
    let (input, coded, decoded) = (folder.file("in"), folder.file("coded"), folder.file("decoded"));
    let message = fail(spiccato("compress --quality 40 --quiet --jobs 4").arg(&input).arg("-o").arg(&coded), 1);
    assert_eq!(message.lines().count(), 2, "{message}");
    assert_eq!(message.matches("50.wav").count(), 1, "{message}");
    assert!(message.ends_with("1 of 100 failed, 99 done\n"), "{message}");
    assert_eq!((outputs(&coded).len(), coded.join("50.spic").exists()), (99, false));

    fs::write(coded.join("50.spic"), &fs::read(coded.join("00.spic")).unwrap()[..60]).unwrap();
    let message = fail(spiccato("decompress --quiet --flac").arg(&coded).arg("-o").arg(&decoded), 1);
    assert!(message.contains("50.spic: ") && message.ends_with("1 of 100 failed, 99 done\n"), "{message}");
    assert_eq!((outputs(&decoded).len(), decoded.join("50.flac").exists()), (99, false));
    assert!(folder.names().iter().all(|name| !name.contains(".part")));
}

#[test]
fn folders_are_made_again() {
    let folder = Folder::new();
    write_files(&folder, &["album/1.wav", "album/disc/2.WAV", "album/disc/deep/3.wav", "4.wav"]);
    folder.write("album-notes.txt", b"not audio");
    fs::write(folder.file("album/cover.txt"), b"not audio").unwrap();
    let (album, single, out) = (folder.file("album"), folder.file("4.wav"), folder.file("new/out"));
    let line = said(spiccato("compress").args([&album, &single]).arg("-o").arg(&out));
    assert!(line.ends_with("4 of 4 done\n"), "{line}");
    let made: Vec<PathBuf> = outputs(&out).into_keys().collect();
    assert_eq!(made, ["1.spic", "4.spic", "disc/2.spic", "disc/deep/3.spic"].map(PathBuf::from));

    succeed(spiccato("decompress --raw").arg(&out).arg("-o").arg(folder.file("back")));
    let back: Vec<PathBuf> = outputs(&folder.file("back")).into_keys().collect();
    assert_eq!(back, ["1.raw", "4.raw", "disc/2.raw", "disc/deep/3.raw"].map(PathBuf::from));

    // Without a folder for them, outputs lie beside their inputs.
    succeed(spiccato("compress").arg(&album));
    assert!(album.join("disc/deep/3.spic").is_file());
}

#[test]
fn what_exists_is_skipped_on_request_and_kept_in_any_case() {
    let folder = Folder::new();
    write_files(&folder, &["in/a.wav", "in/b.wav", "in/c.wav"]);
    let (input, out) = (folder.file("in"), folder.file("out"));
    fs::create_dir(&out).unwrap();
    fs::write(out.join("b.spic"), b"precious").unwrap();
    let mut compress = spiccato("compress --quality 40");
    compress.arg(&input).arg("-o").arg(&out);
    let message = fail(&mut compress, 1);
    assert!(message.contains("b.spic: exists already") && message.ends_with("1 of 3 failed, 2 done\n"), "{message}");
    let line = said(compress.arg("--skip-existing"));
    assert_eq!(line, "0 of 3 done, 3 left out because their output exists\n");
    assert_eq!(fs::read(out.join("b.spic")).unwrap(), b"precious");
    let single = said(spiccato("compress --skip-existing").args([input.join("b.wav"), out.join("b.spic")]));
    assert!(single.contains("exists already, left as it is"), "{single}");
    assert_eq!(fs::read(out.join("b.spic")).unwrap(), b"precious");

    succeed(spiccato("compress --quality 40 --force").arg(&input).arg("-o").arg(&out));
    let made = outputs(&out);
    assert!(made.len() == 3 && made.values().all(|file| file == &made[Path::new("a.spic")]));
    fail(&mut spiccato("compress --force --skip-existing a.wav"), 2);
}

#[test]
fn neither_the_number_of_jobs_nor_shards_change_a_file() {
    let folder = Folder::new();
    let names = ["in/a.wav", "in/b.wav", "in/c/d.wav", "in/c/e.wav", "in/f.wav", "in/g.wav", "in/h.wav"];
    write_files(&folder, &names);
    fs::copy(format("stereo.flac"), folder.file("in/i.flac")).unwrap();
    let made = |line: &str, out: &str| {
        let output = folder.file(out);
        succeed(spiccato(&format!("compress --quiet {line}")).arg(folder.file("in")).arg("-o").arg(&output));
        outputs(&output)
    };
    let whole = made("", "one-by-one");
    assert_eq!(whole.len(), 8);
    assert!(made("--jobs 3", "side-by-side") == whole);
    let shards: Vec<_> = (1..=3).map(|i| made(&format!("--shard {i}/3"), &format!("shard-{i}"))).collect();
    assert_eq!(shards.iter().map(BTreeMap::len).collect::<Vec<_>>(), [3, 3, 2]);
    assert!(shards.into_iter().flatten().collect::<BTreeMap<_, _>>() == whole);
    // More shards than files: some have nothing to do, which is no error.
    let line = said(spiccato("compress --shard 2/2").arg(folder.file("in/a.wav")).arg("-o").arg(folder.file("none")));
    assert_eq!(line, "0 of 0 done\n");
}

#[test]
fn outputs_keep_the_time_of_their_inputs_on_request() {
    let folder = Folder::new();
    write_files(&folder, &["a.wav"]);
    let (input, spic, back) = (folder.file("a.wav"), folder.file("a.spic"), folder.file("back.wav"));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&input).unwrap().set_modified(time).unwrap();
    let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    succeed(spiccato("compress --keep-time").arg(&input));
    succeed(spiccato("decompress --keep-time").args([&spic, &back]));
    assert_eq!((modified(&spic), modified(&back)), (time, time));
    succeed(spiccato("compress --force").arg(&input));
    assert_ne!(modified(&spic), time);
    // Streams have no time of their own.
    succeed(spiccato("compress --keep-time").arg(&input).arg("-"));
}

#[test]
fn what_can_not_be_worked_on_is_told_and_the_rest_is_done() {
    let folder = Folder::new();
    write_files(&folder, &["a.wav", "b.wav"]);
    fs::create_dir(folder.file("empty")).unwrap();
    let paths = ["missing.wav", "a.wav", "empty", "b.wav"].map(|name| folder.file(name));
    let message = fail(spiccato("compress").args(&paths), 1);
    for told in ["missing.wav: ", "empty: no file in this folder", "2 of 4 failed, 2 done"] {
        assert!(message.contains(told), "{message}");
    }
    assert!(folder.file("a.spic").is_file() && folder.file("b.spic").is_file());
    // What would end in one file is refused before anything is done.
    write_files(&folder, &["c.wav", "c.mp3"]);
    let message = folder.refuse(spiccato("compress").args(["c.wav", "c.mp3"].map(|name| folder.file(name))));
    assert!(message.contains("c.wav and ") && message.contains("both become"), "{message}");
}
