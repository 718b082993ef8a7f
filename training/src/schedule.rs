//! Schedules over a run: learning rate and sparsity pressure, as functions of the step alone.

use crate::config::TrainingConfig;

/// Learning rate at `step`: linear warm-up, constant, linear decay to zero ("trapezoid", Zhai et al. 2022).
pub(crate) fn learning_rate(config: &TrainingConfig, step: u64) -> f64 {
    let rising = (step + 1) as f64 / config.warm_up.max(1) as f64;
    let left = config.steps.saturating_sub(step) as f64;
    let falling = left / (config.cool_down * config.steps as f64).max(1.0);
    config.learning_rate * rising.min(falling).min(1.0)
}

/// Sparsity pressure at `step` for a crop of `quality` (0 to 1).
pub(crate) fn pressure(config: &TrainingConfig, step: u64, quality: f64) -> f64 {
    let (high_quality, low_quality) = config.pressure;
    ramp(config, step, config.pressure_ramp) * low_quality * (high_quality / low_quality).powf(quality)
}

/// Whether the prior learns at `step`.
pub(crate) fn prior_learns(config: &TrainingConfig, step: u64) -> bool {
    step as f64 >= config.prior.start * config.steps as f64
}

/// Share of the pressure that goes by the information under the prior at `step`.
pub(crate) fn information_share(config: &TrainingConfig, step: u64) -> f64 {
    ramp(config, step, config.prior.information_ramp) * config.prior.information_share
}

/// 0 up to one share of the run, 1 from another on, linear between them.
fn ramp(config: &TrainingConfig, step: u64, (start, full): (f64, f64)) -> f64 {
    let done = step as f64 / config.steps as f64;
    if done >= full { 1.0 } else { ((done - start) / (full - start)).max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TrainingConfig {
        TrainingConfig {
            steps: 1000,
            warm_up: 10,
            cool_down: 0.2,
            learning_rate: 1.0,
            pressure: (1.0, 4.0),
            pressure_ramp: (0.1, 0.3),
            ..TrainingConfig::default()
        }
    }

    #[test]
    fn learning_rate_is_a_trapezoid() {
        let config = config();
        assert!((learning_rate(&config, 0) - 0.1).abs() < 1e-12);
        assert_eq!(learning_rate(&config, 9), 1.0);
        assert_eq!(learning_rate(&config, 800), 1.0);
        assert!((learning_rate(&config, 900) - 0.5).abs() < 1e-12);
        assert_eq!(learning_rate(&config, 1000), 0.0);
    }

    #[test]
    fn pressure_rises_and_is_geometric_in_the_quality() {
        let config = config();
        assert_eq!(pressure(&config, 50, 0.0), 0.0);
        assert!((pressure(&config, 200, 0.0) - 2.0).abs() < 1e-12);
        assert_eq!(pressure(&config, 500, 0.0), 4.0);
        assert!((pressure(&config, 500, 0.5) - 2.0).abs() < 1e-12);
        assert!((pressure(&config, 500, 1.0) - 1.0).abs() < 1e-12);
    }
}
