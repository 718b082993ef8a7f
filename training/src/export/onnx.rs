//! The network as an ONNX graph: the same arithmetic as `spiccato::network`, in operators of ONNX.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::Tensor;
use spiccato::network::{NetworkConfig, Weights, load_weights};

use super::graph::{Attribute, Axis, FLOAT, Graph, Value};

/// The part of a network that a graph has. Features are (batch, frames, bands), qualities (batch) from 0 to 1, membrane
/// potentials and events (batch, frames, neurons).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Part {
    /// `features`, `quality` → `potential`, `events`, `rendered` (features).
    #[default]
    AutoEncoder,
    /// `features`, `quality` → `potential`, `events`.
    Encoder,
    /// `events`, `quality` → `rendered`.
    Decoder,
}

/// Slope of the sigmoid in the activation x·σ(1.702 x).
const GELU_SLOPE: f32 = 1.702;

/// Keeps the norm of a silent row off zero.
const EPSILON: f32 = 1e-5;

/// The ONNX file of a model.
pub(super) fn encode(model: &[u8], part: Part) -> Result<Vec<u8>> {
    let Weights { config, tensors: weights, .. } = load_weights(model)?;
    let mut network = Network { config: &config, weights: &weights, graph: Graph::default() };
    let axes = |length| [Axis::Free("batch"), Axis::Free("frames"), Axis::Fixed(length)];
    let quality = network.graph.input("quality", &[Axis::Free("batch")]);
    let knots = network.quality_features(&quality)?;
    let mut events = None;
    if part != Part::Decoder {
        let features = network.graph.input("features", &axes(config.bands));
        let potential = network.encoder(&features, &knots)?;
        network.graph.output(&potential, "potential", &axes(config.neurons));
        let zero = network.graph.number(0.0);
        let fires = network.graph.node("Greater", &[&potential, &zero], &[]);
        let fired = network.graph.node("Cast", &[&fires], &[Attribute::integer("to", FLOAT)]);
        network.graph.output(&fired, "events", &axes(config.neurons));
        events = Some(fired);
    }
    if part != Part::Encoder {
        let events = events.unwrap_or_else(|| network.graph.input("events", &axes(config.neurons)));
        let rendered = network.decoder(&events, &knots)?;
        network.graph.output(&rendered, "rendered", &axes(config.bands));
    }
    let remarks = [("spiccato.network", serde_json::to_string(&config)?)];
    Ok(network.graph.file("spiccato", &remarks))
}

/// A network being written.
struct Network<'a> {
    config: &'a NetworkConfig,
    weights: &'a BTreeMap<String, Tensor>,
    graph: Graph,
}

impl Network<'_> {
    fn values(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let tensor = self.weights.get(name).with_context(|| format!("weight {name} is missing"))?;
        Ok((tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1::<f32>()?))
    }

    /// A weight as a constant.
    fn weight(&mut self, name: &str) -> Result<Value> {
        let (shape, values) = self.values(name)?;
        Ok(self.graph.constant(name, &shape, &values))
    }

    fn binary(&mut self, operator: &str, a: &str, b: &str) -> Value {
        self.graph.node(operator, &[a, b], &[])
    }

    /// (batch) → (batch, knots): hat functions on equally spaced knots, max(0, 1 − |q·(knots − 1) − k|).
    fn quality_features(&mut self, quality: &str) -> Result<Value> {
        let knots = self.config.knots;
        let places: Vec<f32> = (0..knots).map(|k| k as f32).collect();
        let places = self.graph.constant("quality.knots", &[1, knots], &places);
        let (zero, one, last) = (self.graph.number(0.0), self.graph.number(1.0), self.graph.number((knots - 1) as f32));
        let clipped = self.graph.node("Clip", &[quality, &zero, &one], &[]);
        let position = self.binary("Mul", &clipped, &last);
        let axis = self.graph.integers(&[1]);
        let column = self.graph.node("Unsqueeze", &[&position, &axis], &[]);
        let difference = self.binary("Sub", &column, &places);
        let distance = self.graph.node("Abs", &[&difference], &[]);
        let near = self.binary("Sub", &one, &distance);
        Ok(self.graph.node("Relu", &[&near], &[]))
    }

    /// x·W + b.
    fn affine(&mut self, x: &str, name: &str) -> Result<Value> {
        let (weight, bias) = (self.weight(&format!("{name}.weight"))?, self.weight(&format!("{name}.bias"))?);
        let product = self.binary("MatMul", x, &weight);
        Ok(self.binary("Add", &product, &bias))
    }

    /// x·W + b + q·Q, for knots q of the quality.
    fn conditioned(&mut self, x: &str, knots: &str, name: &str) -> Result<Value> {
        let plain = self.affine(x, name)?;
        let quality = self.weight(&format!("{name}.quality"))?;
        let bias = self.binary("MatMul", knots, &quality);
        let axis = self.graph.integers(&[1]);
        let bias = self.graph.node("Unsqueeze", &[&bias, &axis], &[]);
        Ok(self.binary("Add", &plain, &bias))
    }

    fn rms_norm(&mut self, x: &str, gain: &str) -> Result<Value> {
        let gain = self.weight(gain)?;
        let square = self.binary("Mul", x, x);
        let attributes = [Attribute::integers("axes", &[-1]), Attribute::integer("keepdims", 1)];
        let mean = self.graph.node("ReduceMean", &[&square], &attributes);
        let epsilon = self.graph.number(EPSILON);
        let sum = self.binary("Add", &mean, &epsilon);
        let root = self.graph.node("Sqrt", &[&sum], &[]);
        let normalised = self.binary("Div", x, &root);
        Ok(self.binary("Mul", &normalised, &gain))
    }

    /// Every channel with its own kernel over time.
    fn temporal_convolution(&mut self, x: &str, name: &str, dilation: usize) -> Result<Value> {
        let (shape, values) = self.values(name)?;
        let [taps, width] = shape[..] else { anyhow::bail!("weight {name} has the shape {shape:?}") };
        // (taps, channels) → (channels, 1, taps)
        let kernel: Vec<f32> =
            (0..width).flat_map(|channel| values.iter().skip(channel).step_by(width).copied()).collect();
        let kernel = self.graph.constant(name, &[width, 1, taps], &kernel);
        let turn = [Attribute::integers("perm", &[0, 2, 1])];
        let channels_first = self.graph.node("Transpose", &[x], &turn);
        let reach = (taps / 2 * dilation) as i64;
        let attributes = [
            Attribute::integer("group", width as i64),
            Attribute::integers("dilations", &[dilation as i64]),
            Attribute::integers("pads", &[reach, reach]),
            Attribute::integers("kernel_shape", &[taps as i64]),
        ];
        let convolved = self.graph.node("Conv", &[&channels_first, &kernel], &attributes);
        Ok(self.graph.node("Transpose", &[&convolved], &turn))
    }

    fn gelu(&mut self, x: &str) -> Value {
        let slope = self.graph.number(GELU_SLOPE);
        let steep = self.binary("Mul", x, &slope);
        let gate = self.graph.node("Sigmoid", &[&steep], &[]);
        self.binary("Mul", x, &gate)
    }

    fn blocks(&mut self, x: Value, side: &str, dilations: &[usize]) -> Result<Value> {
        let mut h = x;
        for (i, &dilation) in dilations.iter().enumerate() {
            let block = format!("{side}.block{i}");
            let convolved = self.temporal_convolution(&h, &format!("{block}.time.weight"), dilation)?;
            let branch = self.rms_norm(&convolved, &format!("{block}.norm.gain"))?;
            let up = self.affine(&branch, &format!("{block}.up"))?;
            let active = self.gelu(&up);
            let down = self.affine(&active, &format!("{block}.down"))?;
            h = self.binary("Add", &h, &down);
        }
        Ok(h)
    }

    /// The statistics of the features: mean of each band, and one deviation.
    fn statistics(&mut self, side: &str) -> Result<(Value, Value)> {
        let [(bands, mean), (one, deviation)] = [self.values("features.mean")?, self.values("features.deviation")?];
        let mean = self.graph.constant(&format!("{side}.mean"), &bands, &mean);
        Ok((mean, self.graph.constant(&format!("{side}.deviation"), &one, &deviation)))
    }

    /// Membrane potentials of features.
    fn encoder(&mut self, features: &str, knots: &str) -> Result<Value> {
        let (mean, deviation) = self.statistics("encoder")?;
        let centred = self.binary("Sub", features, &mean);
        let normal = self.binary("Div", &centred, &deviation);
        let h = self.conditioned(&normal, knots, "encoder.input")?;
        let dilations = self.config.dilations.clone();
        let h = self.blocks(h, "encoder", &dilations)?;
        let h = self.rms_norm(&h, "encoder.norm.gain")?;
        self.conditioned(&h, knots, "encoder.potential")
    }

    /// Features of events.
    fn decoder(&mut self, events: &str, knots: &str) -> Result<Value> {
        let direct = self.conditioned(events, knots, "decoder.events")?;
        let driven = self.affine(events, "decoder.traces")?;
        let traces = self.leaky_scan(&driven)?;
        let h = self.binary("Add", &direct, &traces);
        let dilations: Vec<usize> = self.config.dilations.iter().rev().copied().collect();
        let h = self.blocks(h, "decoder", &dilations)?;
        let h = self.rms_norm(&h, "decoder.norm.gain")?;
        let y = self.affine(&h, "decoder.output")?;
        let (mean, deviation) = self.statistics("decoder")?;
        let scaled = self.binary("Mul", &y, &deviation);
        Ok(self.binary("Add", &scaled, &mean))
    }

    /// y[t] = a·y[t−1] + √(1 − a²)·u[t] from rest, as a `Scan` over time.
    fn leaky_scan(&mut self, input: &str) -> Result<Value> {
        let (shape, log_time_constants) = self.values("decoder.traces.log_time_constant")?;
        let decay: Vec<f32> = log_time_constants.iter().map(|l| (-(-l).exp()).exp()).collect();
        let gain: Vec<f32> = decay.iter().map(|a| (1.0 - a * a).sqrt()).collect();
        let decay = self.graph.constant("decoder.traces.decay", &shape, &decay);
        let gain = self.graph.constant("decoder.traces.gain", &shape, &gain);
        let driven = self.binary("Mul", input, &gain);

        let axes = [Axis::Free("batch"), Axis::Fixed(self.config.width)];
        let mut body = Graph::default();
        let before = body.input("trace_before", &axes);
        let drive = body.input("drive", &axes);
        let kept = body.node("Mul", &[&before, &decay], &[]);
        let trace = body.node("Add", &[&kept, &drive], &[]);
        body.output(&trace, "trace_after", &axes);
        body.output(&trace, "trace", &axes);

        let (first, zero) = (self.graph.integers(&[0]), self.graph.number(0.0));
        let frame = self.graph.node("Gather", &[&driven, &first], &[Attribute::integer("axis", 1)]);
        let axis = self.graph.integers(&[1]);
        let frame = self.graph.node("Squeeze", &[&frame, &axis], &[]);
        let rest = self.binary("Mul", &frame, &zero);
        let attributes = [
            Attribute::graph("body", &body.message("leaky_integrator")),
            Attribute::integer("num_scan_inputs", 1),
            Attribute::integers("scan_input_axes", &[1]),
            Attribute::integers("scan_output_axes", &[1]),
        ];
        Ok(self.graph.node_with_two("Scan", &[&rest, &driven], &attributes).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are compared by `scripts/check_onnx.sh`, which runs the graphs with onnxruntime.
    #[test]
    fn every_weight_of_the_part_is_in_the_graph_once() {
        let model = spiccato_model::DEFAULT;
        let weights = load_weights(model).unwrap().tensors;
        let count = |file: &[u8], name: &str| {
            // As the name of a tensor: field 8, a string of this length.
            let mut key = vec![0x42, name.len() as u8];
            key.extend(name.as_bytes());
            file.windows(key.len()).filter(|window| *window == key).count()
        };
        for (part, sides) in [
            (Part::AutoEncoder, &["encoder.", "decoder."][..]),
            (Part::Encoder, &["encoder."]),
            (Part::Decoder, &["decoder."]),
        ] {
            let file = encode(model, part).unwrap();
            for name in weights.keys().filter(|name| !name.starts_with("features.") && !name.ends_with("time_constant"))
            {
                let expected = usize::from(sides.iter().any(|side| name.starts_with(side)));
                assert_eq!(count(&file, name), expected, "{name} in {part:?}");
            }
        }
        assert!(encode(b"no model", Part::Encoder).is_err());
    }
}
