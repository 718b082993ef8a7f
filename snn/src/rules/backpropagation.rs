//! Backpropagation through time (Werbos 1990), over whole sequences or truncated (Williams & Peng 1990).

use anyhow::Result;
use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::{Rule, backpropagate, rest, spans};
use crate::learning_rule::Optimize;
use crate::network::Network;
use crate::optimizer::clip;
use crate::targets::OutputError;

/// The rule: one step of the optimiser for a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backpropagation {
    /// No gradient flows further back than to the start of a piece of so many steps; the memory needed is that of a piece.
    pub truncate: Option<usize>,
    /// Largest norm of the gradient.
    pub clip: Option<f64>,
}

impl Backpropagation {
    /// Gradients of a batch, and its loss.
    ///
    /// # Errors
    /// As [`Rule::learn`].
    pub fn gradients(&self, network: &Network, input: &Tensor, target: &dyn OutputError) -> Result<(GradStore, f64)> {
        let (mut states, mut gradients, mut loss) = (rest(input.dim(0)?), GradStore::default(), 0.0);
        let time = input.dim(1)?;
        for span in spans(time, self.truncate.unwrap_or(time)) {
            loss += backpropagate(network, input, target, span, &mut states, &mut gradients)?;
        }
        Ok((gradients, loss))
    }
}

impl Rule for Backpropagation {
    fn learn(
        &mut self,
        network: &Network,
        optimizer: &mut dyn Optimize,
        input: &Tensor,
        target: &dyn OutputError,
    ) -> Result<f64> {
        let (mut gradients, loss) = self.gradients(network, input, target)?;
        if let Some(norm) = self.clip {
            clip(network.variables(), &mut gradients, norm)?;
        }
        optimizer.step(network.variables(), &gradients)?;
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::NetworkDescription;
    use crate::layers::LifOptions;
    use crate::targets::Values;
    use candle_core::Device;
    use spiccato_neurons::Random;

    #[test]
    fn gradients_are_those_of_a_graph_over_the_whole_batch() -> Result<()> {
        let (items, time) = (11, 12);
        let options = LifOptions { recurrent: true, ..LifOptions::default() };
        let description =
            NetworkDescription::new(&[5]).linear_with_gain(8, 4.0).lif(options).linear(2).leaky_integrator(5.0);
        let network = Network::new(&description, 1)?;
        let mut random = Random::new(1, 0);
        let x: Vec<f32> = (0..items * time * 5).map(|_| if random.chance(0.3) { 1.0 } else { 0.0 }).collect();
        let x = Tensor::from_vec(x, (items, time, 5), &Device::Cpu)?;
        let wanted: Vec<f32> = (0..items * time * 2).map(|_| random.normal() as f32).collect();
        let target = Values::new(wanted.clone(), time, 2);
        let rule = Backpropagation { truncate: None, clip: None };
        let (ours, loss) = rule.gradients(&network, &x, &target)?;

        let wanted = Tensor::from_vec(wanted, (items, time, 2), &Device::Cpu)?;
        let graph = ((network.forward(&x, None)?.spikes - wanted)?.sqr()?.sum_all()? * (0.5 / items as f64))?;
        assert!((f64::from(graph.to_scalar::<f32>()?) / loss - 1.0).abs() < 1e-4);
        let theirs = graph.backward()?;
        let (truncated, _) = Backpropagation { truncate: Some(4), clip: None }.gradients(&network, &x, &target)?;
        for (name, variable) in network.variables().iter() {
            let far = |a: &GradStore, b: &GradStore| -> Result<f32> {
                let (a, b) = (a.get(variable).unwrap(), b.get(variable).unwrap());
                let scale = b.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
                Ok((a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()? / scale)
            };
            assert!(far(&ours, &theirs)? < 1e-4, "{name}");
            assert!(far(&truncated, &theirs)? > 1e-2, "{name}");
        }
        Ok(())
    }
}
