//! Speed of the engine of single spikes on one thread: `cargo bench -p spiccato-experiments`. Each pass is 10⁶
//! neuron-steps of a balanced spike coding network: 20 neurons, 50,000 steps, driven by smooth noise.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use spiccato_neurons::Random;
use spiccato_snn::engine::signal::SmoothNoise;
use spiccato_snn::engine::{CodingNetwork, Matrix};

/// As the program `spiccato` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NEURONS: usize = 20;
const STEPS: usize = 50_000;

/// The parameters of the model `spike-representations` with the weights of the theory.
fn network(noise: f64) -> (CodingNetwork, Matrix) {
    let angle = |i: usize| std::f64::consts::TAU * i as f64 / NEURONS as f64;
    let feedforward = Matrix::from_fn(NEURONS, 2, |i, j| if j == 0 { angle(i).cos() } else { angle(i).sin() });
    let overlap = feedforward.product(&feedforward.transposed());
    let recurrent = Matrix::from_fn(NEURONS, NEURONS, |i, j| -overlap[(i, j)]);
    let network = CodingNetwork::new(0.95, noise, vec![0.5; NEURONS], recurrent, Random::new(1, 0));
    (network, feedforward)
}

fn balance(criterion: &mut Criterion) {
    let mut signal = SmoothNoise::new(2, 30.0, 2.0, Random::new(1, 1));
    let input: Vec<[f64; 2]> = (0..STEPS)
        .map(|_| {
            let mut sample = [0.0; 2];
            signal.next(&mut sample);
            sample
        })
        .collect();
    for (name, noise) in [("balance network", 0.0), ("balance network, noisy thresholds", 0.01)] {
        let (network, feedforward) = network(noise);
        criterion.bench_function(&format!("{name}: 10^6 neuron-steps"), |b| {
            b.iter(|| {
                let (mut network, mut drive) = (network.clone(), [0.0; NEURONS]);
                let spikes = input.iter().filter(|sample| {
                    feedforward.times(black_box(&sample[..]), &mut drive);
                    network.step(&drive).is_some()
                });
                spikes.count()
            })
        });
    }
}

criterion_group!(benches, balance);
criterion_main!(benches);
