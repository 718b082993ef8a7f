//! A graph in steps of a fixed length dt, by Euler's method as in snnTorch and Norse: I ← I + dt/τ·(w·S − I),
//! v ← v + dt/τ·(v_leak − v + r·I), then a spike where v > threshold, and v ← reset where there was one.

use std::collections::VecDeque;

use super::Error;
use super::graph::{Array, Convolution, Graph, Node, Pool};
use super::order::order;

/// Most steps of a delay, and values that a node gives.
const MOST: usize = 1 << 24;

/// A graph that runs.
#[derive(Debug, Clone)]
pub struct Simulation {
    parts: Vec<Part>,
    /// In the order of computation.
    order: Vec<usize>,
    /// Nodes that give the output, and its number of values.
    outputs: Vec<usize>,
    inputs: Vec<usize>,
    steps: f64,
}

/// A node with what it gave last.
#[derive(Debug, Clone)]
struct Part {
    node: Node,
    sources: Vec<(usize, bool)>,
    /// Shapes before and after.
    before: Vec<usize>,
    output: Vec<f64>,
    potential: Vec<f64>,
    current: Vec<f64>,
    waiting: VecDeque<Vec<f64>>,
    waits: Vec<usize>,
}

impl Simulation {
    /// A graph at rest, in steps of `dt` seconds.
    ///
    /// # Errors
    /// If nodes don't fit each other, or a loop has no neurons.
    pub fn new(graph: &Graph, dt: f64) -> Result<Self, Error> {
        if !(dt > 0.0 && dt.is_finite()) {
            return Err(Error::structure("", format!("a step is {dt} s long, not a positive number")));
        }
        let names: Vec<&String> = graph.nodes.keys().collect();
        let nodes: Vec<&Node> = graph.nodes.values().collect();
        let order = order(graph)?;
        let mut shapes: Vec<Option<Vec<usize>>> = nodes.iter().map(|node| own_shape(node)).collect();
        let mut parts: Vec<Option<Part>> = vec![None; nodes.len()];
        for &number in &order.nodes {
            let (node, name) = (nodes[number], names[number]);
            check(name, node)?;
            let mut before = shapes[number].clone();
            for &(source, _) in &order.sources[number] {
                // What comes of the step before is of neurons or a delay, whose shapes are their own.
                let Some(found) = &shapes[source] else {
                    return Err(Error::structure(
                        name,
                        format!("the shape of '{}' before it is not known", names[source]),
                    ));
                };
                let same = |shape: &Vec<usize>| shape == found || count(shape) == count(found) && is_flat(node);
                match &before {
                    Some(shape) if !same(shape) => {
                        return Err(Error::structure(
                            name,
                            format!("it takes {shape:?}, '{}' gives {found:?}", names[source]),
                        ));
                    }
                    Some(_) => {}
                    None => before = Some(found.clone()),
                }
            }
            let before = before.ok_or_else(|| Error::structure(name, "nothing comes before it"))?;
            let after = shape_after(name, node, &before)?;
            let size = count(&after);
            if size > MOST {
                return Err(Error::structure(name, format!("it gives {size} values")));
            }
            let mut waits = Vec::new();
            if let Node::Delay(delay) = node {
                waits = delay.values.iter().map(|delay| (delay / dt).round() as usize).collect();
                let longest = waits.iter().copied().max().unwrap_or(0);
                if delay.values.iter().any(|delay| *delay < 0.0) || longest.saturating_mul(size) > MOST {
                    return Err(Error::parameter(name, "delay", "it is negative or too long"));
                }
            }
            let potential = if matches!(node, Node::Neurons(_)) { vec![0.0; size] } else { Vec::new() };
            parts[number] = Some(Part {
                node: node.clone(),
                sources: order.sources[number].clone(),
                before,
                output: vec![0.0; size],
                current: potential.clone(),
                potential,
                waiting: VecDeque::new(),
                waits,
            });
            shapes[number] = Some(after);
        }
        let of_kind = |kind: fn(&Node) -> bool| (0..nodes.len()).filter(|node| kind(nodes[*node])).collect::<Vec<_>>();
        let (inputs, outputs) = (of_kind(|n| matches!(n, Node::Input(_))), of_kind(|n| matches!(n, Node::Output(_))));
        if inputs.is_empty() || outputs.is_empty() {
            return Err(Error::structure("", "the graph has no input or no output"));
        }
        let parts = parts.into_iter().flatten().collect();
        Ok(Self { parts, order: order.nodes, outputs, inputs, steps: dt })
    }

    /// Number of input values of a step: of all input nodes in the order of their names.
    pub fn inputs(&self) -> usize {
        self.inputs.iter().map(|node| self.parts[*node].output.len()).sum()
    }

    /// One step; gives the output, that of all output nodes in the order of their names.
    ///
    /// # Errors
    /// If there are more or fewer values than inputs.
    pub fn step(&mut self, input: &[f64]) -> Result<Vec<f64>, Error> {
        if input.len() != self.inputs() {
            return Err(Error::structure("", format!("{} values for {} inputs", input.len(), self.inputs())));
        }
        // What was given in the step before, for edges that are late.
        let past: Vec<Vec<f64>> =
            self.parts
                .iter()
                .map(|part| {
                    if matches!(part.node, Node::Neurons(_) | Node::Delay(_)) {
                        part.output.clone()
                    } else {
                        Vec::new()
                    }
                })
                .collect();
        let mut rest = input;
        for &node in &self.inputs {
            let (mine, others) = rest.split_at(self.parts[node].output.len());
            self.parts[node].output.copy_from_slice(mine);
            rest = others;
        }
        for &number in &self.order {
            if self.inputs.contains(&number) {
                continue;
            }
            let mut sum = vec![0.0; count(&self.parts[number].before)];
            for &(source, late) in &self.parts[number].sources {
                let values = if late { &past[source] } else { &self.parts[source].output };
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
            self.parts[number].run(sum, self.steps);
        }
        Ok(self.outputs.iter().flat_map(|node| self.parts[*node].output.iter().copied()).collect())
    }
}

impl Part {
    fn run(&mut self, mut input: Vec<f64>, dt: f64) {
        match &self.node {
            Node::Input(_) | Node::Output(_) | Node::Flatten { .. } => self.output = input,
            Node::Affine { weight, bias } => {
                let rows = weight.values.chunks_exact(input.len().max(1));
                for ((i, output), row) in self.output.iter_mut().enumerate().zip(rows) {
                    *output = bias.as_ref().map_or(0.0, |bias| bias.values[i]);
                    *output += row.iter().zip(&input).map(|(w, x)| w * x).sum::<f64>();
                }
            }
            Node::Scale(scale) => {
                input.iter_mut().zip(&scale.values).for_each(|(x, scale)| *x *= scale);
                self.output = input;
            }
            Node::Convolution(convolution) => convolve(convolution, &self.before, &input, &mut self.output),
            Node::Pool(pool) => fields(pool, &self.before, &input, &mut self.output),
            Node::Delay(_) => {
                self.waiting.push_front(input);
                for (i, (output, wait)) in self.output.iter_mut().zip(&self.waits).enumerate() {
                    *output = self.waiting.get(*wait).map_or(0.0, |values| values[i]);
                }
                self.waiting.truncate(1 + self.waits.iter().copied().max().unwrap_or(0));
            }
            Node::Neurons(neurons) => {
                for (i, input) in input.iter().enumerate() {
                    let mut drive = *input;
                    if let Some(synapse) = &neurons.synapse {
                        let rate = dt / synapse.tau.values[i];
                        self.current[i] += rate * (synapse.w_in.values[i] * input - self.current[i]);
                        drive = self.current[i];
                    }
                    let v = &mut self.potential[i];
                    match &neurons.leak {
                        Some((tau, rest)) => {
                            *v += dt / tau.values[i] * (rest.values[i] - *v + neurons.r.values[i] * drive);
                        }
                        None => *v += dt * neurons.r.values[i] * drive,
                    }
                    self.output[i] = *v;
                    if let Some(firing) = &neurons.firing {
                        let spike = *v > firing.threshold.values[i];
                        self.output[i] = f64::from(u8::from(spike));
                        if spike {
                            *v = firing.reset.values[i];
                        }
                    }
                }
            }
        }
    }
}

fn count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |count, size| count.saturating_mul(*size))
}

/// Arrays have as many values as their shapes say, and neurons as many of each parameter.
fn check(name: &str, node: &Node) -> Result<(), Error> {
    let arrays = match node {
        Node::Affine { weight, bias } => {
            let bias = bias.iter().map(|bias| ("bias", bias));
            std::iter::once(("weight", weight)).chain(bias).collect()
        }
        Node::Convolution(convolution) => vec![("weight", &convolution.weight), ("bias", &convolution.bias)],
        Node::Scale(scale) => vec![("scale", scale)],
        Node::Delay(delay) => vec![("delay", delay)],
        Node::Neurons(neurons) => neurons.parameters(),
        Node::Input(_) | Node::Output(_) | Node::Pool(_) | Node::Flatten { .. } => Vec::new(),
    };
    for (key, array) in arrays {
        let alike = match node {
            Node::Neurons(neurons) => array.values.len() == neurons.r.values.len(),
            _ => true,
        };
        if count(&array.shape) != array.values.len() || !alike {
            let reason = format!("{} values of the shape {:?}", array.values.len(), array.shape);
            return Err(Error::parameter(name, key, reason));
        }
    }
    let dimensions = |convolution: &Convolution| {
        let Convolution { weight, stride, padding, dilation, .. } = convolution;
        let dimensions = stride.len();
        matches!(dimensions, 1 | 2)
            && [padding.len(), dilation.len()] == [dimensions; 2]
            && weight.shape.len() == dimensions + 2
            && !weight.values.is_empty()
    };
    match node {
        Node::Convolution(convolution) if !dimensions(convolution) => {
            Err(Error::structure(name, "its settings are not those of one or two dimensions"))
        }
        _ => Ok(()),
    }
}

/// Whether a node takes values one by one, whatever their shape.
fn is_flat(node: &Node) -> bool {
    matches!(node, Node::Neurons(_) | Node::Output(_) | Node::Flatten { .. } | Node::Scale(_) | Node::Delay(_))
}

/// The shape of what a node takes, if it says so itself.
fn own_shape(node: &Node) -> Option<Vec<usize>> {
    match node {
        Node::Input(shape) | Node::Output(shape) | Node::Flatten { shape, .. } => Some(shape.clone()),
        Node::Affine { weight, .. } => weight.shape.last().map(|inputs| vec![*inputs]),
        Node::Scale(array) | Node::Delay(array) => Some(array.shape.clone()),
        Node::Neurons(neurons) => Some(neurons.r.shape.clone()),
        Node::Convolution(_) | Node::Pool(_) => None,
    }
}

/// Number of places of a field of `size` values, `step` apart.
fn places(length: usize, padding: usize, span: usize, step: usize) -> Option<usize> {
    let rest = length.checked_add(padding.checked_mul(2)?)?.checked_sub(span)?;
    rest.checked_div(step).map(|rest| rest + 1)
}

fn shape_after(name: &str, node: &Node, before: &[usize]) -> Result<Vec<usize>, Error> {
    let unfit = |what: &str| Error::structure(name, format!("{what} does not fit an input of the shape {before:?}"));
    match node {
        Node::Affine { weight, bias } => match &weight.shape[..] {
            &[outputs, inputs]
                if before == [inputs] && bias.as_ref().is_none_or(|bias| bias.values.len() == outputs) =>
            {
                Ok(vec![outputs])
            }
            _ => Err(unfit("an affine map")),
        },
        Node::Convolution(Convolution { weight, bias, stride, padding, dilation, groups, input }) => {
            let shape = &weight.shape;
            let fits = before.len() == shape.len() - 1
                && *groups > 0
                && shape[1].checked_mul(*groups) == Some(before[0])
                && shape[0].is_multiple_of(*groups)
                && bias.values.len() == shape[0]
                && input.as_ref().is_none_or(|input| *input == before[1..]);
            if !fits {
                return Err(unfit("a convolution"));
            }
            let mut after = vec![shape[0]];
            for dimension in 0..stride.len() {
                let span = shape[dimension + 2].checked_sub(1).and_then(|size| size.checked_mul(dilation[dimension]));
                let span = span.and_then(|span| span.checked_add(1)).ok_or_else(|| unfit("a convolution"))?;
                let places = places(before[dimension + 1], padding[dimension], span, stride[dimension]);
                after.push(places.ok_or_else(|| unfit("a kernel"))?);
            }
            Ok(after)
        }
        Node::Pool(Pool { kernel, stride, padding, .. }) => {
            let &[channels, height, width] = before else { return Err(unfit("a pool")) };
            let place = |i: usize, length| places(length, padding[i], kernel[i], stride[i]).filter(|_| kernel[i] > 0);
            match (place(0, height), place(1, width)) {
                (Some(rows), Some(columns)) => Ok(vec![channels, rows, columns]),
                _ => Err(unfit("a pool")),
            }
        }
        Node::Flatten { start, end, .. } => {
            let dimensions = before.len() as i64;
            let place = |number: i64| if number < 0 { number + dimensions } else { number };
            let (start, end) = (place(*start), place(*end));
            if !(0 <= start && start <= end && end < dimensions) {
                return Err(unfit("flattening"));
            }
            let (start, end) = (start as usize, end as usize);
            let mut after = before[..start].to_vec();
            after.push(count(&before[start..=end]));
            after.extend(&before[end + 1..]);
            Ok(after)
        }
        Node::Input(_) | Node::Output(_) | Node::Scale(Array { .. }) | Node::Delay(_) | Node::Neurons(_) => {
            Ok(before.to_vec())
        }
    }
}

/// Shape and settings over two dimensions; with one, the other is 1.
fn planar<const N: usize>(values: &[&[usize]; N], fill: [usize; N]) -> [[usize; 2]; N] {
    std::array::from_fn(|i| match values[i] {
        [x] => [fill[i], *x],
        [y, x, ..] => [*y, *x],
        [] => [fill[i]; 2],
    })
}

fn convolve(convolution: &Convolution, before: &[usize], input: &[f64], output: &mut [f64]) {
    let Convolution { weight, bias, stride, padding, dilation, groups, .. } = convolution;
    let [size, kernel, stride, padding, dilation] =
        planar(&[&before[1..], &weight.shape[2..], stride, padding, dilation], [1, 1, 1, 0, 1]);
    let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
    let area = output.len() / outputs;
    let columns = (size[1] + 2 * padding[1] - dilation[1] * (kernel[1] - 1) - 1) / stride[1] + 1;
    for (to, output) in output.chunks_exact_mut(area).enumerate() {
        let first = to / (outputs / groups) * inputs;
        for (place, output) in output.iter_mut().enumerate() {
            let (row, column) = (place / columns * stride[0], place % columns * stride[1]);
            let mut sum = bias.values[to];
            for from in 0..inputs {
                for ky in 0..kernel[0] {
                    let Some(y) = (row + ky * dilation[0]).checked_sub(padding[0]).filter(|y| *y < size[0]) else {
                        continue;
                    };
                    for kx in 0..kernel[1] {
                        let x = (column + kx * dilation[1]).checked_sub(padding[1]).filter(|x| *x < size[1]);
                        if let Some(x) = x {
                            let weight = weight.values[((to * inputs + from) * kernel[0] + ky) * kernel[1] + kx];
                            sum += weight * input[((first + from) * size[0] + y) * size[1] + x];
                        }
                    }
                }
            }
            *output = sum;
        }
    }
}

fn fields(pool: &Pool, before: &[usize], input: &[f64], output: &mut [f64]) {
    let (channels, height, width) = (before[0], before[1], before[2]);
    let area = output.len() / channels;
    let columns = (width + 2 * pool.padding[1] - pool.kernel[1]) / pool.stride[1] + 1;
    let share = if pool.average { 1.0 / (pool.kernel[0] * pool.kernel[1]) as f64 } else { 1.0 };
    for (channel, output) in output.chunks_exact_mut(area).enumerate() {
        for (place, output) in output.iter_mut().enumerate() {
            let (row, column) = (place / columns * pool.stride[0], place % columns * pool.stride[1]);
            let mut sum = 0.0;
            for y in row..row + pool.kernel[0] {
                for x in column..column + pool.kernel[1] {
                    if let (Some(y), Some(x)) = (
                        y.checked_sub(pool.padding[0]).filter(|y| *y < height),
                        x.checked_sub(pool.padding[1]).filter(|x| *x < width),
                    ) {
                        sum += input[(channel * height + y) * width + x];
                    }
                }
            }
            *output = share * sum;
        }
    }
}
