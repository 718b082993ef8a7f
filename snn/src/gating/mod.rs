//! Learning one task after the other without forgetting (Barry, Gerstner & Bellec 2023, GateON): each context opens gates of
//! some units; connections that matter to what was learned become less available for learning ([`Availability`]); the
//! context is inferred from the loss ([`ContextDetector`]).

mod availability;
mod context;

use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use spiccato_neurons::Random;

pub use availability::{Availability, AvailabilityOptions};
pub use context::ContextDetector;

use crate::variables::Variables;

/// Gates of a layer's units, tanh(max(0, p))² with learned p for each context and unit. A gate that is shut has no gradient,
/// so it stays shut.
#[derive(Debug, Clone)]
pub struct Gates(Var);

impl Gates {
    /// Adds the variable `name` (contexts, units): each gate is open with probability `share`, drawn for each context.
    ///
    /// # Errors
    /// If the variable can't be made.
    pub fn new(
        name: &str,
        contexts: usize,
        units: usize,
        share: f64,
        variables: &mut Variables,
        random: &mut Random,
    ) -> Result<Self> {
        let mut draw = || if random.chance(share) { random.between(1.0, 2.0) as f32 } else { -1.0 };
        let values: Vec<f32> = (0..contexts * units).map(|_| draw()).collect();
        Ok(Self(variables.add(name, &Tensor::from_vec(values, (contexts, units), &Device::Cpu)?)?))
    }

    /// How far the gates are open in a context, (1, units), from 0 to 1.
    ///
    /// # Errors
    /// If there is no such context.
    pub fn open(&self, context: usize) -> Result<Tensor> {
        Ok(self.0.narrow(0, context, 1)?.relu()?.tanh()?.sqr()?.to_dtype(DType::F32)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_opens_its_share_of_the_gates_and_learns_those_alone() -> Result<()> {
        let mut variables = Variables::default();
        let gates = Gates::new("gates", 3, 400, 0.25, &mut variables, &mut Random::new(1, 0))?;
        let open = gates.open(1)?;
        let count = open.gt(0.0)?.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?;
        assert!((count - 100.0).abs() < 30.0, "{count}");
        let gradients = open.sum_all()?.backward()?;
        let gradient = gradients.get(variables.get("gates")?).unwrap().to_vec2::<f32>()?;
        assert_eq!(gradient[1].iter().filter(|g| **g != 0.0).count(), count as usize);
        assert!(gradient[0].iter().chain(&gradient[2]).all(|g| *g == 0.0));
        assert!(gates.open(3).is_err());
        Ok(())
    }
}
