//! Figures about an event matrix: how many events there are, and how few bits a memoryless coder would need.

use super::EventMatrix;

/// Figures about an [`EventMatrix`].
#[derive(Clone, Debug, PartialEq)]
pub struct EventStatistics {
    /// Number of frames.
    pub frames: u32,
    /// Number of neurons.
    pub neurons: u16,
    /// Number of events.
    pub events: u32,
    /// Events per cell, 0 to 1.
    pub density: f64,
    /// Frames without an event.
    pub silent_frames: u32,
    /// Events of the fullest frame.
    pub fullest_frame: u32,
    /// Neurons without an event.
    pub silent_neurons: u16,
    /// Events of the busiest neuron.
    pub busiest_neuron: u32,
    /// Duration in seconds.
    pub seconds: f64,
    /// Events per second of audio.
    pub events_per_second: f64,
    /// Entropy in bits of all cells under one static probability per neuron, that neuron's share of frames with an
    /// event: what an ideal coder without any memory would need, its tables not counted.
    pub entropy_bits: f64,
}

impl EventMatrix {
    /// Figures about the matrix, given its frames per second.
    pub fn statistics(&self, frame_rate: f64) -> EventStatistics {
        let frames = f64::from(self.frames());
        let events = f64::from(self.events());
        let seconds = frames / frame_rate;
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        let columns = self.columns();
        EventStatistics {
            frames: self.frames(),
            neurons: self.neurons(),
            events: self.events(),
            density: ratio(events, frames * f64::from(self.neurons())),
            silent_frames: self.rows().filter(|row| row.is_empty()).count() as u32,
            fullest_frame: self.rows().map(|row| row.len() as u32).max().unwrap_or(0),
            silent_neurons: columns.iter().filter(|column| column.is_empty()).count() as u16,
            busiest_neuron: columns.iter().map(|column| column.len() as u32).max().unwrap_or(0),
            seconds,
            events_per_second: ratio(events, seconds),
            entropy_bits: columns.iter().map(|column| entropy_bits(column.len() as f64, frames)).sum(),
        }
    }
}

/// Bits to say which `events` of `cells` cells are set, at their mean rate.
fn entropy_bits(events: f64, cells: f64) -> f64 {
    let bits = |count: f64| if count > 0.0 { count * (cells / count).log2() } else { 0.0 };
    bits(events) + bits(cells - events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_matrix_with_known_entropy() {
        // neuron 0 fires in every frame (0 bits), 1 in every second (1 bit a frame), 2 in none, 3 in one of four
        let cells = [[1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]].concat();
        let events = EventMatrix::from_dense(4, &cells, |&cell| cell == 1).unwrap();
        let figures = events.statistics(2.0);
        assert_eq!((figures.frames, figures.neurons, figures.events), (4, 4, 7));
        assert_eq!((figures.silent_frames, figures.fullest_frame), (0, 3));
        assert_eq!((figures.silent_neurons, figures.busiest_neuron), (1, 4));
        assert_eq!((figures.seconds, figures.events_per_second), (2.0, 3.5));
        assert!((figures.density - 7.0 / 16.0).abs() < 1e-12);
        let quarter = 4.0 * (0.25 * 2.0 + 0.75 * (4.0f64 / 3.0).log2());
        assert!((figures.entropy_bits - (4.0 + quarter)).abs() < 1e-12);
    }

    #[test]
    fn an_empty_matrix_has_no_figures_but_zeros() {
        let figures = EventMatrix::new(5).unwrap().statistics(62.5);
        assert_eq!((figures.density, figures.events_per_second, figures.entropy_bits), (0.0, 0.0, 0.0));
    }
}
