//! A graph of ONNX being written, node by node. Field numbers are those of `onnx.proto3` (IR version 8).

use crate::protobuf::Message;

/// Version of the operators.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// Types of tensor elements and of attributes.
pub(super) const FLOAT: i64 = 1;
pub(super) const INT64: i64 = 7;
const ATTRIBUTE_INTEGER: i64 = 2;
const ATTRIBUTE_GRAPH: i64 = 5;
const ATTRIBUTE_INTEGERS: i64 = 7;

/// The name of a value in a graph.
pub(super) type Value = String;

/// An attribute of a node.
#[derive(Debug, Clone)]
pub(super) struct Attribute(Message);

impl Attribute {
    pub(super) fn integer(name: &str, value: i64) -> Self {
        Self(Message::new().bytes(1, name).integer(3, value).integer(20, ATTRIBUTE_INTEGER))
    }

    pub(super) fn integers(name: &str, values: &[i64]) -> Self {
        let message = Message::new().bytes(1, name).each(values, |message, &value| message.integer(8, value));
        Self(message.integer(20, ATTRIBUTE_INTEGERS))
    }

    pub(super) fn graph(name: &str, graph: &Message) -> Self {
        Self(Message::new().bytes(1, name).message(6, graph).integer(20, ATTRIBUTE_GRAPH))
    }
}

/// Length of an axis: fixed, or named where it may vary.
#[derive(Debug, Clone, Copy)]
pub(super) enum Axis {
    Fixed(usize),
    Free(&'static str),
}

/// Nodes and constants.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
    values: usize,
}

impl Graph {
    /// Declares an input of single-precision numbers.
    pub(super) fn input(&mut self, name: &str, axes: &[Axis]) -> Value {
        self.inputs.push(value_info(name, axes));
        name.to_owned()
    }

    /// Declares that a value is an output, under a name.
    pub(super) fn output(&mut self, value: &str, name: &str, axes: &[Axis]) {
        self.nodes.push(node("Identity", &[value], name, &[]));
        self.outputs.push(value_info(name, axes));
    }

    /// A constant of single-precision numbers.
    pub(super) fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constants.push(tensor(name, shape, FLOAT, &bytes));
        name.to_owned()
    }

    /// A constant number.
    pub(super) fn number(&mut self, value: f32) -> Value {
        let name = self.fresh("number");
        self.constant(&name, &[], &[value])
    }

    /// A constant list of integers.
    pub(super) fn integers(&mut self, values: &[i64]) -> Value {
        let name = self.fresh("integers");
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constants.push(tensor(&name, &[values.len()], INT64, &bytes));
        name
    }

    /// The first output of a node.
    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute]) -> Value {
        let name = self.fresh(operator);
        self.nodes.push(node(operator, inputs, &name, attributes));
        name
    }

    /// A node with two outputs.
    pub(super) fn node_with_two(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[Attribute],
    ) -> (Value, Value) {
        let (first, second) = (self.fresh(operator), self.fresh(operator));
        let outputs = [first.as_str(), second.as_str()];
        self.nodes.push(node_with(operator, inputs, &outputs, attributes));
        (first, second)
    }

    fn fresh(&mut self, stem: &str) -> Value {
        self.values += 1;
        format!("{stem}_{}", self.values)
    }

    /// The message `GraphProto`.
    pub(super) fn message(&self, name: &str) -> Message {
        Message::new()
            .each(&self.nodes, |message, node| message.message(1, node))
            .bytes(2, name)
            .each(&self.constants, |message, tensor| message.message(5, tensor))
            .each(&self.inputs, |message, input| message.message(11, input))
            .each(&self.outputs, |message, output| message.message(12, output))
    }

    /// The whole file, `ModelProto`, with remarks by key.
    pub(super) fn file(&self, name: &str, remarks: &[(&str, String)]) -> Vec<u8> {
        Message::new()
            .integer(1, IR_VERSION)
            .bytes(2, "spiccato")
            .bytes(3, env!("CARGO_PKG_VERSION"))
            .message(7, &self.message(name))
            .message(8, &Message::new().bytes(1, "").integer(2, OPSET))
            .each(remarks, |message, (key, text)| message.message(14, &Message::new().bytes(1, key).bytes(2, text)))
            .into_bytes()
    }
}

fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Attribute]) -> Message {
    node_with(operator, inputs, &[output], attributes)
}

fn node_with(operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Attribute]) -> Message {
    Message::new()
        .each(inputs, |message, input| message.bytes(1, input))
        .each(outputs, |message, output| message.bytes(2, output))
        .bytes(4, operator)
        .each(attributes, |message, attribute| message.message(5, &attribute.0))
}

fn tensor(name: &str, shape: &[usize], kind: i64, bytes: &[u8]) -> Message {
    let dims = Message::new().each(shape, |message, &length| message.integer(1, length as i64));
    dims.integer(2, kind).bytes(8, name).bytes(9, bytes)
}

fn value_info(name: &str, axes: &[Axis]) -> Message {
    let shape = Message::new().each(axes, |message, axis| {
        let axis = match axis {
            Axis::Fixed(length) => Message::new().integer(1, *length as i64),
            Axis::Free(name) => Message::new().bytes(2, name),
        };
        message.message(1, &axis)
    });
    let kind = Message::new().integer(1, FLOAT).message(2, &shape);
    Message::new().bytes(1, name).message(2, &Message::new().message(1, &kind))
}
