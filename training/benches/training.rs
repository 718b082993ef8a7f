//! Speed of training: `CANDLE_NUM_THREADS=1 cargo bench -p spiccato-training`.
//!
//! `crops` is the data loading of a whole batch on one thread, `step` a whole step on all cores, before and after the
//! prior learns with it. Audio in a step: `batch × frames × 384 / 24000` seconds, 49.2 with the default configuration.

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use spiccato::signal::SAMPLE_RATE;
use spiccato_datasets::find_sources;
use spiccato_training::config::{Augmentation, PriorConfig};
use spiccato_training::data::{Corpus, CorpusSettings, Draw, WeightedSources, crops, open_corpus};
use spiccato_training::{Trainer, TrainingConfig};
use tempfile::TempDir;

/// As the program `spiccato` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A minute of chords in each of some files.
fn corpus(folder: &TempDir) -> Corpus {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for file in 0..8u32 {
        let path = folder.path().join(format!("{file}.wav"));
        let mut wav = hound::WavWriter::create(path, spec).expect("a file");
        for n in 0..60 * SAMPLE_RATE {
            let since = (n % 9000) as f32 / SAMPLE_RATE as f32;
            let hertz = 110.0 * 1.06f32.powi(((n / 9000 + file) * 7 % 37) as i32);
            let tone = |partial: f32| (std::f32::consts::TAU * partial * hertz * since).sin() / partial;
            let sample = 9000.0 * (-3.0 * since).exp() * (tone(1.0) + tone(2.0) + tone(3.0));
            wav.write_sample(sample as i16).expect("a sample");
        }
        wav.finalize().expect("a file");
    }
    let sources = find_sources(folder.path()).expect("files").sources;
    let settings = CorpusSettings::new(folder.path().join(".cache"));
    open_corpus(&[WeightedSources { weight: 1.0, sources }], &settings, |_, _| ()).expect("a corpus")
}

fn loading(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = corpus(&folder);
    let usual = Augmentation::default();
    let with = |change: fn(&mut Augmentation, &Augmentation)| {
        let mut augmentation = Augmentation::none();
        change(&mut augmentation, &usual);
        augmentation
    };
    let cases = [
        ("no changes", Augmentation::none()),
        ("pitch", with(|to, from| to.resample_share = from.resample_share)),
        ("mixtures", with(|to, from| to.mixture_share = from.mixture_share)),
        ("rooms", with(|to, from| to.room_share = from.room_share)),
        ("noise", with(|to, from| to.noise_share = from.noise_share)),
        ("all changes", usual.clone()),
    ];
    let mut group = criterion.benchmark_group("crops");
    group.sample_size(20);
    let TrainingConfig { batch, frames, features, .. } = TrainingConfig::default();
    let scale = features.scale().expect("a scale");
    let pools = corpus.pools(0).expect("clips");
    for (name, augmentation) in cases {
        let mut step = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                step += 1;
                let draw = Draw { seed: 0, step, batch, places: 0..batch, frames };
                crops(&pools, &draw, &augmentation, &scale).expect("crops")
            });
        });
    }
}

/// Time of `count` steps, the first one left out.
fn time_steps(config: &TrainingConfig, corpus: &Corpus, count: u64) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = Trainer::start(config.clone(), corpus, folder.path()).expect("a run");
    let (mut begin, mut end) = (Instant::now(), Instant::now());
    let outcome = trainer.run(corpus, |step, _| {
        if step == 1 {
            begin = Instant::now();
        }
        end = Instant::now();
        step <= count
    });
    outcome.expect("steps");
    end - begin
}

fn steps(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = corpus(&folder);
    let (mut long, mut with_prior) = (TrainingConfig::default(), PriorConfig::default());
    (long.steps, long.validation_interval, long.checkpoint_seconds) = (1_000_000, u64::MAX, 1e9);
    (with_prior.start, with_prior.information_ramp) = (0.0, (0.0, 0.0));
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(20));
    for (name, prior) in [("network", PriorConfig::default()), ("network and prior", with_prior)] {
        let config = {
            let mut config = long.clone();
            config.prior = prior;
            config
        };
        group.bench_function(name, |b| b.iter_custom(|count| time_steps(&config, &corpus, count)));
    }
}

criterion_group!(benches, loading, steps);
criterion_main!(benches);
