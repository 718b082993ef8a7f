//! The same network trained by four learning rules; one line differs: `cargo run --example rules`.

use spiccato_snn::dataset::{Dataset, Encoder};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::layers::LifOptions;
use spiccato_snn::network::Network;
use spiccato_snn::training::{RewiringDescription, RuleDescription, TrainingDescription, fit};

fn main() -> anyhow::Result<()> {
    let data = Dataset::drawn_digits(600, 10, Encoder::Latency { steps: 20 }, 1)?;
    let mut neurons = LifOptions::adaptive();
    neurons.recurrent = true;
    let description =
        NetworkDescription::new(&[100]).linear_with_gain(40, 5.0).lif(neurons).linear(10).leaky_integrator(10.0);
    for (name, rule, rewiring) in [
        ("backpropagation through time", RuleDescription::backpropagation(), None),
        ("e-prop", RuleDescription::eprop(), None),
        ("forward propagation through time", RuleDescription::forward_propagation(4), None),
        ("e-prop, a tenth of the connections", RuleDescription::eprop(), Some(RewiringDescription::default())),
    ] {
        let network = Network::new(&description, 1)?;
        let mut settings = TrainingDescription::default();
        (settings.epochs, settings.rule, settings.rewiring) = (8, rule, rewiring);
        let report = fit(&network, &settings, &data, &mut |_| {})?;
        println!("{name}: {:.1} % right", 100.0 * report.test_accuracy.unwrap_or_default());
    }
    Ok(())
}
