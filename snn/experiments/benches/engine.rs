//! Speed of the engine of single spikes on one thread: `cargo bench -p spiccato-experiments`. Each pass is 10⁶
//! neuron-steps of a balanced spike coding network, 20 neurons and 50,000 steps driven by smooth noise, or 100 ms of a thousand
//! neurons with a dendrite.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use spiccato_neurons::Random;
use spiccato_neurons::dynamics::Compartment;
use spiccato_snn::engine::reduced_neuron::{Receptors, ReducedNeuron, SomaticSpike};
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

/// A thousand cells of two compartments with dendritic spikes over 100 ms in steps of 0.1 ms, each with a synaptic event every
/// 10 ms.
fn reduced_neurons(criterion: &mut Criterion) {
    let mut cell = ReducedNeuron::new(Compartment { capacitance: 200.0, leak: 10.0, rest: -65.0 }, 0.1);
    let dendrite = cell.dendrite(0, 15.0, Compartment { capacitance: 50.0, leak: 2.5, rest: -65.0 });
    cell.receptors(Receptors { ampa: 3.0, nmda: 3.0, ..Receptors::default() });
    cell.somatic_spike(Some(SomaticSpike { threshold: -40.0, reset: -55.0, refractory: 4.0 }));
    criterion.bench_function("1,000 reduced neurons, 100 ms", |b| {
        b.iter(|| {
            let mut cells = vec![cell.clone(); 1000];
            let mut spikes = 0usize;
            for step in 0..1000 {
                for (number, cell) in cells.iter_mut().enumerate() {
                    if (step + number) % 100 == 0 {
                        cell.excite(dendrite);
                    }
                    spikes += usize::from(cell.step());
                }
            }
            black_box(spikes)
        })
    });
}

criterion_group!(benches, balance, reduced_neurons);
criterion_main!(benches);
