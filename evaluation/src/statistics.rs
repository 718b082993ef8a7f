//! How far a mean over files can be trusted: bootstrap intervals (Efron, "Bootstrap methods: another look at the
//! jackknife", 1979), by percentiles of the means of resamples.

use spiccato_neurons::Random;

/// Number of resamples: the limits then wobble by some hundredth of the interval's width.
const RESAMPLES: usize = 10_000;

/// Part of the means that lies outside on either side.
const OUTSIDE: f64 = 0.025;

/// A range that covers a true value with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower limit.
    pub low: f64,
    /// Upper limit.
    pub high: f64,
}

/// 95 % bootstrap interval of the mean of `values`, the same for the same values and seed; `None` for fewer than two
/// values or values that are not finite. With fewer than some ten values it is too narrow.
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Option<Interval> {
    if values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mean = |chosen: &[usize]| Some(chosen.iter().map(|&i| values[i]).sum::<f64>() / chosen.len() as f64);
    bootstrap(values.len(), seed, RESAMPLES, mean)
}

/// 95 % bootstrap interval of a statistic of `count` items: it is given the indices of each of `resamples` resamples.
/// `None` for fewer than two items, or if the statistic has no value for a resample.
pub fn bootstrap(
    count: usize,
    seed: u64,
    resamples: usize,
    statistic: impl Fn(&[usize]) -> Option<f64>,
) -> Option<Interval> {
    if count < 2 || resamples == 0 {
        return None;
    }
    let mut random = Random::new(seed, 0);
    let mut chosen = vec![0; count];
    let mut values = Vec::with_capacity(resamples);
    for _ in 0..resamples {
        chosen.iter_mut().for_each(|index| *index = random.below(count));
        values.push(statistic(&chosen)?);
    }
    values.sort_by(f64::total_cmp);
    let cut = (OUTSIDE * resamples as f64) as usize;
    Some(Interval { low: values[cut], high: values[resamples - 1 - cut] })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of a resample of ten zeros and ten ones is a binomial variable over 20: P(≤ 5) = 0.0207 and P(≤ 6) =
    /// 0.0577, so that the 2.5 % quantile is 6/20, and the other is 14/20.
    #[test]
    fn interval_of_a_binomial_variable() {
        let values: Vec<f64> = (0..20).map(|i| f64::from(i % 2)).collect();
        let interval = bootstrap_mean(&values, 1).unwrap();
        assert!((interval.low - 0.3).abs() < 1e-9 && (interval.high - 0.7).abs() < 1e-9, "{interval:?}");
    }

    /// For many values the interval is the one of the central limit theorem, mean ± 1.96 σ/√n.
    #[test]
    fn interval_of_many_values_is_the_normal_one() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i) / 399.0).collect();
        let interval = bootstrap_mean(&values, 7).unwrap();
        let half = 1.96 * (1.0 / 12.0 / 400f64).sqrt();
        assert!((interval.low - (0.5 - half)).abs() < 0.002, "{interval:?}");
        assert!((interval.high - (0.5 + half)).abs() < 0.002, "{interval:?}");
    }

    #[test]
    fn the_seed_decides() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i).sin()).collect();
        assert_eq!(bootstrap_mean(&values, 3), bootstrap_mean(&values, 3));
        assert_ne!(bootstrap_mean(&values, 3), bootstrap_mean(&values, 4));
    }

    #[test]
    fn equal_values_leave_no_doubt_and_one_value_says_nothing() {
        assert_eq!(bootstrap_mean(&[2.5; 8], 0), Some(Interval { low: 2.5, high: 2.5 }));
        assert_eq!(bootstrap_mean(&[2.5], 0), None);
        assert_eq!(bootstrap_mean(&[], 0), None);
        assert_eq!(bootstrap_mean(&[1.0, f64::NAN], 0), None);
    }
}
