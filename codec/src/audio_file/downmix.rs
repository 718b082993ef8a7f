//! Fewer channels from many: the downward mixing equations of Recommendation ITU-R BS.775, Table 2.
//!
//! Stereo from front (L, R, C) and surround (Ls, Rs) channels: L' = L + 0.7071 C + 0.7071 Ls, R' likewise; the
//! low-frequency effects channel is left out, as the recommendation advises. A single rear channel goes to both sides
//! at half amplitude (0.7071², its own split to Ls and Rs). The sum is then scaled so that no combination of full-scale
//! channels exceeds full scale. In layouts that nothing is known of, every channel goes to both sides alike.
//!
//! Files that say only how many channels they have are taken to have the usual ones ([`usual_layout`]).

use symphonia::core::audio::{Channels, Position};

/// What to do with more than two channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surround {
    /// An error that names the way out.
    Refuse,
    /// Mix to stereo.
    Downmix,
}

/// Gains from each channel of a file to the outputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mixer {
    /// One row per output channel, one gain per input channel.
    rows: Vec<Vec<f32>>,
}

const CENTRE: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// Cosine and sine of π/8.
const NEAR_CENTRE: (f64, f64) = (0.923_879_532_511_286_7, 0.382_683_432_365_089_8);

impl Mixer {
    pub(super) fn new(layout: &Channels) -> Self {
        Self { rows: stereo_rows(layout).unwrap_or_else(|| vec![mean_row(layout.count()); 2]) }
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

fn mean_row(channels: usize) -> Vec<f32> {
    vec![1.0 / channels as f32; channels]
}

/// The layout that so many channels usually have, where a file says no more than their number. Four are more often a
/// quartet of microphones than front and low-frequency loudspeakers, and must not lose one.
pub(super) fn usual_layout(channels: &Channels) -> Channels {
    use Position as P;
    let front = P::FRONT_LEFT | P::FRONT_RIGHT;
    let positions = match channels.count() {
        3 => front | P::FRONT_CENTER,
        4 => front | P::REAR_LEFT | P::REAR_RIGHT,
        5 => front | P::FRONT_CENTER | P::REAR_LEFT | P::REAR_RIGHT,
        6 => front | P::FRONT_CENTER | P::LFE1 | P::REAR_LEFT | P::REAR_RIGHT,
        7 => front | P::FRONT_CENTER | P::LFE1 | P::REAR_CENTER | P::SIDE_LEFT | P::SIDE_RIGHT,
        8 => front | P::FRONT_CENTER | P::LFE1 | P::REAR_LEFT | P::REAR_RIGHT | P::SIDE_LEFT | P::SIDE_RIGHT,
        count if count > 8 => return Channels::Discrete(count as u16),
        _ => return channels.clone(),
    };
    Channels::Positioned(positions)
}

/// The two rows for a layout of the recommendation, or nothing.
fn stereo_rows(layout: &Channels) -> Option<Vec<Vec<f32>>> {
    let Channels::Positioned(positions) = layout else { return None };
    // Without names, readers number the channels through: their bits are the first ones.
    let count = layout.count();
    let numbered = matches!(count, 4 | 5 | 7 | 8) && Some(*positions) == Position::from_count(count as u32);
    let usual = usual_layout(layout);
    let Channels::Positioned(positions) = (if numbered { &usual } else { layout }) else { return None };
    if !positions.contains(Position::FRONT_LEFT | Position::FRONT_RIGHT) {
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
            // A sixteenth of the circle from the centre, by the law of equal power.
            Position::FRONT_LEFT_CENTER => Some(NEAR_CENTRE),
            Position::FRONT_RIGHT_CENTER => Some((NEAR_CENTRE.1, NEAR_CENTRE.0)),
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
    fn unnamed_channels_are_the_usual_ones() {
        // Left, right and those behind: quadraphony, though the bits are those of front and low-frequency loudspeakers.
        assert_close(&mixed(&layouts::CHANNEL_LAYOUT_3P1, &[0.0, 0.0, 0.0, 1.0]), &[0.0, 0.4142]);
        let eight = Channels::Positioned(Position::from_count(8).unwrap());
        // L R C LFE Ls Rs, sides: 1 + 3 · 0.7071 = 3.1213
        assert_close(&mixed(&eight, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]), &[0.2265, 0.0]);
        assert_close(&mixed(&eight, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]), &[0.0, 0.0]);
    }

    #[test]
    fn any_layout_becomes_stereo() {
        assert_close(&mixed(&Channels::Discrete(3), &[0.3, 0.6, -0.3]), &[0.2, 0.2]);
        assert_close(&mixed(&Channels::Ambisonic(1), &[1.0, 1.0, 0.0, 0.0]), &[0.5, 0.5]);
        for channels in 3..=64u16 {
            let unnamed = usual_layout(&Channels::Discrete(channels));
            assert_eq!((unnamed.count(), Mixer::new(&unnamed).outputs()), (channels.into(), 2));
        }
    }
}
