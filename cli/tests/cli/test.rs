//! `spiccato test` and what `info` says of damaged files.

use std::fs;

use crate::util::{Folder, default_model, fail, music, spiccato, succeed, testdata};

#[test]
fn sound_files_pass() {
    let folder = Folder::new();
    let spic = folder.write("music.spic", &music().spic);
    let output = succeed(spiccato("test --decode").arg(&spic));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{}: intact\n", spic.display()));
    let quiet = succeed(spiccato("test --quiet").arg(folder.path()));
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());
    // Every golden file, of whatever model: what is stored can be checked without it, sound needs it.
    succeed(spiccato("test").arg(testdata("golden")));
    let message = fail(spiccato("test --decode").arg(testdata("golden/mono-csr.spic")), 1);
    assert!(message.contains("mono-csr.spic: ") && message.contains("needs model"), "{message}");
}

#[test]
fn any_damage_is_found_by_test_and_by_info() {
    let whole = &music().spic;
    let folder = Folder::new();
    let path = folder.file("damaged.spic");
    let mut damaged: Vec<Vec<u8>> =
        [0, 4, 5, 48, 49, whole.len() / 2, whole.len() - 1].map(|length| whole[..length].to_vec()).into();
    damaged.push([whole, &b"x"[..]].concat());
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        damaged.push(whole.iter().enumerate().map(|(i, byte)| if i == at { byte ^ 0x10 } else { *byte }).collect());
    }
    for bytes in damaged {
        fs::write(&path, bytes).unwrap();
        let message = fail(spiccato("test").arg(&path), 1);
        assert!(message.contains("damaged.spic: ") && message.ends_with("1 of 1 failed\n"), "{message}");
        // info prints what it can, and fails as well
        let info = spiccato("info").arg(&path).assert().code(1).get_output().clone();
        let message = String::from_utf8(info.stderr).unwrap();
        assert!(message.contains("damaged.spic: ") && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn the_damaged_one_of_many_is_named() {
    let folder = Folder::new();
    folder.write("a.spic", &music().spic);
    let mut bytes = music().spic.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    folder.write("b.spic", &bytes);
    folder.write("c.spic", &music().spic);
    folder.write("notes.txt", b"of no matter");
    let output = spiccato("test").arg(folder.path()).assert().code(1).get_output().clone();
    let (passed, failed) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(passed.lines().count() == 2 && !passed.contains("b.spic"), "{passed}");
    assert!(failed.contains("b.spic: chunk 0") && failed.ends_with("1 of 3 failed\n"), "{failed}");
    let message = fail(spiccato("test").arg(folder.file("missing.spic")), 1);
    assert_eq!(message.matches("missing.spic").count(), 1, "{message}");
}

#[test]
fn models_are_no_audio() {
    let message = fail(spiccato("test").arg(default_model()), 1);
    assert!(message.contains("not a .spic file"), "{message}");
}
