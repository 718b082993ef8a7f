//! A network that hears a signal step by step: the state of each call goes into the next, and the output is that of the whole
//! sequence, to the last bit: `cargo run --example streaming`.

use candle_core::{Device, Tensor};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::layers::LifOptions;
use spiccato_snn::network::Network;

fn main() -> anyhow::Result<()> {
    let mut neurons = LifOptions::current_based();
    (neurons.recurrent, neurons.refractory) = (true, 2);
    let description =
        NetworkDescription::new(&[1]).linear_with_gain(30, 2.0).lif(neurons).linear(2).leaky_integrator(15.0);
    let network = Network::new(&description, 7)?;
    let signal: Vec<f32> = (0..200).map(|t| (t as f32 / 9.0).sin()).collect();
    let signal = Tensor::from_vec(signal, (1, 200, 1), &Device::Cpu)?;
    let whole = network.forward(&signal, None)?.spikes.to_vec3::<f32>()?;

    let mut state = None;
    for (t, expected) in whole[0].iter().enumerate() {
        let output = network.forward(&signal.narrow(1, t, 1)?, state.as_ref())?;
        assert_eq!(output.spikes.to_vec3::<f32>()?[0][0], *expected);
        state = Some(output.state);
    }
    println!("200 single steps gave what the whole sequence gave: {:?} at the end", whole[0][199]);
    Ok(())
}
