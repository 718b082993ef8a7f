//! Finding the quality that gives a bitrate.

use crate::{Quality, Result};

/// A rate within this share of the asked one is near enough.
const TOLERANCE: f64 = 0.01;

/// Trials at most.
pub(crate) const TRIALS: usize = 9;

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
    pub(crate) fn of_step(step: u32) -> Self {
        let beyond = step.saturating_sub(HIGHEST_QUALITY);
        Self {
            quality: Quality::from_stored(step.min(HIGHEST_QUALITY) as u16),
            excitation: (f64::from(beyond) / f64::from(HIGHEST_QUALITY) * MAX_EXCITATION) as f32,
        }
    }
}

/// Searches the step for which `bytes` comes nearest to `target`, by regula falsi on the logarithm of the size, which is
/// nearly linear in the step. `bytes` should grow with the step. Gives one of the ends if the
/// target is beyond it.
pub(crate) fn search(target: f64, mut bytes: impl FnMut(u32) -> Result<f64>) -> Result<u32> {
    let goal = target.max(1.0).ln();
    let mut error = |step: u32| Ok::<f64, crate::Error>(bytes(step)?.max(1.0).ln() - goal);
    let mut best = (f64::INFINITY, 0);
    let mut note = |step: u32, error: f64| {
        if error.abs() < best.0 {
            best = (error.abs(), step);
        }
        best
    };
    let (mut low, mut high) = ((0u32, error(0)?), (LAST_STEP, 0.0));
    note(low.0, low.1);
    if low.1 >= 0.0 {
        return Ok(low.0);
    }
    high.1 = error(high.0)?;
    note(high.0, high.1);
    if high.1 <= 0.0 {
        return Ok(high.0);
    }
    for trial in 2..TRIALS {
        let width = f64::from(high.0 - low.0);
        // Every third trial bisects, in case the curve is bent so that one end never moves.
        let share = if trial % 3 == 1 { 0.5 } else { (-low.1 / (high.1 - low.1)).clamp(0.02, 0.98) };
        let middle = low.0 + (width * share).round() as u32;
        if middle == low.0 || middle == high.0 {
            break;
        }
        let found = error(middle)?;
        let (distance, _) = note(middle, found);
        if distance < TOLERANCE {
            break;
        }
        if found < 0.0 {
            low = (middle, found);
        } else {
            high = (middle, found);
        }
    }
    Ok(note(0, f64::INFINITY).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_quality_of_smooth_and_of_bent_curves() {
        for curve in [
            (|q: f64| 1000.0 * (2.2 * q).exp()) as fn(f64) -> f64,
            |q| 1000.0 + 9000.0 * q.powi(6),
            |q| 1000.0 + 9000.0 * q.sqrt(),
            |q| if q < 0.5 { 1000.0 + q } else { 9000.0 * q },
        ] {
            for target in [1500.0, 3000.0, 6000.0] {
                let bytes = |step: u32| Ok(curve(f64::from(step) / f64::from(LAST_STEP)).round());
                let mut trials = 0;
                let found = search(target, |q| {
                    trials += 1;
                    bytes(q)
                })
                .unwrap();
                assert!(trials <= TRIALS);
                let reached = bytes(found).unwrap();
                let jump = curve(0.5) > 2.0 * curve(0.499);
                assert!((reached / target - 1.0).abs() < 0.05 || jump, "{reached} for {target}");
            }
        }
    }

    #[test]
    fn a_target_beyond_the_range_gives_its_end() {
        let bytes = |step: u32| Ok(100.0 + f64::from(step));
        assert_eq!(search(10.0, bytes).unwrap(), 0);
        assert_eq!(search(1e9, bytes).unwrap(), LAST_STEP);
    }

    #[test]
    fn steps_are_qualities_and_then_excitations() {
        assert_eq!(Setting::of_step(0), Setting { quality: Quality::LOWEST, excitation: 0.0 });
        assert_eq!(Setting::of_step(65535), Setting { quality: Quality::HIGHEST, excitation: 0.0 });
        assert_eq!(Setting::of_step(LAST_STEP), Setting { quality: Quality::HIGHEST, excitation: 1.0 });
    }
}
