//! NIR graphs in HDF5 files: the group `node` with `type`, `edges` and `nodes`, each a group of its parameters, and
//! `version`.

use std::collections::BTreeMap;
use std::path::Path;

use hdf5_pure::{File, FileBuilder, Group, GroupBuilder, VlenStringReadOptions};

use super::Error;
use super::graph::{Array, Convolution, Firing, Graph, Neurons, Node, Pool, Synapse};

/// Version of NIR that graphs are written as.
const VERSION: &str = "1.0.8";
/// Most values of a parameter, and nodes or edges of a graph, that are read.
const MOST_VALUES: u64 = 1 << 28;
const MOST_NODES: usize = 100_000;

impl Graph {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is no such file, a node is of a kind that is not known here, or a parameter is missing or makes no sense.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let place = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| Error::file(&place, error))?;
        Self::from_bytes(bytes, &place)
    }

    /// Reads the bytes of a file; `place` is what errors call it.
    ///
    /// # Errors
    /// As [`Graph::read`].
    pub fn from_bytes(bytes: Vec<u8>, place: &str) -> Result<Self, Error> {
        let failed = |error: hdf5_pure::Error| Error::file(place, error);
        let file = File::from_bytes(bytes).map_err(failed)?;
        let root = file.group("node").map_err(failed)?;
        let top = Source { name: "node", group: &root };
        let kind = top.text("type")?;
        if kind != "NIRGraph" {
            return Err(Error::UnknownNode { node: "node".to_owned(), kind });
        }
        let group = root.group("nodes").map_err(failed)?;
        let names = group.groups().map_err(failed)?;
        if names.len() > MOST_NODES {
            return Err(Error::structure("node", format!("{} nodes", names.len())));
        }
        let mut nodes = BTreeMap::new();
        for name in names {
            let group = group.group(&name).map_err(failed)?;
            let node = Source { name: &name, group: &group }.node()?;
            nodes.insert(name, node);
        }
        let names = top.texts("edges")?;
        if names.len() % 2 != 0 {
            return Err(Error::parameter("node", "edges", "not pairs of names"));
        }
        let edges = names.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        Ok(Self { nodes, edges })
    }

    /// Writes a file; one of that name is replaced only when the new one is complete.
    ///
    /// # Errors
    /// If NIR has no such neurons, or the file can't be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let bytes = self.to_bytes()?;
        let beside = path.with_extension("nir.part");
        let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
        written.map_err(|error| Error::file(&path.display().to_string(), error))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// If NIR has no such neurons.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut file = FileBuilder::new();
        text(file.create_dataset("version"), VERSION);
        let mut top = file.create_group("node");
        text(top.create_dataset("type"), "NIRGraph");
        let names: Vec<&str> = self.edges.iter().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
        top.create_dataset("edges").with_vlen_strings(&names).with_shape(&[self.edges.len() as u64, 2]);
        let mut nodes = top.create_group("nodes");
        for (name, node) in &self.nodes {
            let mut group = nodes.create_group(name);
            write_node(&mut group, name, node)?;
            nodes.add_group(group.finish());
        }
        top.add_group(nodes.finish());
        file.add_group(top.finish());
        file.finish().map_err(|error| Error::file("the graph", error))
    }
}

fn text(dataset: &mut hdf5_pure::DatasetBuilder, value: &str) {
    dataset.with_vlen_strings(&[value]).with_shape(&[]);
}

fn write_node(group: &mut GroupBuilder, name: &str, node: &Node) -> Result<(), Error> {
    let kind = |kind: &str, group: &mut GroupBuilder| text(group.create_dataset("type"), kind);
    let array = |group: &mut GroupBuilder, key: &str, array: &Array| {
        let shape: Vec<u64> = array.shape.iter().map(|size| *size as u64).collect();
        group.create_dataset(key).with_f64_data(&array.values).with_shape(&shape);
    };
    let sizes = |group: &mut GroupBuilder, key: &str, sizes: &[usize]| {
        let sizes: Vec<i64> = sizes.iter().map(|size| *size as i64).collect();
        group.create_dataset(key).with_i64_data(&sizes);
    };
    // Convolutions over one dimension have plain numbers.
    let by_dimension = |group: &mut GroupBuilder, key: &str, values: &[usize]| match values {
        [value] => {
            group.create_dataset(key).with_i64_data(&[*value as i64]).with_shape(&[]);
        }
        _ => sizes(group, key, values),
    };
    match node {
        Node::Input(shape) => {
            kind("Input", group);
            sizes(group, "shape", shape);
        }
        Node::Output(shape) => {
            kind("Output", group);
            sizes(group, "shape", shape);
        }
        Node::Affine { weight, bias } => {
            kind(if bias.is_some() { "Affine" } else { "Linear" }, group);
            array(group, "weight", weight);
            if let Some(bias) = bias {
                array(group, "bias", bias);
            }
        }
        Node::Scale(scale) => {
            kind("Scale", group);
            array(group, "scale", scale);
        }
        Node::Convolution(convolution) => {
            kind(if convolution.stride.len() == 1 { "Conv1d" } else { "Conv2d" }, group);
            array(group, "weight", &convolution.weight);
            array(group, "bias", &convolution.bias);
            by_dimension(group, "stride", &convolution.stride);
            by_dimension(group, "padding", &convolution.padding);
            by_dimension(group, "dilation", &convolution.dilation);
            by_dimension(group, "groups", &[convolution.groups]);
            if let Some(input) = &convolution.input {
                by_dimension(group, "input_shape", input);
            }
        }
        Node::Pool(pool) => {
            kind(if pool.average { "AvgPool2d" } else { "SumPool2d" }, group);
            sizes(group, "kernel_size", &pool.kernel);
            sizes(group, "stride", &pool.stride);
            sizes(group, "padding", &pool.padding);
        }
        Node::Flatten { shape, start, end } => {
            kind("Flatten", group);
            sizes(group, "input_type", shape);
            group.create_dataset("start_dim").with_i64_data(&[*start]).with_shape(&[]);
            group.create_dataset("end_dim").with_i64_data(&[*end]).with_shape(&[]);
        }
        Node::Delay(delay) => {
            kind("Delay", group);
            array(group, "delay", delay);
        }
        Node::Neurons(neurons) => {
            let known = neurons.kind().ok_or_else(|| Error::structure(name, "NIR has no such neurons"))?;
            kind(known, group);
            for (key, values) in neurons.parameters() {
                array(group, key, values);
            }
        }
    }
    Ok(())
}

/// The group of a node.
struct Source<'a> {
    name: &'a str,
    group: &'a Group,
}

impl Source<'_> {
    fn error(&self, key: &str, reason: impl std::fmt::Display) -> Error {
        Error::parameter(self.name, key, reason.to_string())
    }

    fn has(&self, key: &str) -> bool {
        self.group.dataset(key).is_ok()
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, Error> {
        let dataset = self.group.dataset(key).map_err(|error| self.error(key, error))?;
        let limits = VlenStringReadOptions::new().with_max_elements(4 * MOST_NODES).with_max_payload_bytes(1 << 26);
        let texts = dataset.read_vlen_strings(limits).or_else(|_| {
            self.check_size(key, &dataset.shape().map_err(|error| self.error(key, error))?)?;
            dataset.read_string().map_err(|error| self.error(key, error))
        })?;
        Ok(texts)
    }

    fn text(&self, key: &str) -> Result<String, Error> {
        self.texts(key)?.pop().ok_or_else(|| self.error(key, "it is empty"))
    }

    fn check_size(&self, key: &str, shape: &[u64]) -> Result<(), Error> {
        let count = shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size));
        match count {
            Some(count) if count <= MOST_VALUES => Ok(()),
            _ => Err(self.error(key, format!("the shape {shape:?} is too large"))),
        }
    }

    fn array(&self, key: &str) -> Result<Array, Error> {
        let dataset = self.group.dataset(key).map_err(|error| self.error(key, error))?;
        let shape = dataset.shape().map_err(|error| self.error(key, error))?;
        self.check_size(key, &shape)?;
        let values = dataset.read_f64().map_err(|error| self.error(key, error))?;
        let shape: Vec<usize> = shape.iter().map(|size| *size as usize).collect();
        if values.len() != shape.iter().product::<usize>() {
            return Err(self.error(key, format!("{} values of the shape {shape:?}", values.len())));
        }
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(self.error(key, format!("it has the value {value}"))),
            None => Ok(Array { shape, values }),
        }
    }

    fn numbers(&self, key: &str) -> Result<Vec<i64>, Error> {
        let array = self.array(key)?;
        match array.values.iter().find(|value| value.fract() != 0.0 || value.abs() > 1e9) {
            Some(value) => Err(self.error(key, format!("{value} is not a whole number of a sensible size"))),
            None => Ok(array.values.iter().map(|value| *value as i64).collect()),
        }
    }

    fn sizes(&self, key: &str) -> Result<Vec<usize>, Error> {
        let size = |number: i64| usize::try_from(number).map_err(|_| self.error(key, format!("{number} is negative")));
        self.numbers(key)?.into_iter().map(size).collect()
    }

    /// One number for each of some dimensions, or one for all.
    fn by_dimension(&self, key: &str, dimensions: usize) -> Result<Vec<usize>, Error> {
        match &self.sizes(key)?[..] {
            [one] => Ok(vec![*one; dimensions]),
            many if many.len() == dimensions => Ok(many.to_vec()),
            other => Err(self.error(key, format!("{other:?} for {dimensions} dimensions"))),
        }
    }

    fn pair(&self, key: &str) -> Result<[usize; 2], Error> {
        let pair = self.by_dimension(key, 2)?;
        Ok([pair[0], pair[1]])
    }

    /// As [`Self::by_dimension`], or the words `same` and `valid`.
    fn padding(&self, kernel: &[usize], dilation: &[usize]) -> Result<Vec<usize>, Error> {
        if let Ok(word) = self.text("padding") {
            return match word.as_str() {
                "valid" => Ok(vec![0; kernel.len()]),
                "same" if kernel.iter().all(|size| size % 2 == 1) => {
                    Ok(kernel.iter().zip(dilation).map(|(size, dilation)| dilation * (size - 1) / 2).collect())
                }
                _ => Err(self.error("padding", format!("'{word}' for a kernel of {kernel:?}"))),
            };
        }
        self.by_dimension("padding", kernel.len())
    }

    fn node(&self) -> Result<Node, Error> {
        let kind = self.text("type")?;
        Ok(match kind.as_str() {
            "Input" => Node::Input(self.sizes("shape")?),
            "Output" => Node::Output(self.sizes("shape")?),
            "Affine" => Node::Affine { weight: self.array("weight")?, bias: Some(self.array("bias")?) },
            "Linear" => Node::Affine { weight: self.array("weight")?, bias: None },
            "Scale" => Node::Scale(self.array("scale")?),
            "Conv1d" | "Conv2d" => self.convolution(if kind == "Conv1d" { 1 } else { 2 })?,
            "SumPool2d" | "AvgPool2d" => Node::Pool(Pool {
                average: kind == "AvgPool2d",
                kernel: self.pair("kernel_size")?,
                stride: self.pair("stride")?,
                padding: self.pair("padding")?,
            }),
            "Flatten" => {
                let number = |key| self.numbers(key)?.first().copied().ok_or_else(|| self.error(key, "it is empty"));
                Node::Flatten { shape: self.sizes("input_type")?, start: number("start_dim")?, end: number("end_dim")? }
            }
            "Delay" => Node::Delay(self.array("delay")?),
            "I" | "IF" | "LI" | "LIF" | "CubaLI" | "CubaLIF" => self.neurons(&kind)?,
            _ => return Err(Error::UnknownNode { node: self.name.to_owned(), kind }),
        })
    }

    fn convolution(&self, dimensions: usize) -> Result<Node, Error> {
        let weight = self.array("weight")?;
        if weight.shape.len() != dimensions + 2 || weight.values.is_empty() {
            return Err(self.error("weight", format!("its shape is {:?}", weight.shape)));
        }
        let dilation = self.by_dimension("dilation", dimensions)?;
        let padding = self.padding(&weight.shape[2..], &dilation)?;
        let input = if self.has("input_shape") { Some(self.by_dimension("input_shape", dimensions)?) } else { None };
        Ok(Node::Convolution(Convolution {
            bias: self.array("bias")?,
            stride: self.by_dimension("stride", dimensions)?,
            groups: self.by_dimension("groups", 1)?[0],
            weight,
            padding,
            dilation,
            input,
        }))
    }

    fn neurons(&self, kind: &str) -> Result<Node, Error> {
        let r = self.array("r")?;
        let synaptic = kind.starts_with("Cuba");
        let leak = if kind.contains('L') {
            Some((self.array(if synaptic { "tau_mem" } else { "tau" })?, self.array("v_leak")?))
        } else {
            None
        };
        let synapse =
            if synaptic { Some(Synapse { tau: self.array("tau_syn")?, w_in: self.array("w_in")? }) } else { None };
        let firing = if kind.ends_with('F') {
            let threshold = self.array("v_threshold")?;
            // Older files have none: it is 0.
            let reset = if self.has("v_reset") { self.array("v_reset")? } else { Array::full(&threshold.shape, 0.0) };
            Some(Firing { threshold, reset })
        } else {
            None
        };
        let neurons = Neurons { leak, r, synapse, firing };
        for (key, array) in neurons.parameters() {
            if array.values.len() != neurons.r.values.len() {
                return Err(self.error(key, format!("{:?} for neurons {:?}", array.shape, neurons.r.shape)));
            }
            if key.starts_with("tau") && array.values.iter().any(|tau| *tau <= 0.0) {
                return Err(self.error(key, "a time constant is not positive"));
            }
        }
        Ok(Node::Neurons(neurons))
    }
}
