//! Made-up events for tests: arbitrary ones for properties, and seeded ones that resemble what a network emits.

use super::EventMatrix;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Matrices of any shape and density, also empty and full ones.
pub(crate) fn any() -> impl Strategy<Value = EventMatrix> {
    let shape = prop_oneof![
        4 => (0u32..80, 1u16..80),
        1 => (0u32..8, 250u16..600),
        1 => (250u32..600, 1u16..8),
    ];
    let density = prop_oneof![Just(0.0), Just(1.0), 0.0..0.05, 0.0..1.0];
    (shape, density, any_seed()).prop_map(|((frames, neurons), density, seed)| even(frames, neurons, density, seed))
}

fn any_seed() -> impl Strategy<Value = u64> {
    proptest::prelude::any::<u64>()
}

/// Events without memory, every neuron equally busy.
pub(crate) fn even(frames: u32, neurons: u16, density: f64, seed: u64) -> EventMatrix {
    with_rates(frames, &vec![density; neurons.into()], seed)
}

/// Events without memory, rates from 1/2000 to 1/4 over the neurons.
pub(crate) fn uneven(frames: u32, neurons: u16, seed: u64) -> EventMatrix {
    let rates: Vec<f64> = (0..neurons).map(|n| 0.25 / 500f64.powf(f64::from(n) / f64::from(neurons))).collect();
    with_rates(frames, &rates, seed)
}

/// Events in bursts: notes, each with a group of neurons that fire together at its onset and now and then after it.
pub(crate) fn bursty(frames: u32, neurons: u16, density: f64, seed: u64) -> EventMatrix {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let groups: Vec<Vec<u16>> =
        (0..60).map(|_| (0..random.random_range(4..20)).map(|_| random.random_range(0..neurons)).collect()).collect();
    let mut cells = vec![false; frames as usize * usize::from(neurons)];
    let goal = (density * cells.len() as f64) as usize;
    let mut events = 0;
    while events < goal {
        let group = &groups[(random.random::<f64>().powi(3) * groups.len() as f64) as usize];
        let onset = random.random_range(0..frames);
        for (age, frame) in (onset..frames.min(onset + 60)).enumerate() {
            for &neuron in group {
                let chance = if age == 0 { 0.9 } else { 0.3 / (1.0 + age as f64) };
                let cell = &mut cells[frame as usize * usize::from(neurons) + usize::from(neuron)];
                if random.random_bool(chance) && !*cell {
                    *cell = true;
                    events += 1;
                }
            }
        }
    }
    EventMatrix::from_dense(neurons, &cells, |&cell| cell).unwrap()
}

fn with_rates(frames: u32, rates: &[f64], seed: u64) -> EventMatrix {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let cells: Vec<bool> = (0..frames).flat_map(|_| rates).map(|&rate| random.random_bool(rate)).collect();
    EventMatrix::from_dense(rates.len() as u16, &cells, |&cell| cell).unwrap()
}
