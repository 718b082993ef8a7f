//! Trains a spiking network on drawn digits, one spike a pixel, and saves it: `cargo run --example digits`.

use spiccato_snn::dataset::{Dataset, Encoder};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::layers::LifOptions;
use spiccato_snn::network::Network;
use spiccato_snn::training::{TrainingDescription, fit};

fn main() -> anyhow::Result<()> {
    let data = Dataset::drawn_digits(1000, 12, Encoder::Latency { steps: 20 }, 1)?;
    let description = NetworkDescription::new(&[data.channels()])
        .linear_with_gain(60, 5.0)
        .lif(LifOptions::default())
        .linear(data.classes())
        .leaky_integrator(10.0);
    let network = Network::new(&description, 1)?;
    let mut settings = TrainingDescription::default();
    settings.epochs = 5;
    let report = fit(&network, &settings, &data, &mut |epoch| {
        println!("epoch {}: {:.1} % of the validation digits", epoch.epoch, 100.0 * epoch.validation_accuracy);
    })?;
    println!("test: {:?}", report.test_accuracy);

    let path = std::env::temp_dir().join("digits.safetensors");
    network.save(&path)?;
    println!("{}: {} parameters", path.display(), Network::load(&path)?.variables().iter().count());
    Ok(())
}
