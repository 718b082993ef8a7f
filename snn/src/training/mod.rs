//! Training of any network by any rule: one loop, with validation, early stopping, a callback after every epoch, curves as
//! CSV, and a checkpoint from which an interrupted training goes on as if it had not been.
//!
//! [`fit`] trains a network on data in memory. [`run`] does all of `spiccato snn train`: it takes a description and the path
//! of the data and leaves in a folder
//! - `network.safetensors`: the network with the weights that were best on the validation sequences,
//! - `curves.csv`: losses and accuracies of each epoch,
//! - `net.toml`: the description as it was used,
//! - `checkpoint.safetensors`: everything that is needed to go on.

mod checkpoint;
mod description;
mod settings;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use spiccato_neurons::Random;

pub use checkpoint::Epoch;
pub use description::Description;
pub use settings::{RewiringDescription, RuleDescription, Schedule, TrainingDescription};

use crate::dataset::{Dataset, Parts};
use crate::network::Network;
use crate::targets::{Classes, OutputError};
use checkpoint::Checkpoint;

/// Sequences that are evaluated at once.
const CHUNK: usize = 64;

/// What a training came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// All epochs.
    pub epochs: Vec<Epoch>,
    /// Number of the epoch whose weights the network has: the best on the validation sequences.
    pub best: usize,
    /// Share of the test sequences that is classified right with these weights, if there are any.
    pub test_accuracy: Option<f64>,
}

/// Trains a network on the training part of the data; the weights that were best on the validation part stay in it.
/// `progress` is called after each epoch.
///
/// # Errors
/// If settings make no sense or don't fit network and data, or gradients are not finite.
pub fn fit(
    network: &Network,
    settings: &TrainingDescription,
    data: &Dataset,
    progress: &mut dyn FnMut(&Epoch),
) -> Result<Report> {
    let parts = data.parts(settings.validation, settings.test, settings.seed)?;
    train(network, settings, data, &parts, None, progress)
}

/// Trains as a description says on the data at a path and leaves everything in the folder `out`. A training that was
/// interrupted there goes on; one that was finished is not touched.
///
/// # Errors
/// If data or description don't fit, the folder holds a training by another description, or can't be written.
pub fn run(
    description: &Description,
    data: &Path,
    out: &Path,
    progress: &mut dyn FnMut(&Epoch),
) -> Result<(Network, Report)> {
    let dataset = Dataset::read(data, &description.data)?;
    let network = Network::new(&description.network, description.training.seed)?;
    let text = description.to_toml()?;
    let path = out.join("net.toml");
    if path.exists() {
        let before = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(before == text, "{} describes another training: choose another folder", path.display());
    } else {
        std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
        std::fs::write(&path, &text).with_context(|| path.display().to_string())?;
    }
    let settings = &description.training;
    let parts = dataset.parts(settings.validation, settings.test, settings.seed)?;
    let report = train(&network, settings, &dataset, &parts, Some(out), progress)?;
    network.save(&out.join("network.safetensors"))?;
    Ok((network, report))
}

fn train(
    network: &Network,
    settings: &TrainingDescription,
    data: &Dataset,
    parts: &Parts,
    folder: Option<&Path>,
    progress: &mut dyn FnMut(&Epoch),
) -> Result<Report> {
    settings.check()?;
    let shape = &network.description().inputs;
    ensure!(
        shape.iter().product::<usize>() == data.channels(),
        "the network's inputs are {shape:?}, the data have {} channels",
        data.channels()
    );
    let outputs = network.outputs();
    ensure!(
        outputs.len() == 1 && outputs[0] >= data.classes(),
        "the network's outputs are {outputs:?}, the data have {} classes",
        data.classes()
    );
    let task = Task { network, settings, data };
    let mut rule = settings.rule.rule(settings.clip);
    let mut optimizer = settings.optimizer(network)?;
    let file = folder.map(|folder| folder.join("checkpoint.safetensors"));
    let mut course = match &file {
        Some(file) if file.exists() => Checkpoint::load(file, network, &mut optimizer)?,
        _ => Checkpoint::new(network)?,
    };
    // As the checkpoint is without the epoch at hand: rates and random numbers depend on its number alone.
    while !course.is_finished(settings) {
        let epoch = course.epochs.len() + 1;
        let mut random = Random::new(settings.seed, 300 + epoch as u64);
        optimizer.reseed(Random::new(settings.seed, 1_000_000 + epoch as u64));
        let mut order = parts.train.clone();
        random.shuffle(&mut order);
        let (mut loss, mut seen, mut rate) = (0.0, 0, settings.rate);
        for indices in order.chunks(settings.batch) {
            rate = settings.rate_at((epoch - 1) as f64 + seen as f64 / order.len() as f64);
            optimizer.set_rate(rate);
            let input = task.input(indices, &mut random)?;
            let batch_loss = rule.learn(network, &mut optimizer, &input, &task.target(indices))?;
            loss += batch_loss * indices.len() as f64;
            seen += indices.len();
        }
        let held_out = if parts.validation.is_empty() { &parts.train } else { &parts.validation };
        let (validation_loss, validation_accuracy) = task.evaluate(held_out)?;
        let epoch = Epoch { epoch, rate, loss: loss / seen as f64, validation_loss, validation_accuracy };
        course.add(epoch, network)?;
        if let (Some(file), Some(folder)) = (&file, folder) {
            course.save(file, network, &optimizer)?;
            course.write_curves(&folder.join("curves.csv"))?;
        }
        progress(&epoch);
    }
    network.set(&course.best_values)?;
    let test_accuracy = if parts.test.is_empty() { None } else { Some(task.evaluate(&parts.test)?.1) };
    Ok(Report { best: course.best, epochs: course.epochs, test_accuracy })
}

/// Sequences as inputs and targets.
struct Task<'a> {
    network: &'a Network,
    settings: &'a TrainingDescription,
    data: &'a Dataset,
}

impl Task<'_> {
    fn input(&self, indices: &[usize], random: &mut Random) -> Result<candle_core::Tensor> {
        let input = self.data.batch(indices, random)?;
        let mut dims = vec![indices.len(), self.data.steps()];
        dims.extend_from_slice(&self.network.description().inputs);
        Ok(input.reshape(dims)?)
    }

    /// The class counts at every step of the last part of a sequence.
    fn target(&self, indices: &[usize]) -> Classes {
        let steps = self.data.steps();
        let first = (self.settings.loss_from * steps as f64) as usize;
        let labels = self.data.labels(indices).into_iter();
        Classes::new(labels.flat_map(|label| (0..steps).map(move |t| (t >= first).then_some(label))).collect(), steps)
    }

    /// Mean loss and share that is classified right.
    fn evaluate(&self, indices: &[usize]) -> Result<(f64, f64)> {
        let (mut loss, mut right) = (0.0, 0.0);
        // Encoders that draw spikes draw the same ones each time.
        let mut random = Random::new(self.settings.seed, 201);
        let outputs = self.network.outputs()[0];
        for indices in indices.chunks(CHUNK) {
            let readout = self.network.respond(&self.input(indices, &mut random)?)?.flatten_all()?.to_vec1::<f32>()?;
            let target = self.target(indices);
            let mut error = vec![0.0; outputs];
            let steps = self.data.steps();
            let rows = readout.chunks_exact(outputs).enumerate();
            let sum: f64 = rows.map(|(i, y)| target.at(i / steps, i % steps, y, &mut error)).sum();
            loss += sum * indices.len() as f64;
            right += (1.0 - target.error(&readout)) * indices.len() as f64;
        }
        Ok((loss / indices.len() as f64, right / indices.len() as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Encoder, npz};
    use crate::description::NetworkDescription;
    use crate::layers::LifOptions;
    use crate::rules::Feedback;

    /// Two classes, told by which half of the inputs fires first.
    fn data() -> Result<Dataset> {
        let mut random = Random::new(4, 0);
        let labels: Vec<usize> = (0..80).map(|sequence| sequence % 2).collect();
        let mut sequence = |label: usize| -> Vec<(u32, u32)> {
            let channel = |t: u32, random: &mut Random| 4 * (label ^ usize::from(t >= 10)) + random.below(4);
            (0..20).map(|t| (t, channel(t, &mut random) as u32)).collect()
        };
        let events = labels.iter().map(|&label| sequence(label)).collect();
        Dataset::from_events(events, 20, 8, labels)
    }

    fn description(rule: RuleDescription) -> Description {
        let lif = LifOptions { recurrent: true, ..LifOptions::default() };
        let network = NetworkDescription::new(&[8]).linear_with_gain(16, 3.0).lif(lif).linear(2).leaky_integrator(10.0);
        let training = TrainingDescription { rule, epochs: 8, batch: 8, rate: 0.02, ..TrainingDescription::default() };
        Description { training, ..Description::new(network) }
    }

    fn accuracy(description: &Description) -> Result<f64> {
        let network = Network::new(&description.network, 1)?;
        let report = fit(&network, &description.training, &data()?, &mut |_| {})?;
        report.test_accuracy.context("no test sequences")
    }

    #[test]
    fn every_rule_learns_the_same_network_by_one_line() -> Result<()> {
        for rule in [
            RuleDescription::Backpropagation { truncate: None },
            RuleDescription::Backpropagation { truncate: Some(7) },
            RuleDescription::EProp { feedback: Feedback::Symmetric },
            RuleDescription::EProp { feedback: Feedback::Random },
            RuleDescription::ForwardPropagation { parts: 4, alpha: 0.1, beta: 0.5 },
        ] {
            let found = accuracy(&description(rule))?;
            assert!(found > 0.9, "{rule:?}: {found}");
        }
        let mut sparse = description(RuleDescription::EProp { feedback: Feedback::Symmetric });
        sparse.training.rewiring = Some(RewiringDescription { connectivity: 0.5, ..RewiringDescription::default() });
        let found = accuracy(&sparse)?;
        assert!(found > 0.85, "rewired: {found}");
        Ok(())
    }

    #[test]
    fn an_interrupted_training_goes_on_as_if_it_had_not_been() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut whole = description(RuleDescription::EProp { feedback: Feedback::Symmetric });
        whole.training.rewiring = Some(RewiringDescription::default());
        whole.training.epochs = 4;
        let data = data()?;
        let parts = data.parts(whole.training.validation, whole.training.test, whole.training.seed)?;
        let run = |path: &Path, stop_after: usize| -> Result<Vec<Epoch>> {
            let network = Network::new(&whole.network, 1)?;
            let mut seen = Vec::new();
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                train(&network, &whole.training, &data, &parts, Some(path), &mut |epoch| {
                    seen.push(*epoch);
                    assert!(seen.len() < stop_after, "killed");
                })
            }));
            if let Ok(report) = caught {
                network.save(&path.join("network.safetensors"))?;
                assert_eq!(report?.epochs.len(), 4);
            }
            Ok(seen)
        };
        let [once, twice] = ["once", "twice"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(&once)?;
        std::fs::create_dir_all(&twice)?;
        let epochs = run(&once, 9)?;
        let mut pieces = run(&twice, 2)?;
        pieces.extend(run(&twice, 9)?);
        assert_eq!(pieces, epochs);
        for name in ["network.safetensors", "curves.csv"] {
            assert_eq!(std::fs::read(once.join(name))?, std::fs::read(twice.join(name))?, "{name}");
        }
        Ok(())
    }

    #[test]
    fn a_folder_gets_everything_and_is_not_taken_for_another_training() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (file, out) = (folder.path().join("events.npz"), folder.path().join("out"));
        let list = |values: Vec<i32>| -> (String, Vec<u8>) {
            (format!("({},)", values.len()), values.iter().flat_map(|value| value.to_le_bytes()).collect())
        };
        let spikes = data()?.batch(&(0..80).collect::<Vec<_>>(), &mut Random::new(1, 0))?.to_vec3::<f32>()?;
        let (mut sample, mut time, mut channel) = (Vec::new(), Vec::new(), Vec::new());
        for (i, steps) in spikes.iter().enumerate() {
            for (t, step) in steps.iter().enumerate() {
                for (c, _) in step.iter().enumerate().filter(|(_, spike)| **spike > 0.0) {
                    sample.push(i as i32);
                    time.push(t as i32);
                    channel.push(c as i32);
                }
            }
        }
        let labels = (0..80).map(|i| i % 2).collect();
        let arrays =
            [("sample", sample), ("time", time), ("channel", channel), ("labels", labels)].map(|(name, values)| {
                let (shape, bytes) = list(values);
                (name, npz::tests::npy("<i4", &shape, &bytes))
            });
        npz::tests::npz(&file, &arrays)?;

        let mut description = description(RuleDescription::eprop());
        let (network, report) = run(&description, &file, &out, &mut |_| {})?;
        assert!(report.test_accuracy > Some(0.9), "{report:?}");
        for name in ["network.safetensors", "curves.csv", "net.toml", "checkpoint.safetensors"] {
            assert!(out.join(name).exists(), "{name}");
        }
        let loaded = Network::load(&out.join("network.safetensors"))?;
        let input = data()?.batch(&[3, 4], &mut Random::new(1, 0))?;
        assert_eq!(loaded.respond(&input)?.to_vec3::<f32>()?, network.respond(&input)?.to_vec3::<f32>()?);
        // The same again is finished; another one needs another folder.
        let mut more = 0;
        assert_eq!(run(&description, &file, &out, &mut |_| more += 1)?.1, report);
        assert_eq!(more, 0);
        description.training.seed = 2;
        let refused = format!("{:#}", run(&description, &file, &out, &mut |_| {}).unwrap_err());
        assert!(refused.contains("another training"), "{refused}");
        Ok(())
    }

    #[test]
    fn training_stops_when_validation_gets_no_better_and_keeps_the_best() -> Result<()> {
        let mut short = description(RuleDescription::Backpropagation { truncate: None });
        (short.training.epochs, short.training.patience) = (60, Some(2));
        let network = Network::new(&short.network, 1)?;
        // There is nothing to be learned from noise but the sequences themselves.
        let mut random = Random::new(6, 0);
        let events = (0..80).map(|_| (0..20).map(|t| (t, random.below(8) as u32)).collect()).collect();
        let noise = Dataset::from_events(events, 20, 8, (0..80).map(|sequence| sequence % 2).collect())?;
        let report = fit(&network, &short.training, &noise, &mut |_| {})?;
        assert!(report.epochs.len() < 60 && report.best + 2 == report.epochs.len(), "{report:?}");
        let best = report.epochs.iter().map(|epoch| epoch.validation_loss).fold(f64::INFINITY, f64::min);
        assert_eq!(report.epochs[report.best - 1].validation_loss, best);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let refused = |change: &dyn Fn(&mut Description)| -> Result<String> {
            let mut description = description(RuleDescription::default());
            change(&mut description);
            Ok(accuracy(&description).err().map(|error| format!("{error:#}")).unwrap_or_default())
        };
        assert!(refused(&|d| d.network.inputs = vec![9])?.contains("the data have 8 channels"));
        assert!(refused(&|d| d.training.batch = 0)?.contains("batch"));
        assert!(refused(&|d| d.training.rate = f64::NAN)?.contains("rate"));
        assert!(refused(&|d| d.training.loss_from = 1.0)?.contains("loss_from"));
        let still = Dataset::from_images(vec![1.0; 8], vec![0], Encoder::Latency { steps: 3 })?;
        assert_eq!(still.channels(), 8);
        Ok(())
    }
}
