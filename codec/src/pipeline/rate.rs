//! Finding the quality that gives a bitrate.

use crate::{Quality, Result};

/// An estimate within this share of the target is worth trying on the whole file.
const COARSE: f64 = 0.04;

/// Trials at most: on a part of the file, and on all that is looked at.
const PART_TRIALS: usize = 3;
const WHOLE_TRIALS: usize = 7;

/// All of them together.
pub(crate) const TRIALS: usize = PART_TRIALS + WHOLE_TRIALS;

/// How much the membrane potentials are raised at most, to fire more neurons than the highest quality does by itself.
const MAX_EXCITATION: f64 = 1.0;

/// How the encoder is set: steps 0 to 65535 are qualities; those beyond excite the neurons at full quality, which only
/// the encoder has to know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Setting {
    pub(crate) quality: Quality,
    pub(crate) excitation: f32,
}

/// The step of the highest quality.
const HIGHEST_QUALITY: u32 = u16::MAX as u32;

/// The last step.
const LAST_STEP: u32 = 2 * HIGHEST_QUALITY;

impl Setting {
    /// The step at which a usual file of a usual model comes to a bitrate.
    pub(crate) fn guess(kbps: f64) -> u32 {
        let (lowest, span) = (0.7f64, 12f64 / 0.7);
        ((kbps / lowest).ln() / span.ln() * f64::from(HIGHEST_QUALITY)).clamp(0.0, f64::from(HIGHEST_QUALITY)) as u32
    }

    pub(crate) fn of_step(step: u32) -> Self {
        let beyond = step.saturating_sub(HIGHEST_QUALITY);
        Self {
            quality: Quality::from_stored(step.min(HIGHEST_QUALITY) as u16),
            excitation: (f64::from(beyond) / f64::from(HIGHEST_QUALITY) * MAX_EXCITATION) as f32,
        }
    }
}

/// How the bytes of a file grow with the step, as a first guess: the logarithm per step, for a model whose qualities span 0.7 to 12
/// kbit/s.
const SLOPE: f64 = 2.84 / HIGHEST_QUALITY as f64;

/// Bytes as a function of the step: of the whole file, and of a part of it, which takes less time.
pub(crate) trait Size {
    /// Bytes of the whole file at a step. Should grow with the step.
    fn whole(&mut self, step: u32) -> Result<f64>;

    /// An estimate of them from a part of the file.
    fn part(&mut self, step: u32) -> Result<f64>;

    /// The share of the asked size by which the whole may miss it at a step.
    fn tolerance(&self, step: u32) -> Result<f64>;
}

/// Searches the step for which the whole file comes nearest to `target` bytes: from `guess` by a part of the file, then by the whole.
/// Steps follow the logarithm of the size, which is nearly linear in them. Gives one of the ends if the target is beyond it. The step
/// that was found is the last one that the whole was asked for, in most cases.
pub(crate) fn search(target: f64, guess: u32, size: &mut impl Size) -> Result<u32> {
    let goal = target.max(1.0).ln();
    let mut part = Curve::default();
    let mut step = guess.min(LAST_STEP);
    for _ in 0..PART_TRIALS {
        let error = size.part(step)?.max(1.0).ln() - goal;
        part.add(step, error);
        if error.abs() < COARSE {
            break;
        }
        step = part.next(SLOPE);
    }
    let slope = part.slope().unwrap_or(SLOPE);
    let mut whole = Curve::default();
    for _ in 0..WHOLE_TRIALS {
        let error = size.whole(step)?.max(1.0).ln() - goal;
        whole.add(step, error);
        if error.abs() < size.tolerance(step)? {
            break;
        }
        let next = whole.next(slope);
        if whole.has(next) {
            break;
        }
        step = next;
    }
    Ok(whole.nearest())
}

/// How the logarithm of the bytes grows with excitation, as a first guess.
const EXCITATION_SLOPE: f64 = 1.0;

/// Trials of excitations at most.
const EXCITATION_TRIALS: usize = 4;

/// Searches the change of the excitation, at one quality, with which the whole file comes within `tolerance` of `target` bytes; at
/// no change it has `unchanged` ones. Gives the change and its bytes.
pub(crate) fn excite(
    target: f64,
    unchanged: f64,
    tolerance: f64,
    mut bytes: impl FnMut(f64) -> Result<f64>,
) -> Result<(f64, f64)> {
    let error = |bytes: f64| (bytes / target).max(1e-9).ln();
    let (mut change, mut reached, mut slope) = (0.0, unchanged, EXCITATION_SLOPE);
    let mut best = (change, reached);
    for _ in 0..EXCITATION_TRIALS {
        if error(reached).abs() < tolerance {
            break;
        }
        let next = change - (error(reached) / slope).clamp(-0.3, 0.3);
        let there = bytes(next)?;
        let rise = (error(there) - error(reached)) / (next - change);
        if rise.is_finite() && rise > 0.1 * EXCITATION_SLOPE {
            slope = rise;
        }
        (change, reached) = (next, there);
        if error(reached).abs() < error(best.1).abs() {
            best = (change, reached);
        }
    }
    Ok(best)
}

/// Points of the curve of errors (logarithm of the size over the target) by step, in the order of the steps.
#[derive(Debug, Default)]
struct Curve(Vec<(u32, f64)>);

impl Curve {
    fn add(&mut self, step: u32, error: f64) {
        let place = self.0.partition_point(|point| point.0 < step);
        self.0.insert(place, (step, error));
    }

    fn has(&self, step: u32) -> bool {
        self.0.iter().any(|point| point.0 == step)
    }

    /// The step with the least error.
    fn nearest(&self) -> u32 {
        self.0.iter().min_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).map_or(0, |point| point.0)
    }

    /// Change of the error per step between the two points nearest to the target.
    fn slope(&self) -> Option<f64> {
        let mut points = self.0.clone();
        points.sort_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        let [one, two, ..] = points[..] else { return None };
        Some((one.1 - two.1) / (f64::from(one.0) - f64::from(two.0))).filter(|slope| *slope > 0.0 && slope.is_finite())
    }

    /// The step at which the error should vanish: between the points on both sides of the target where there are such, from the
    /// nearest one by the slope otherwise.
    fn next(&self, slope: f64) -> u32 {
        let below = self.0.iter().rfind(|point| point.1 < 0.0);
        let above = self.0.iter().find(|point| point.1 >= 0.0);
        let step = match (below, above) {
            (Some(&low), Some(&high)) if low.0 < high.0 => {
                let (width, share) = (f64::from(high.0 - low.0), -low.1 / (high.1 - low.1));
                // Away from the ends, in case that the curve is bent so that one of them never moves.
                let margin = if self.0.len() > 3 { 0.2 } else { 0.02 };
                f64::from(low.0) + width * share.clamp(margin, 1.0 - margin)
            }
            _ => {
                let nearest = self.0.iter().min_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
                let slope = self.slope().unwrap_or(slope).max(0.2 * SLOPE);
                nearest.map_or(0.0, |&(step, error)| f64::from(step) - error / slope)
            }
        };
        step.round().clamp(0.0, f64::from(LAST_STEP)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve, of which a part of the file says so many times as much.
    struct Made<F> {
        curve: F,
        bias: f64,
        trials: (usize, usize),
    }

    impl<F: Fn(f64) -> f64> Size for Made<F> {
        fn whole(&mut self, step: u32) -> Result<f64> {
            self.trials.1 += 1;
            Ok((self.curve)(f64::from(step) / f64::from(LAST_STEP)).round())
        }

        fn part(&mut self, step: u32) -> Result<f64> {
            self.trials.0 += 1;
            Ok(self.bias * (self.curve)(f64::from(step) / f64::from(LAST_STEP)))
        }

        fn tolerance(&self, _: u32) -> Result<f64> {
            Ok(0.01)
        }
    }

    #[test]
    fn finds_the_step_of_smooth_and_of_bent_curves() {
        for curve in [
            (|q: f64| 1000.0 * (2.2 * q).exp()) as fn(f64) -> f64,
            |q| 700.0 * (5.0 * q).exp(),
            |q| 1000.0 + 9000.0 * q.powi(6),
            |q| 1000.0 + 9000.0 * q.sqrt(),
            |q| if q < 0.5 { 1000.0 + q } else { 9000.0 * q },
        ] {
            for (target, bias) in [(1500.0, 1.0), (3000.0, 1.2), (6000.0, 0.7)] {
                let mut size = Made { curve, bias, trials: (0, 0) };
                let found = search(target, 30_000, &mut size).unwrap();
                assert!(size.trials.0 <= PART_TRIALS && size.trials.1 <= WHOLE_TRIALS);
                let reached = curve(f64::from(found) / f64::from(LAST_STEP));
                let jump = curve(0.5) > 2.0 * curve(0.499);
                assert!((reached / target - 1.0).abs() < 0.02 || jump, "{reached} for {target}");
            }
        }
    }

    #[test]
    fn usual_curves_take_few_trials_of_the_whole() {
        for rate in [2.0, 2.6, 3.4] {
            let curve = |q: f64| 700.0 * (2.0 * rate * q + 0.4 * q * q).exp();
            let mut size = Made { curve, bias: 1.15, trials: (0, 0) };
            search(2200.0, 20_000, &mut size).unwrap();
            assert!(size.trials.1 <= 2, "{rate}: {:?}", size.trials);
        }
    }

    #[test]
    fn a_target_beyond_the_range_gives_its_end() {
        let mut size = Made { curve: |q: f64| 100.0 + 100.0 * q, bias: 1.0, trials: (0, 0) };
        assert_eq!(search(10.0, 9000, &mut size).unwrap(), 0);
        assert_eq!(search(1e9, 9000, &mut size).unwrap(), LAST_STEP);
    }

    #[test]
    fn excitations_find_what_is_near() {
        for (off, slope) in [(0.06, 0.4), (-0.07, 1.0), (0.05, 2.7), (0.005, 1.0)] {
            let curve = |change: f64| 1000.0 * (off + slope * change + 0.2 * change * change).exp();
            let mut trials = 0;
            let (change, bytes) = excite(1000.0, curve(0.0), 0.01, |change| {
                trials += 1;
                Ok(curve(change))
            })
            .unwrap();
            assert!((bytes / 1000.0 - 1.0).abs() < 0.0101 && bytes == curve(change), "{off}, {slope}: {bytes}");
            assert!(trials <= 3 && (trials > 0) == (off.abs() > 0.01));
        }
    }

    #[test]
    fn steps_are_qualities_and_then_excitations() {
        assert_eq!(Setting::of_step(0), Setting { quality: Quality::LOWEST, excitation: 0.0 });
        assert_eq!(Setting::of_step(65535), Setting { quality: Quality::HIGHEST, excitation: 0.0 });
        assert_eq!(Setting::of_step(LAST_STEP), Setting { quality: Quality::HIGHEST, excitation: 1.0 });
    }
}
