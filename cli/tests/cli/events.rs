//! `spiccato events`

use crate::util::{Folder, fail, json, music, spiccato, succeed, testdata};

#[cfg(feature = "research")]
#[test]
fn every_method_is_in_the_table() {
    let folder = Folder::new();
    let spic = folder.write("music.spic", &music().spic);
    let facts = json(spiccato("events --methods --json").arg(&spic));
    let info = json(spiccato("info --json").arg(&spic));
    assert_eq!(facts["events"], info["events"]);
    assert_eq!(facts["seconds"], info["seconds"]);
    let bytes = |name: &str| {
        let methods = facts["methods"].as_array().unwrap();
        let method = methods.iter().find(|method| method["name"] == name);
        method.unwrap_or_else(|| panic!("{name}"))["bytes"].as_u64().unwrap()
    };
    // one bit a cell, a frame in whole bytes; four bytes an event; two for most frames and one an event
    let (frames, events) = (info["frames"].as_u64().unwrap(), info["events"].as_u64().unwrap());
    assert_eq!(bytes("dense"), frames * 512 / 8);
    assert_eq!(bytes("coo"), 4 * events);
    assert_eq!(bytes("csr"), frames + 2 * events, "no frame has more than 127 events");
    // the file holds what the smallest method makes of each chunk
    let stored = info["event_bytes"].as_u64().unwrap();
    let methods = facts["methods"].as_array().unwrap();
    assert_eq!(methods.len(), 17);
    assert!(bytes("csr+zstd-19") < bytes("csr"));
    assert!(methods.iter().all(|method| method["bytes"].as_u64().unwrap() >= stored));
    for method in methods {
        assert!(method["encode_x"].as_f64().unwrap() > 0.0 && method["decode_x"].as_f64().unwrap() > 0.0, "{method}");
        assert_eq!(method.as_object().unwrap().len(), 4);
    }
    assert!(facts["entropy_bytes"].as_f64().unwrap() < bytes("elias-fano") as f64);

    let text = String::from_utf8(succeed(spiccato("events --methods").arg(&spic)).stdout).unwrap();
    let first = text.lines().nth(2).unwrap();
    assert!(first.starts_with(methods[0]["name"].as_str().unwrap()) && first.contains(" 1.000 "), "{text}");
    assert_eq!(text.lines().count(), 2 + 17 + 1);
}

#[test]
fn statistics_are_shown() {
    let folder = Folder::new();
    let spic = folder.write("music.spic", &music().spic);
    let facts = json(spiccato("events --json").arg(&spic));
    let info = json(spiccato("info --json").arg(&spic));
    let number = |key: &str| facts[key].as_f64().unwrap_or_else(|| panic!("{key}"));
    for key in ["events", "frames", "neurons", "seconds"] {
        assert_eq!(facts[key], info[key], "{key}");
    }
    assert!((number("density") * number("frames") * number("neurons") - number("events")).abs() < 1e-6);
    assert!(number("fullest_frame") * (number("frames") - number("silent_frames")) >= number("events"));
    assert!(number("busiest_neuron") * (number("neurons") - number("silent_neurons")) >= number("events"));
    // the file's bytes are the information, and at most two for the end of each of the two chunks
    let stored = info["event_bytes"].as_f64().unwrap() * 8.0 / number("seconds") / 1000.0;
    assert!(stored <= number("prior_kbps") + 2.0 * 16.0 / number("seconds") / 1000.0);
    let text = String::from_utf8(succeed(spiccato("events").arg(&spic)).stdout).unwrap();
    assert!(text.contains("events_per_second"), "{text}");
}

#[test]
fn files_of_other_models_have_no_range_coder() {
    #[cfg(feature = "research")]
    {
        let facts = json(spiccato("events --methods --json").arg(testdata("golden/mono-csr.spic")));
        assert_eq!(facts["methods"].as_array().unwrap().len(), 16);
    }
    let message = fail(spiccato("events").arg(testdata("golden/range-coder.spic")), 1);
    assert!(message.contains("model"), "{message}");
    fail(spiccato("events a.spic").arg("b.spic"), 2);
}

#[cfg(feature = "research")]
#[test]
fn a_sweep_covers_the_densities() {
    let folder = Folder::new();
    let wav = folder.file("tones.wav");
    crate::util::write_tones(&wav, 8_000, 1.0);
    let printed = succeed(spiccato("sweep --out").args([&folder.file("density"), &wav])).stdout;
    assert!(String::from_utf8(printed).unwrap().contains("csr is smaller than dense below a density of"));
    let svg = std::fs::read_to_string(folder.file("density.svg")).unwrap();
    assert!(svg.contains("range-coder") && svg.contains("bits per second"));
    let table = std::fs::read_to_string(folder.file("density.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| -> Vec<f64> {
        let place = rows[0].iter().position(|title| *title == name).unwrap();
        rows[1..].iter().map(|row| row[place].parse().unwrap()).collect()
    };
    let density = column("density");
    assert!(density[0] <= 0.002 && density[density.len() - 1] >= 0.2, "{density:?}");
    assert!(column("dense").iter().all(|&rate| (rate / 32_000.0 - 1.0).abs() < 0.03), "one bit a cell");
}
