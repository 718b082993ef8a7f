//! Speed of the codec's parts on one thread: `CANDLE_NUM_THREADS=1 cargo bench`. Each works on a chunk of 384 frames, which is
//! 6.144 seconds of audio.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use spiccato::events::{EventMatrix, Methods};
use spiccato::network::{EventDecoder, Firing, encode_events};
use spiccato::signal::{BANDS, HOP, Synthesizer, analyze};
use spiccato::{Model, Quality};

/// As the program `spiccato` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FRAMES: usize = 384;
const QUALITY: f32 = 0.5;

/// A chord that is struck anew every half second.
fn music() -> Vec<f32> {
    (0..(FRAMES - 1) * HOP)
        .map(|n| {
            let since = (n % 12_000) as f32 / 24_000.0;
            let tone = |hz: f32| (std::f32::consts::TAU * hz * n as f32 / 24_000.0).sin();
            0.1 * (-3.0 * since).exp() * (tone(220.0) + tone(277.2) + tone(329.6) + 0.3 * tone(1318.5))
        })
        .collect()
}

fn parts(criterion: &mut Criterion) {
    let model = Model::built_in().expect("the built-in model loads");
    let samples = music();
    let magnitudes = analyze(&samples);
    let mut features = Vec::new();
    model.feature_scale().features(&magnitudes, 1.0, &mut features);
    let encode =
        || encode_events(model.network(), &features, 0..FRAMES, QUALITY, Firing::default()).expect("the sizes fit");
    let events = encode();

    criterion.bench_function("analysis", |b| b.iter(|| analyze(black_box(&samples))));
    criterion.bench_function("encoder network", |b| b.iter(encode));
    criterion.bench_function("decoder network", |b| {
        b.iter(|| {
            let mut decoder = EventDecoder::new(model.network().clone(), QUALITY).expect("a decoder");
            let mut features = Vec::new();
            decoder.push(&events, &mut features).expect("the sizes fit");
            decoder.finish(&mut features).expect("the sizes fit");
            features
        })
    });
    criterion.bench_function("synthesis", |b| {
        b.iter(|| {
            let mut synthesizer = Synthesizer::mono();
            let mut channels = [Vec::new()];
            for frame in magnitudes.as_chunks::<BANDS>().0 {
                synthesizer.push(frame, &mut channels);
            }
            channels
        })
    });
    let quality = Quality::from_stored((QUALITY * 65535.0) as u16);
    let methods = model.complete(Methods::small(), quality);
    for method in methods.iter() {
        storage(criterion, method, &events);
    }
}

fn storage(criterion: &mut Criterion, method: &dyn spiccato::events::Storage, events: &EventMatrix) {
    let mut stored = Vec::new();
    method.encode(events, &mut stored).expect("the method stores events");
    criterion.bench_function(&format!("store {}", method.name()), |b| {
        b.iter(|| {
            let mut out = Vec::new();
            method.encode(black_box(events), &mut out).map(|()| out)
        })
    });
    criterion.bench_function(&format!("load {}", method.name()), |b| {
        b.iter(|| method.decode(black_box(&stored), events.frames(), events.neurons()))
    });
}

criterion_group!(benches, parts);
criterion_main!(benches);
