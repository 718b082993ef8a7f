//! Fewer channels from many: the downward mixing equations of Recommendation ITU-R BS.775, Table 2.
//!
//! Stereo from front (L, R, C) and surround (Ls, Rs) channels: L' = L + 0.7071 C + 0.7071 Ls, R' likewise; the
//! low-frequency effects channel is left out, as the recommendation advises. A single rear channel goes to both sides
//! at half amplitude (0.7071², its own split to Ls and Rs). The sum is then scaled so that no combination of full-scale
//! channels exceeds full scale. Layouts that the recommendation doesn't know become mono, the mean of all channels.

use symphonia::core::audio::{Channels, Position};

/// What to do with more than two channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surround {
    /// An error that names the way out.
    Refuse,
    /// Mix to stereo where the loudspeaker layout is known, else to mono.
    Downmix,
}

/// Gains from each channel of a file to the outputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mixer {
    /// One row per output channel, one gain per input channel.
    rows: Vec<Vec<f32>>,
}

const CENTRE: f64 = std::f64::consts::FRAC_1_SQRT_2;

impl Mixer {
    pub(super) fn new(layout: &Channels) -> Self {
        Self { rows: stereo_rows(layout).unwrap_or_else(|| mean_row(layout.count())) }
    }

    pub(super) fn outputs(&self) -> usize {
        self.rows.len()
    }

    /// Mixes interleaved frames of `input` into interleaved frames of `output`, replacing what it held.
    pub(super) fn mix(&self, input: &[f32], output: &mut Vec<f32>) {
        output.clear();
        for frame in input.chunks_exact(self.rows[0].len()) {
            output.extend(self.rows.iter().map(|row| row.iter().zip(frame).map(|(gain, x)| gain * x).sum::<f32>()));
        }
    }
}

fn mean_row(channels: usize) -> Vec<Vec<f32>> {
    vec![vec![1.0 / channels as f32; channels]]
}

/// The two rows for a layout of the recommendation, or nothing.
fn stereo_rows(layout: &Channels) -> Option<Vec<Vec<f32>>> {
    let Channels::Positioned(positions) = layout else { return None };
    // A plain WAV file says only how many channels it has; four of them are more often a quartet of microphones than
    // front and low-frequency loudspeakers, and must not lose one.
    let unspoken = Position::FRONT_LEFT | Position::FRONT_RIGHT | Position::FRONT_CENTER | Position::LFE1;
    if !positions.contains(Position::FRONT_LEFT | Position::FRONT_RIGHT) || *positions == unspoken {
        return None;
    }
    // Channels of a positioned layout come in the order of their bits.
    let gains: Option<Vec<(f64, f64)>> = positions
        .iter()
        .map(|position| match position {
            Position::FRONT_LEFT => Some((1.0, 0.0)),
            Position::FRONT_RIGHT => Some((0.0, 1.0)),
            Position::FRONT_CENTER => Some((CENTRE, CENTRE)),
            Position::LFE1 => Some((0.0, 0.0)),
            Position::REAR_LEFT | Position::SIDE_LEFT => Some((CENTRE, 0.0)),
            Position::REAR_RIGHT | Position::SIDE_RIGHT => Some((0.0, CENTRE)),
            Position::REAR_CENTER => Some((0.5, 0.5)),
            _ => None,
        })
        .collect();
    let gains = gains?;
    let peak = gains.iter().map(|gain| gain.0).sum::<f64>().max(gains.iter().map(|gain| gain.1).sum());
    let row = |side: fn(&(f64, f64)) -> f64| gains.iter().map(|gain| (side(gain) / peak) as f32).collect();
    Some(vec![row(|gain| gain.0), row(|gain| gain.1)])
}

#[cfg(test)]
mod tests {
    use symphonia::core::audio::layouts;

    use super::*;

    fn mixed(layout: &Channels, frame: &[f32]) -> Vec<f32> {
        let mut output = Vec::new();
        Mixer::new(layout).mix(frame, &mut output);
        output
    }

    fn assert_close(got: &[f32], expected: &[f32]) {
        assert_eq!(got.len(), expected.len());
        for (a, b) in got.iter().zip(expected) {
            assert!((a - b).abs() < 1e-4, "{got:?} is not {expected:?}");
        }
    }

    #[test]
    fn five_point_one_follows_the_table() {
        // Order of WAV: L R C LFE Ls Rs. Scale: 1 + 0.7071 + 0.7071 = 2.4142.
        let layout = layouts::CHANNEL_LAYOUT_5P1;
        assert_close(&mixed(&layout, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), &[0.4142, 0.0]);
        assert_close(&mixed(&layout, &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]), &[0.2929, 0.2929]);
        assert_close(&mixed(&layout, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]), &[0.0, 0.0]);
        assert_close(&mixed(&layout, &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), &[0.0, 0.2929]);
        assert_close(&mixed(&layout, &[1.0; 6]), &[1.0, 1.0]);
    }

    #[test]
    fn quadraphony_keeps_its_sides_and_a_rear_centre_splits() {
        assert_close(&mixed(&layouts::CHANNEL_LAYOUT_4P0_QUAD, &[0.0, 0.0, 1.0, 0.0]), &[0.4142, 0.0]);
        // L R C S: scale 1 + 0.7071 + 0.5 = 2.2071
        assert_close(&mixed(&layouts::CHANNEL_LAYOUT_4P0, &[0.0, 0.0, 0.0, 1.0]), &[0.2265, 0.2265]);
    }

    #[test]
    fn unknown_layouts_become_the_mean() {
        assert_close(&mixed(&Channels::Discrete(3), &[0.3, 0.6, -0.3]), &[0.2]);
        assert_close(&mixed(&layouts::CHANNEL_LAYOUT_3P1, &[0.0, 0.0, 0.0, 1.0]), &[0.25]);
        assert_close(&mixed(&Channels::Ambisonic(1), &[1.0, 1.0, 0.0, 0.0]), &[0.5]);
    }
}
