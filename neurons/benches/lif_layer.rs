//! The layer that libraries for spiking networks publish: Linear(n, n) and leaky integrate-and-fire neurons, batch 16, 500
//! steps, forward and backward pass, on one thread. `cargo bench -p spiccato-neurons --bench lif_layer -- 1024` prints
//! neurons, seconds of the whole, of the whole with spikes for input, of the neurons alone in a gradient graph, of their two
//! scans without one, each the best of some passes, and peak memory in MB.
//! `benches/pytorch/lif_layer.py` runs it beside other libraries.

use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor, Var};
use spiccato_neurons::Surrogate;
use spiccato_neurons::dynamics::{Lif, Reset};
use spiccato_neurons::gradcheck::random;
use spiccato_neurons::ops::{event_linear, lif_scan, lif_scan_adjoint, linear};

/// As the program `spiccato` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 16;
const STEPS: usize = 500;

fn main() -> Result<()> {
    let sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for n in if sizes.is_empty() { vec![512] } else { sizes } {
        let [whole, events, neurons, scans] = measure(n)?;
        println!("{n} {whole:.4} {events:.4} {neurons:.4} {scans:.4} {}", peak_memory());
    }
    Ok(())
}

/// Seconds of the whole layer, of the same with spikes for input, of the neurons alone, and of their two scans.
fn measure(n: usize) -> Result<[f64; 4]> {
    let f32s = |dims: &[usize], seed| random(dims, seed)?.to_dtype(DType::F32);
    // Uniform numbers with the variance of the standard normal ones that the others get.
    let x = (f32s(&[BATCH, STEPS, n], 1)? * 3f64.sqrt())?;
    let weight = Var::from_tensor(&(f32s(&[n, n], 2)? / (n as f64).sqrt())?)?;
    let bias = Var::from_tensor(&Tensor::zeros((1, n), DType::F32, &Device::Cpu)?)?;
    let (neuron, surrogate) =
        (Lif { decay: 0.9, threshold: 1.0, reset: Reset::Subtract }, Surrogate::FastSigmoid { slope: 25.0 });
    let spikes = |current: &Tensor| lif_scan(current, neuron, surrogate, true);
    // Candle's backward pass from a tensor is that from its sum, without a node of the graph to spread the ones.
    let loss_and_gradients = |spikes: Tensor| Ok((spikes.sum_all()?, spikes.backward()?));
    let whole = best(n, || loss_and_gradients(spikes(&linear(&x, &weight, &bias)?)?))?;
    // One input in twenty has an event in a step.
    let events = f32s(&[BATCH, STEPS, n], 3)?.ge(0.9)?.to_dtype(DType::F32)?;
    let events = best(n, || loss_and_gradients(spikes(&event_linear(&events, &weight, &bias)?)?))?;
    let current = Var::from_tensor(&linear(&x, &weight, &bias)?.detach())?;
    let neurons = best(n, || loss_and_gradients(spikes(&current)?))?;
    let (current, gradient) = (current.as_detached_tensor(), Tensor::ones(x.shape(), DType::F32, &Device::Cpu)?);
    let scans = best(n, || Ok((spikes(&current)?, lif_scan_adjoint(&current, &gradient, neuron, surrogate, true)?)))?;
    Ok([whole, events, neurons, scans])
}

/// Seconds of the best of some passes, fewer for large layers.
fn best<T>(n: usize, pass: impl Fn() -> Result<T>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..(4096 / n).clamp(2, 5) {
        let start = Instant::now();
        let result = pass()?;
        best = best.min(start.elapsed().as_secs_f64());
        drop(result);
    }
    Ok(best)
}

/// Peak resident memory of this process in MB, or "?" where the system doesn't say.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map_or_else(|| "?".to_owned(), |kilobytes| (kilobytes / 1000).to_string())
}
