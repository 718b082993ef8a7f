//! Graphs as NIR defines them; times are in seconds.

use std::collections::BTreeMap;

/// Values with a shape, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Sizes.
    pub shape: Vec<usize>,
    /// As many values as the product of the sizes.
    pub values: Vec<f64>,
}

impl Array {
    /// The same value in all places.
    pub fn full(shape: &[usize], value: f64) -> Self {
        Self { shape: shape.to_vec(), values: vec![value; shape.iter().product()] }
    }
}

/// A graph: a node gets the sum of what the nodes before it give.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// By name.
    pub nodes: BTreeMap<String, Node>,
    /// From and to.
    pub edges: Vec<(String, String)>,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Node {
    /// Where input of this shape comes in.
    Input(Vec<usize>),
    /// Where output of this shape goes out.
    Output(Vec<usize>),
    /// Weights (outputs, inputs) and bias (outputs): `Affine`, or `Linear` without a bias.
    Affine {
        /// Weights.
        weight: Array,
        /// Bias.
        bias: Option<Array>,
    },
    /// A factor for each value.
    Scale(Array),
    /// `Conv1d` or `Conv2d`.
    Convolution(Convolution),
    /// `SumPool2d` or `AvgPool2d`.
    Pool(Pool),
    /// Dimensions from `start` to `end` become one; negative numbers count from the end.
    Flatten {
        /// Shape of the input.
        shape: Vec<usize>,
        /// First dimension.
        start: i64,
        /// Last dimension.
        end: i64,
    },
    /// Values arrive later, each by so many seconds.
    Delay(Array),
    /// `I`, `IF`, `LI`, `LIF`, `CubaLI` and `CubaLIF`.
    Neurons(Neurons),
}

/// A convolution over one or two dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// (outputs, inputs per group, size) or (outputs, inputs per group, height, width).
    pub weight: Array,
    /// (outputs)
    pub bias: Array,
    /// Distance from one position of the kernel to the next, by dimension.
    pub stride: Vec<usize>,
    /// Zeros around the input, by dimension.
    pub padding: Vec<usize>,
    /// Distance of the kernel's values on the input, by dimension.
    pub dilation: Vec<usize>,
    /// Groups of channels that don't mix.
    pub groups: usize,
    /// Size of the input, by dimension, if it is known.
    pub input: Option<Vec<usize>>,
}

/// Sums or means of fields of maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Whether fields become their means, not their sums.
    pub average: bool,
    /// Height and width of a field.
    pub kernel: [usize; 2],
    /// Distance of fields.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: [usize; 2],
}

/// Neurons, τ·v̇ = (v_leak − v) + r·I, or v̇ = r·I without a time constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Neurons {
    /// Time constant of the membrane and potential at rest; none in integrators without leak.
    pub leak: Option<(Array, Array)>,
    /// Resistance.
    pub r: Array,
    /// Current between input and membrane.
    pub synapse: Option<Synapse>,
    /// Spikes; without them, the potential is the output.
    pub firing: Option<Firing>,
}

/// A synaptic current, τ·İ = −I + w·S.
#[derive(Debug, Clone, PartialEq)]
pub struct Synapse {
    /// Time constant.
    pub tau: Array,
    /// Weight of the input.
    pub w_in: Array,
}

/// A spike where v > threshold, after which v is `reset`.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// Threshold.
    pub threshold: Array,
    /// Potential after a spike.
    pub reset: Array,
}

impl Neurons {
    /// Name of the type in NIR; `None` for a combination that it has not.
    pub(super) fn kind(&self) -> Option<&'static str> {
        match (self.leak.is_some(), self.synapse.is_some(), self.firing.is_some()) {
            (false, false, false) => Some("I"),
            (false, false, true) => Some("IF"),
            (true, false, false) => Some("LI"),
            (true, false, true) => Some("LIF"),
            (true, true, false) => Some("CubaLI"),
            (true, true, true) => Some("CubaLIF"),
            (false, true, _) => None,
        }
    }

    /// All parameters with their names in NIR.
    pub(super) fn parameters(&self) -> Vec<(&'static str, &Array)> {
        let mut parameters = vec![("r", &self.r)];
        if let Some((tau, v_leak)) = &self.leak {
            parameters.push((if self.synapse.is_some() { "tau_mem" } else { "tau" }, tau));
            parameters.push(("v_leak", v_leak));
        }
        if let Some(Synapse { tau, w_in }) = &self.synapse {
            parameters.extend([("tau_syn", tau), ("w_in", w_in)]);
        }
        if let Some(Firing { threshold, reset }) = &self.firing {
            parameters.extend([("v_threshold", threshold), ("v_reset", reset)]);
        }
        parameters
    }
}
