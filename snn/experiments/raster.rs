//! Charts of who fires when: populations of neurons one above the other.

use spiccato_plots::{Axis, Chart, SIZE, Series, Style};

/// Spikes of some neurons.
pub(crate) struct Population {
    name: String,
    neurons: usize,
    /// Time and neuron, from 0 on.
    spikes: Vec<(f64, usize)>,
}

impl Population {
    /// Spikes given by their times and neurons.
    pub(crate) fn new(name: impl Into<String>, neurons: usize, spikes: impl IntoIterator<Item = (f64, usize)>) -> Self {
        Self { name: name.into(), neurons, spikes: spikes.into_iter().collect() }
    }

    /// Spikes given by those that fire in each step.
    pub(crate) fn by_step(name: impl Into<String>, neurons: usize, steps: &[Vec<usize>]) -> Self {
        let spikes = steps.iter().enumerate().flat_map(|(step, fired)| fired.iter().map(move |&n| (step as f64, n)));
        Self::new(name, neurons, spikes)
    }

    /// Spikes given by values (steps, neurons) that are above 0 where a neuron fires.
    pub(crate) fn of_values(name: impl Into<String>, steps: &[Vec<f32>]) -> Self {
        let fired = |row: &Vec<f32>| row.iter().enumerate().filter(|(_, z)| **z > 0.0).map(|(n, _)| n).collect();
        Self::by_step(name, steps.first().map_or(0, Vec::len), &steps.iter().map(fired).collect::<Vec<_>>())
    }
}

/// A dot for every spike, the first population undermost; `time` is the label of the axis of time.
pub(crate) fn raster(title: impl Into<String>, time: &str, populations: Vec<Population>) -> Chart {
    let mut offset = 0;
    let mut series = Vec::with_capacity(populations.len());
    for Population { name, neurons, spikes } in populations {
        let points = spikes.into_iter().map(|(time, neuron)| (time, (offset + neuron) as f64)).collect();
        series.push(Series { style: Style::Dots(1.5), ..Series::new(name, points) });
        offset += neurons;
    }
    Chart {
        title: title.into(),
        x: Axis::linear(time),
        y: Axis::linear("neuron"),
        series,
        marks: Vec::new(),
        size: SIZE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn populations_lie_one_above_the_other() {
        let below = Population::by_step("below", 3, &[vec![0, 2], Vec::new(), vec![1]]);
        let above = Population::of_values("above", &[vec![0.0, 0.0], vec![0.0, 1.0]]);
        let chart = raster("two", "step", vec![below, above]);
        assert_eq!(chart.series[0].points, [(0.0, 0.0), (0.0, 2.0), (2.0, 1.0)]);
        assert_eq!(chart.series[1].points, [(1.0, 4.0)]);
    }
}
