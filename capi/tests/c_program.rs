//! The example in C, compiled against the committed header and run with both libraries; and calls that C gets wrong.
#![cfg(unix)]
#![allow(unsafe_code)] // it calls what C calls
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::{null, null_mut};

use spiccato::{Encoder, Format, Model};
use spiccato_c::{SpiccatoFormat, spiccato_decode, spiccato_encode, spiccato_error, spiccato_free, spiccato_open};

/// The folder that this test and the libraries were built into.
fn build_folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The chord of the example, encoded without the C interface.
fn expected_size() -> usize {
    let chord = (0..48_000).flat_map(|i| {
        let turns = std::f64::consts::TAU * f64::from(i) / 48_000.0;
        [0.2 * (261.6 * turns).sin() + 0.1 * (392.0 * turns).sin(), 0.2 * (329.6 * turns).sin()]
    });
    let model = Model::built_in().unwrap();
    let format = Format { rate: 48_000, channels: 2 };
    Encoder::new(&model).bitrate(4.0).unwrap().encode(chord.map(|sample| sample as f32), format).unwrap().len()
}

fn compile_and_run(library: &[&str], name: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = build_folder().join(name);
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut compile = Command::new(compiler);
    compile.args(["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-I"]).arg(here.join("include"));
    compile.arg(here.join("examples/roundtrip.c")).arg("-o").arg(&program).arg("-L").arg(build_folder()).args(library);
    let output = compile.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let run = |arguments: &[&str]| {
        let mut run = Command::new(&program);
        run.args(arguments).env("LD_LIBRARY_PATH", build_folder()).env("DYLD_LIBRARY_PATH", build_folder());
        run.output().unwrap()
    };
    let output = run(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let first = format!("{} bytes; 48000 frames of 2 channels at 48000 Hz\ndamaged: chunk 0 at byte ", expected_size());
    assert!(text.starts_with(&first) && text.contains("checksum"), "{text}");
    let output = run(&["no-such-model"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("open: no-such-model: "));
}

#[test]
fn the_example_runs_with_the_shared_library() {
    compile_and_run(&["-lspiccato_c", "-lm"], "roundtrip-shared");
}

#[cfg(target_os = "linux")]
#[test]
fn the_example_runs_with_the_static_library() {
    compile_and_run(&["-l:libspiccato_c.a", "-lm", "-lpthread", "-ldl"], "roundtrip-static");
}

/// The text of the last error.
fn error() -> String {
    // SAFETY: the function gives a string that lives until the next error of this thread.
    unsafe { CStr::from_ptr(spiccato_error()) }.to_str().unwrap().to_owned()
}

#[test]
fn wrong_calls_are_errors() {
    assert_eq!(error(), "");
    let samples = [0.1f32; 100];
    let (mut size, mut format) = (7, SpiccatoFormat { frames: 100, rate: 24_000, channels: 1 });
    // SAFETY: every pointer is valid, null, or one that the functions say they refuse.
    unsafe {
        let model = spiccato_open(null());
        let mut encode = |model, samples, format: *const SpiccatoFormat, bitrate| {
            let file = spiccato_encode(model, samples, format, bitrate, &mut size);
            assert!(file.is_null());
            error()
        };
        let samples = samples.as_ptr();
        assert_eq!(encode(null(), samples, &format, 3.0), "model is none that is open");
        assert_eq!(encode(samples.cast(), samples, &format, 3.0), "model is none that is open");
        assert_eq!(encode(model, null(), &format, 3.0), "samples is no valid pointer to 100 elements");
        assert_eq!(encode(model, samples, null(), 3.0), "format is no valid pointer");
        assert_eq!(encode(model, samples.byte_add(1), &format, 3.0), "samples is no valid pointer to 100 elements");
        assert!(encode(model, samples, &format, f64::NAN).contains("above 0, not NaN"));
        assert!(
            encode(model, samples, &SpiccatoFormat { frames: u64::MAX, channels: 2, ..format }, 3.0).contains("more")
        );
        assert!(encode(model, null(), &SpiccatoFormat { frames: 0, ..format }, 3.0).contains("no samples"));
        assert!(encode(model, samples, &SpiccatoFormat { rate: 1, ..format }, 3.0).contains("not 1"));
        assert!(spiccato_encode(model, samples, &format, 3.0, null_mut()).is_null());
        assert_eq!((error().as_str(), size), ("size is no valid pointer", 7));
        assert!(spiccato_decode(model, null(), 0, &mut format).is_null());
        assert!(error().starts_with("header"), "{}", error());

        spiccato_free(null_mut());
        spiccato_free(model.cast());
        spiccato_free(model.cast());
        assert!(spiccato_encode(model, samples, &format, 3.0, &mut size).is_null());
        assert_eq!(error(), "model is none that is open");
    }
    let other = std::thread::spawn(error).join().unwrap();
    assert_eq!(other, "", "errors belong to their threads");
}
