//! A run gives the same bits in one go, in pieces, and on any number of threads; and it learns.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod tones;

use std::path::Path;

use spiccato::Model;
use spiccato::network::load_weights;
use spiccato_training::baseline::Baseline;
use spiccato_training::data::Corpus;
use spiccato_training::{InitialWeights, Outcome, Trainer, TrainingConfig};
use tones::{bottleneck, config, corpus};

/// Trains in `folder`, stopping after each of `stops`, on a number of threads; the checkpoint and the model.
fn train(corpus: &Corpus, folder: &Path, steps: u64, stops: &[u64], threads: usize) -> (Vec<u8>, Vec<u8>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut trainer = Trainer::start(config(steps), corpus, folder).unwrap();
        for &stop in stops {
            assert_eq!(trainer.run(corpus, |step, _| step < stop).unwrap(), Outcome::Interrupted);
            trainer = Trainer::resume(folder).unwrap();
            assert_eq!(trainer.step(), stop);
        }
        assert_eq!(trainer.run(corpus, |_, _| true).unwrap(), Outcome::Finished);
    });
    let read = |name| std::fs::read(folder.join(name)).unwrap();
    (read("checkpoint.safetensors"), read("model.safetensors"))
}

#[test]
fn a_run_is_the_same_in_pieces_and_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let run = |name, stops: &[u64], threads| train(&corpus, &folder.path().join(name), 10, stops, threads);
    let whole = run("whole", &[], 1);
    assert_eq!(run("pieces", &[3, 7], 1), whole);
    assert_eq!(run("threads", &[], 2), whole);

    let model = Model::from_bytes(&whole.1).unwrap();
    assert_eq!(model.network().config().neurons, 24);
    assert!(model.prior().is_some(), "the prior is part of the model");
    assert!(Trainer::start(config(10), &corpus, &folder.path().join("whole")).is_err(), "a run is not overwritten");
}

#[test]
fn the_loss_falls() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let mut trainer = Trainer::start(config(120), &corpus, &folder.path().join("run")).unwrap();
    let mut distortions = Vec::new();
    trainer
        .run(&corpus, |_, report| {
            distortions.extend(report.map(|r| r.distortion_db));
            true
        })
        .unwrap();
    let (first, last) = (distortions[0], distortions[distortions.len() - 1]);
    assert!(last < 0.8 * first, "from {first} to {last} dB");
}

#[test]
fn every_quantiser_trains_resumes_and_codes() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let samples: Vec<f32> = (0..30_000).map(|n| 0.2 * (n as f32 * 0.05).sin()).collect();
    for (name, text) in [
        ("dense", "\"dense-binary\""),
        ("vector", "{ vector = { entries = 16 } }"),
        ("residual", "{ residual-vector = { codebooks = 3, entries = 16 } }"),
        ("scalar", "{ finite-scalar = { levels = 3 } }"),
    ] {
        let mut config = config(6);
        config.bottleneck = bottleneck(text);
        let run = |part: &str, stop: Option<u64>| {
            let folder = folder.path().join(format!("{name}-{part}"));
            let mut trainer = Trainer::start(config.clone(), &corpus, &folder).unwrap();
            if let Some(stop) = stop {
                trainer.run(&corpus, |step, _| step < stop).unwrap();
                trainer = Trainer::resume(&folder).unwrap();
            }
            assert_eq!(trainer.run(&corpus, |_, _| true).unwrap(), Outcome::Finished);
            folder
        };
        let (whole, pieces) = (run("whole", None), run("pieces", Some(2)));
        let read = |folder: &Path| std::fs::read(folder.join("checkpoint.safetensors")).unwrap();
        assert!(read(&whole) == read(&pieces), "{name} is the same in pieces");

        let baseline = Baseline::load(&whole).unwrap();
        let mut sizes = Vec::new();
        for kbps in baseline.bitrates() {
            let file = baseline.encode(&samples, kbps).unwrap();
            assert!(file.len() as f64 <= 16.0 + kbps * 1000.0 / 8.0 * 79.0 / 62.5 * 1.02, "{name} at {kbps}");
            let decoded = baseline.decode(&file).unwrap();
            assert_eq!(decoded.len(), samples.len());
            assert!(decoded.iter().all(|x| x.is_finite()));
            for cut in [0, 14] {
                assert!(baseline.decode(&file[..cut]).is_err(), "{name}, {cut} bytes");
            }
            sizes.push(file.len());
        }
        assert!(sizes.is_sorted(), "{name}: {sizes:?}");

        // Stopped, nothing is kept; a prior makes no file larger, and a file by it comes back.
        let mut bits = Vec::new();
        Baseline::fit_prior(&whole, &corpus, 2, &mut |_, _| false).unwrap();
        assert!(!whole.join("code-prior.safetensors").exists());
        Baseline::fit_prior(&whole, &corpus, 40, &mut |_, of_a_symbol| {
            bits.push(of_a_symbol);
            true
        })
        .unwrap();
        let mean = |bits: &[f64]| bits.iter().sum::<f64>() / bits.len() as f64;
        assert!(mean(&bits[30..]) < 0.9 * mean(&bits[..10]), "{name}: {bits:?}");
        let baseline = Baseline::load(&whole).unwrap();
        for (kbps, size) in baseline.bitrates().into_iter().zip(sizes) {
            let file = baseline.encode(&samples, kbps).unwrap();
            assert!(file.len() <= size && baseline.decode(&file).unwrap().len() == samples.len());
        }
    }
    let events = folder.path().join("events");
    Trainer::start(config(2), &corpus, &events).unwrap().run(&corpus, |_, _| true).unwrap();
    assert!(Baseline::load(&events).err().unwrap().to_string().contains("a run with events"));
}

#[test]
fn a_run_begins_with_the_weights_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let first = folder.path().join("first");
    Trainer::start(config(10), &corpus, &first).unwrap().run(&corpus, |_, _| true).unwrap();
    let trained = load_weights(&std::fs::read(first.join("model.safetensors")).unwrap()).unwrap().tensors;
    for file in ["checkpoint.safetensors", "model.safetensors"] {
        let initial = InitialWeights::load(&first.join(file), &config(1)).unwrap();
        let second = folder.path().join(file);
        // no warm-up to speak of: one step of a hundred changes a weight by a hundredth of the learning rate
        let mut config = config(1);
        config.warm_up = 100;
        let mut trainer = Trainer::start(config, &corpus, &second).unwrap().begin_with(&initial).unwrap();
        trainer.run(&corpus, |_, _| true).unwrap();
        let begun = load_weights(&std::fs::read(second.join("model.safetensors")).unwrap()).unwrap().tensors;
        for (name, weight) in &trained {
            let difference = (&begun[name] - weight).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 5e-3, "{name} from {file}");
        }
    }
    let other = TrainingConfig::from_toml("[network]\nwidth = 24").unwrap();
    let refused = InitialWeights::load(&first.join("model.safetensors"), &other).err().unwrap().to_string();
    assert!(refused.contains("make [network] the same"), "{refused}");
    assert!(InitialWeights::load(&first.join("config.toml"), &config(1)).is_err());
}

#[test]
fn the_rate_is_driven_towards_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let last_rate = |name: &str, target: f64| {
        let mut config = config(100);
        (config.rate_control, config.target_kbps) = (true, (target, target));
        let mut trainer = Trainer::start(config, &corpus, &folder.path().join(name)).unwrap();
        let mut rate = 0.0;
        trainer
            .run(&corpus, |_, report| {
                rate = report.map_or(rate, |r| r.kbps);
                true
            })
            .unwrap();
        rate
    };
    let (low, high) = (last_rate("low", 0.001), last_rate("high", 100.0));
    assert!(low < 0.9 * high, "{low} and {high} kbit/s");
}

#[test]
fn a_run_that_leaves_the_numbers_stops_and_keeps_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let run = folder.path().join("run");
    let mut config = config(50);
    (config.learning_rate, config.checkpoint_seconds, config.warm_up) = (1e30, 0.0, 1);
    let mut trainer = Trainer::start(config, &corpus, &run).unwrap();
    let message = format!("{:#}", trainer.run(&corpus, |_, _| true).unwrap_err());
    assert!(message.contains("finite") || message.contains("half precision"), "{message}");
    // What was saved before is whole and can be used.
    assert!(Trainer::resume(&run).map_or(true, |kept| kept.step() < trainer.step()));
    assert!(std::fs::read(run.join("model.safetensors")).map_or(true, |model| Model::from_bytes(&model).is_ok()));
}

#[test]
fn the_folder_of_a_run_holds_its_best_weights_and_curves() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let run = folder.path().join("run");
    Trainer::start(config(12), &corpus, &run).unwrap().run(&corpus, |_, _| true).unwrap();
    assert!(Model::from_bytes(&std::fs::read(run.join("best.safetensors")).unwrap()).unwrap().prior().is_some());
    for name in ["distortion.svg", "rate.svg"] {
        let svg = std::fs::read_to_string(run.join(name)).unwrap();
        assert!(svg.contains("quality 0.5") && svg.contains("<polyline"), "{name}");
    }
    let log = std::fs::read_to_string(run.join("log.csv")).unwrap();
    assert_eq!(log.lines().count(), 1 + 3 * 3, "a line for each of three qualities at steps 4, 8 and 12");
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Trainer::resume(folder.path()).is_err());
    std::fs::write(folder.path().join("checkpoint.safetensors"), b"nonsense").unwrap();
    let message = format!("{:#}", Trainer::resume(folder.path()).err().unwrap());
    assert!(message.contains("not a checkpoint"), "{message}");
}
