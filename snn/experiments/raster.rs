//! Charts of spikes: a dot for each.

use spiccato_plots::{Axis, Chart, SIZE, Series, Style};

/// Spikes (steps, neurons), anything but 0, of which a step lasts so many units of the time axis.
pub(super) fn raster(title: impl Into<String>, time: &str, step: f64, spikes: &[Vec<f32>]) -> Chart {
    let dots = spikes.iter().enumerate().flat_map(|(t, row)| {
        row.iter().enumerate().filter(|(_, z)| **z != 0.0).map(move |(neuron, _)| (step * t as f64, neuron as f64))
    });
    Chart {
        title: title.into(),
        x: Axis::linear(time),
        y: Axis::linear("neuron"),
        series: vec![Series { name: String::new(), points: dots.collect(), style: Style::Dots(1.0) }],
        marks: Vec::new(),
        size: (SIZE.0, SIZE.1 / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spike_is_a_dot_at_its_time() {
        let chart = raster("", "time, ms", 16.0, &[vec![0.0, 0.0], vec![0.0, 1.0], vec![0.3, 0.0]]);
        assert_eq!(chart.series[0].points, [(16.0, 1.0), (32.0, 0.0)]);
    }
}
