//! In what order nodes are computed, and which edges carry values of the step before.
//!
//! NIR is continuous in time, where a loop is no problem; in steps, a loop has to begin somewhere. Walked from the
//! inputs on, the edge that closes a loop leads back to a node that was there before. What goes along it is what the
//! last neurons or delay on the way there gave in the step before: as in the recurrent layers of snnTorch and Norse.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::graph::{Graph, Node};

/// Indices of nodes in the order of their names.
#[derive(Debug)]
pub(super) struct Order {
    /// Nodes, each after those that it gets values of this step from.
    pub(super) nodes: Vec<usize>,
    /// By node: where its input comes from, and whether that is of the step before.
    pub(super) sources: Vec<Vec<(usize, bool)>>,
}

/// Finds an order.
///
/// # Errors
/// If an edge names no node, or there is a loop without neurons.
pub(super) fn order(graph: &Graph) -> Result<Order, Error> {
    let names: Vec<&String> = graph.nodes.keys().collect();
    let nodes: Vec<&Node> = graph.nodes.values().collect();
    let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let find = |name: &str| {
        index.get(name).copied().ok_or_else(|| Error::structure(name, "an edge names it, but it isn't there"))
    };
    let (mut after, mut before) = (vec![Vec::new(); nodes.len()], vec![Vec::new(); nodes.len()]);
    for (from, to) in graph.edges.iter().collect::<BTreeSet<_>>() {
        let (from, to) = (find(from)?, find(to)?);
        after[from].push(to);
        before[to].push(from);
    }
    let keeps = |node: usize| matches!(nodes[node], Node::Neurons(_) | Node::Delay(_));
    // Depth first, inputs before all: a node is open as long as those after it are walked.
    let (mut seen, mut open) = (vec![false; nodes.len()], vec![false; nodes.len()]);
    let mut closing = Vec::new();
    let inputs = (0..nodes.len()).filter(|node| matches!(nodes[*node], Node::Input(_)));
    for start in inputs.chain(0..nodes.len()) {
        let mut stack = vec![(start, 0)];
        while let Some((node, next)) = stack.pop() {
            if next == 0 {
                if seen[node] {
                    continue;
                }
                (seen[node], open[node]) = (true, true);
            }
            let Some(&to) = after[node].get(next) else {
                open[node] = false;
                continue;
            };
            stack.push((node, next + 1));
            if open[to] {
                closing.push((node, to));
            } else if !seen[to] {
                stack.push((to, 0));
            }
        }
    }
    // From each edge that closes a loop back to the neurons before it.
    let (mut late, mut walked) = (BTreeSet::new(), BTreeSet::new());
    while let Some((from, to)) = closing.pop() {
        if !walked.insert((from, to)) {
            return Err(Error::structure(names[from], "it is in a loop without neurons"));
        }
        if keeps(from) {
            late.insert((from, to));
        } else if after[from].len() > 1 {
            return Err(Error::structure(
                names[from],
                "it closes a loop and has other targets, so the loop can't be put into steps",
            ));
        } else {
            closing.extend(before[from].iter().map(|source| (*source, from)));
        }
    }
    let sources: Vec<Vec<(usize, bool)>> = before
        .iter()
        .enumerate()
        .map(|(to, sources)| sources.iter().map(|from| (*from, late.contains(&(*from, to)))).collect())
        .collect();
    let mut missing: Vec<usize> = sources.iter().map(|from| from.iter().filter(|(_, late)| !late).count()).collect();
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|node| missing[*node] == 0).collect();
    let mut nodes_in_order = Vec::with_capacity(nodes.len());
    while let Some(node) = ready.pop() {
        nodes_in_order.push(node);
        for &to in after[node].iter().filter(|to| !late.contains(&(node, **to))) {
            missing[to] -= 1;
            if missing[to] == 0 {
                ready.push(to);
            }
        }
    }
    match (0..nodes.len()).find(|node| missing[*node] > 0) {
        Some(node) => Err(Error::structure(names[node], "it is in a loop without neurons")),
        None => Ok(Order { nodes: nodes_in_order, sources }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nir::{Array, Neurons};

    fn graph(neurons: &[&str], plain: &[&str], edges: &[(&str, &str)]) -> Graph {
        let cell = Neurons { leak: None, r: Array::full(&[1], 1.0), synapse: None, firing: None };
        let mut graph = Graph::default();
        graph.nodes.insert("in".to_owned(), Node::Input(vec![1]));
        graph.nodes.extend(neurons.iter().map(|name| ((*name).to_owned(), Node::Neurons(cell.clone()))));
        let scale = || Node::Scale(Array::full(&[1], 1.0));
        graph.nodes.extend(plain.iter().map(|name| ((*name).to_owned(), scale())));
        graph.edges = edges.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        graph
    }

    /// Edges that are a step late, by name.
    fn late(graph: &Graph) -> Result<Vec<(String, String)>, Error> {
        let names: Vec<&String> = graph.nodes.keys().collect();
        let order = order(graph)?;
        let mut place = vec![0; names.len()];
        order.nodes.iter().enumerate().for_each(|(i, node)| place[*node] = i);
        let mut edges = Vec::new();
        for (to, sources) in order.sources.iter().enumerate() {
            for &(from, late) in sources {
                assert!(late || place[from] < place[to]);
                if late {
                    edges.push((names[from].clone(), names[to].clone()));
                }
            }
        }
        Ok(edges)
    }

    #[test]
    fn loops_begin_behind_the_neurons_before_the_edge_that_closes_them() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let within = graph(&["a"], &["w"], &[("in", "a"), ("a", "w"), ("w", "a")]);
        assert_eq!(late(&within).unwrap(), [pair("a", "w")]);
        let itself = graph(&["a"], &[], &[("in", "a"), ("a", "a")]);
        assert_eq!(late(&itself).unwrap(), [pair("a", "a")]);
        let back = graph(&["a", "b"], &["v", "w"], &[("in", "a"), ("a", "v"), ("v", "b"), ("b", "w"), ("w", "a")]);
        assert_eq!(late(&back).unwrap(), [pair("b", "w")]);
    }

    #[test]
    fn loops_without_neurons_and_edges_to_nowhere_are_errors() {
        for edges in [
            &[("in", "v"), ("v", "w"), ("w", "x"), ("x", "v")][..],
            &[("in", "v"), ("v", "w"), ("w", "v"), ("w", "x")],
            &[("in", "lost")],
        ] {
            assert!(matches!(late(&graph(&[], &["v", "w", "x"], edges)), Err(Error::Structure { .. })), "{edges:?}");
        }
    }
}
