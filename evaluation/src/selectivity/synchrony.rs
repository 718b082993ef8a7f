//! How events are timed to the strikes: cross-correlograms (Perkel, Gerstein & Moore 1967) of each neuron's events, and
//! of all events together, with the onsets of any keys, against controls in which the events are shifted circularly in
//! time.

use std::sync::Arc;

use anyhow::Result;
use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use sprs::CsMatI;

use super::controls::{Baseline, CONTROLS, LEVEL, chance, shifts};
use super::piece::{FRAME_RATE, Piece, neurons_of};
use super::tuning::threshold;

/// Largest lag in frames, either way: half a second.
const REACH: usize = 32;

/// Frames that a control moves the events by, at least: two seconds.
const LEAST_SHIFT: usize = 125;

/// Events around onsets.
#[derive(Debug, Clone)]
pub struct Correlogram {
    /// Events at each lag, from −[`Correlogram::REACH`] to [`Correlogram::REACH`] frames after an onset, over all
    /// onsets.
    pub counts: Vec<f64>,
    /// Mean of the controls at any lag.
    pub control: f64,
    /// The largest count of a control exceeds this with a chance of [`LEVEL`], for this neuron alone.
    pub control_peak: f64,
    /// Standard score of the peak.
    pub score: f64,
    /// Chance that any neuron of a control has that score; for all events together, that they have it.
    pub p: f64,
}

impl Correlogram {
    /// Largest lag in frames.
    pub const REACH: usize = REACH;

    /// Lags in milliseconds.
    pub fn lags(&self) -> impl Iterator<Item = f64> {
        (0..self.counts.len()).map(|i| (i as f64 - REACH as f64) * 1000.0 / FRAME_RATE)
    }

    /// Lag in milliseconds and height of the peak relative to the mean of the controls; a height of 0 if there are no
    /// events.
    pub fn peak(&self) -> (f64, f64) {
        let highest = |best: (f64, f64), (lag, &count): (f64, &f64)| if count > best.1 { (lag, count) } else { best };
        let (lag, count) = self.lags().zip(&self.counts).fold((0.0, 0.0), highest);
        (lag, if self.control > 0.0 { count / self.control } else { 0.0 })
    }

    /// Whether the peak is more than chance.
    pub fn is_synchronous(&self) -> bool {
        self.p <= LEVEL
    }
}

/// Cross-correlograms of a model's events.
#[derive(Debug, Clone)]
pub struct Synchrony {
    /// Of all events together.
    pub all: Correlogram,
    /// Of each neuron.
    pub neurons: Vec<Correlogram>,
}

impl Synchrony {
    /// Neurons whose events are timed to onsets.
    pub fn synchronous(&self) -> usize {
        self.neurons.iter().filter(|neuron| neuron.is_synchronous()).count()
    }
}

/// Cross-correlograms of the events in `pieces` taken together.
///
/// # Errors
/// If there is no piece or their numbers of neurons differ.
pub fn synchrony(pieces: &[Piece]) -> Result<Synchrony> {
    let neurons = neurons_of(pieces)?;
    let onsets: Vec<Onsets> = pieces.iter().map(Onsets::new).collect();
    let lengths: Vec<usize> = onsets.iter().map(|piece| piece.length).collect();
    let shifts: Vec<Vec<usize>> = (0..CONTROLS).map(|i| shifts(i, &lengths, LEAST_SHIFT)).collect();
    // By column: the frames of one neuron's events lie together.
    let columns = pieces.iter().map(|piece| Ok(piece.events().to_sprs()?.to_csc())).collect::<Result<Vec<_>>>()?;
    let train_of = |neuron: usize, columns: &CsMatI<u8, u32>| {
        let mut train = vec![0.0; columns.rows()];
        let frames = columns.outer_view(neuron).map(|column| column.indices().to_vec()).unwrap_or_default();
        frames.into_iter().for_each(|frame| train[frame as usize] = 1.0);
        train
    };
    let of_neuron = |neuron| -> Vec<Vec<f64>> {
        columns.iter().zip(&onsets).map(|(columns, onsets)| onsets.correlate(train_of(neuron, columns))).collect()
    };
    let of_all: Vec<Vec<f64>> = pieces
        .iter()
        .zip(&onsets)
        .map(|(piece, onsets)| onsets.correlate(piece.events().rows().map(|row| row.len() as f64).collect()))
        .collect();
    let measured: Vec<Measured> =
        (0..neurons).into_par_iter().map(|neuron| Measured::new(&of_neuron(neuron), &shifts)).collect();
    let largest: Vec<f64> = (0..CONTROLS)
        .map(|i| measured.iter().map(|neuron| neuron.control_scores[i]).fold(f64::NEG_INFINITY, f64::max))
        .collect();
    let all = Measured::new(&of_all, &shifts);
    let own = all.control_scores.clone();
    Ok(Synchrony {
        all: all.against(&own),
        neurons: measured.into_iter().map(|neuron| neuron.against(&largest)).collect(),
    })
}

/// The onsets of a piece, ready to be correlated with.
struct Onsets {
    length: usize,
    spectrum: Vec<Complex<f64>>,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

impl Onsets {
    fn new(piece: &Piece) -> Self {
        let length = piece.events().frames() as usize;
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
        let mut onsets = vec![0.0; length];
        piece.strikes().iter().for_each(|&(frame, _)| onsets[frame as usize] = 1.0); // a chord is one onset
        let spectrum = transform(&*forward, onsets);
        Self { length, spectrum, forward, inverse }
    }

    /// Circular cross-correlation: at lag ℓ, Σ over the onsets of the train ℓ frames later. One transform gives it for
    /// all lags, thus for all controls.
    fn correlate(&self, train: Vec<f64>) -> Vec<f64> {
        let mut product = transform(&*self.forward, train);
        product.iter_mut().zip(&self.spectrum).for_each(|(x, onsets)| *x *= onsets.conj());
        product[0].im = 0.0;
        if let Some(last) = product.last_mut().filter(|_| self.length.is_multiple_of(2)) {
            last.im = 0.0;
        }
        let mut correlation = self.inverse.make_output_vec();
        // The buffers come from the transform itself: their lengths are right.
        let done = self.inverse.process(&mut product, &mut correlation);
        debug_assert!(done.is_ok(), "{done:?}");
        // They are counts: deviations from integers are rounding errors.
        correlation.iter_mut().for_each(|c| *c = (*c / self.length as f64).round());
        correlation
    }
}

fn transform(forward: &dyn RealToComplex<f64>, mut signal: Vec<f64>) -> Vec<Complex<f64>> {
    let mut spectrum = forward.make_output_vec();
    let done = forward.process(&mut signal, &mut spectrum);
    debug_assert!(done.is_ok(), "{done:?}");
    spectrum
}

/// A correlogram with its controls.
struct Measured {
    counts: Vec<f64>,
    baseline: Baseline,
    /// Score of the peak in each control.
    control_scores: Vec<f64>,
}

impl Measured {
    /// From the correlation of each piece at all lags.
    fn new(correlations: &[Vec<f64>], shifts: &[Vec<usize>]) -> Self {
        let around = |shifts: &[usize]| {
            let mut counts = vec![0.0; 2 * REACH + 1];
            for (correlation, shift) in correlations.iter().zip(shifts) {
                let first = correlation.len() + shift - REACH;
                for (lag, count) in counts.iter_mut().enumerate() {
                    *count += correlation[(first + lag) % correlation.len()];
                }
            }
            counts
        };
        let (mut sum, mut squares) = (0.0, 0.0);
        let mut peaks = Vec::with_capacity(shifts.len());
        for shifts in shifts {
            let control = around(shifts);
            sum += control.iter().sum::<f64>();
            squares += control.iter().map(|c| c * c).sum::<f64>();
            peaks.push(highest(&control));
        }
        let baseline = Baseline::new((shifts.len() * (2 * REACH + 1)) as f64, sum, squares);
        let counts = around(&vec![0; correlations.len()]);
        Self { counts, baseline, control_scores: peaks.into_iter().map(|peak| baseline.score(peak)).collect() }
    }

    /// With its chance against the largest score of each control.
    fn against(self, largest: &[f64]) -> Correlogram {
        let Self { counts, baseline, control_scores } = self;
        let score = baseline.score(highest(&counts));
        Correlogram {
            counts,
            control: baseline.mean,
            control_peak: baseline.mean + baseline.deviation * threshold(control_scores),
            score,
            p: chance(score, largest),
        }
    }
}

fn highest(counts: &[f64]) -> f64 {
    counts.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::super::piece::tests::{NEURONS, synthetic};
    use super::*;

    #[test]
    fn neurons_timed_to_onsets_by_construction_are_found_with_their_lag() {
        let pieces = synthetic(false);
        let synchrony = synchrony(&pieces).unwrap();
        let found: Vec<usize> = (0..NEURONS.into()).filter(|&n| synchrony.neurons[n].is_synchronous()).collect();
        assert_eq!(found, [1, 2], "neuron 0 answers to one onset in fifty: too few to be seen");
        assert_eq!(synchrony.synchronous(), 2);
        assert!(synchrony.all.is_synchronous());
        for correlogram in found.iter().map(|&n| &synchrony.neurons[n]).chain([&synchrony.all]) {
            let (lag, height) = correlogram.peak();
            assert_eq!(lag, 32.0, "two frames of 16 ms");
            assert!(height > 1.3, "{height}");
        }
    }

    #[test]
    fn the_correlogram_is_the_count_of_events_at_each_lag() {
        let pieces = synthetic(false);
        let synchrony = synchrony(&pieces).unwrap();
        for lag in [-(REACH as i64), -3, 0, 2, REACH as i64] {
            let mut expected = 0;
            for piece in &pieces {
                let frames = i64::from(piece.events().frames());
                let mut onsets: Vec<u32> = piece.strikes().iter().map(|s| s.0).collect();
                onsets.dedup();
                let heard = |&frame: &u32| (i64::from(frame) + lag).rem_euclid(frames) as u32;
                expected += onsets.iter().filter(|frame| piece.events().row(heard(frame)).contains(&1)).count();
            }
            assert_eq!(synchrony.neurons[1].counts[(lag + REACH as i64) as usize], expected as f64, "lag {lag}");
        }
        // Four of five strikes are answered by neuron 1, and it fires in one frame of a hundred besides.
        let strikes: usize = pieces.iter().map(|piece| piece.strikes().len()).sum();
        assert!((synchrony.neurons[1].counts[REACH + 2] / strikes as f64 - 0.8).abs() < 0.03);
    }

    #[test]
    fn nothing_is_significant_in_shuffled_events() {
        let synchrony = synchrony(&synthetic(true)).unwrap();
        assert_eq!(synchrony.synchronous(), 0);
        assert!(!synchrony.all.is_synchronous());
    }
}
