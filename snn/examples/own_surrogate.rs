//! Neurons with a surrogate gradient of one's own, a reset to a value and time constants that are learned; what they do is
//! looked at layer by layer: `cargo run --example own_surrogate`.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarMap;
use spiccato_neurons::dynamics::Reset;
use spiccato_neurons::surrogate::CustomSurrogate;
use spiccato_neurons::{Random, Surrogate};
use spiccato_snn::layers::{LifOptions, LinearOptions, Sequential, leaky_integrator, lif, linear};
use spiccato_snn::learning_rule::Optimize;
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::parameters::{seeded, variables};

fn main() -> anyhow::Result<()> {
    let mut neurons = LifOptions::default();
    neurons.surrogate = Surrogate::Custom(CustomSurrogate { name: "bell", derivative: |u| (-4.0 * u * u).exp() });
    (neurons.reset, neurons.learn_time_constants) = (Reset::To(-0.2), true);
    let map = VarMap::new();
    let builder = seeded(&map, DType::F32, 1);
    let network = Sequential::default()
        .then(linear(10, 60, LinearOptions::default(), builder.pp("in"))?)
        .then(lif(60, neurons, builder.pp("neurons"))?)
        .then(linear(60, 1, LinearOptions::default(), builder.pp("out"))?)
        .then(leaky_integrator(1, Default::default(), builder.pp("readout"))?);

    // The readout is to follow a wave; the input are random spikes, the same each time.
    let wave: Vec<f32> = (0..100).map(|t| (t as f32 / 12.0).sin()).collect();
    let wave = Tensor::from_vec(wave, (1, 100, 1), &Device::Cpu)?;
    let mut random = Random::new(1, 0);
    let spikes = (0..100 * 10).map(|_| if random.chance(0.1) { 1.0f32 } else { 0.0 }).collect::<Vec<_>>();
    let input = Tensor::from_vec(spikes, (1, 100, 10), &Device::Cpu)?;
    let variables = variables(&map);
    let mut adam = Optimizer::new(Method::Adam, 0.02);
    for step in 0..=300 {
        let record = network.record(&input, None)?;
        let error = (&record[3].spikes - &wave)?.sqr()?.mean_all()?;
        if step % 100 == 0 {
            let rate = record[1].spikes.mean_all()?.to_scalar::<f32>()?;
            println!("step {step}: error {:.4}, {rate:.3} spikes per neuron and step", error.to_scalar::<f32>()?);
        }
        adam.step(&variables, &error.backward()?)?;
    }
    Ok(())
}
