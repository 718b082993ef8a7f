//! Circularly shifted controls, and significance against them.

use spiccato_neurons::Random;

/// Number of controls.
pub(super) const CONTROLS: usize = 999;

/// Chance of calling anything significant that is not.
pub const LEVEL: f64 = 0.01;

/// Shifts of control number `control`, one for each piece of `lengths`, each at least `least` away from the original
/// place in either direction. Every piece is shifted within itself, so that differences between pieces stay.
pub(super) fn shifts(control: usize, lengths: &[usize], least: usize) -> Vec<usize> {
    let mut random = Random::new(0, control as u64);
    lengths.iter().map(|&length| least + random.below(length.saturating_sub(2 * least) + 1)).collect()
}

/// Mean and deviation of a count over the controls, for its standard score. One is added to the variance, so that
/// counts near zero don't get extreme scores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Baseline {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

impl Baseline {
    pub(super) fn new(count: f64, sum: f64, sum_of_squares: f64) -> Self {
        let mean = sum / count;
        Self { mean, deviation: ((sum_of_squares / count - mean * mean).max(0.0) + 1.0).sqrt() }
    }

    pub(super) fn score(&self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }
}

/// Chance that the largest score of a control reaches `score`, from the largest of each.
pub(super) fn chance(score: f64, largest: &[f64]) -> f64 {
    (1 + largest.iter().filter(|&&l| l >= score).count()) as f64 / (1 + largest.len()) as f64
}

/// Inverse of the standard normal distribution function, to seven digits (Wichura 1988, algorithm AS 241, PPND7).
pub(super) fn probit(p: f64) -> f64 {
    let ratio = |r: f64, over: &[f64], under: &[f64]| {
        let polynomial = |coefficients: &[f64]| coefficients.iter().rev().fold(0.0, |sum, c| sum * r + c);
        polynomial(over) / polynomial(under)
    };
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let over = [3.387_132_717_9, 5.043_427_193_8e1, 1.592_911_320_2e2, 5.910_937_472_0e1];
        let under = [1.0, 1.789_516_946_9e1, 7.875_775_766_4e1, 6.718_756_360_0e1];
        return q * ratio(0.180_625 - q * q, &over, &under);
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let tail = if r <= 5.0 {
        let over = [1.423_437_277_7, 2.756_815_390_0, 1.306_728_481_6, 1.702_382_110_3e-1];
        let under = [1.0, 7.370_016_425_0e-1, 1.202_113_297_5e-1];
        ratio(r - 1.6, &over, &under)
    } else {
        let over = [6.657_905_115_0, 3.081_226_386_0, 4.286_829_433_7e-1, 1.733_720_399_7e-2];
        let under = [1.0, 2.419_789_494_9e-1, 1.225_820_263_5e-2];
        ratio(r - 5.0, &over, &under)
    };
    tail.copysign(q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution() {
        // Published tables.
        for (p, z) in [(0.5, 0.0), (0.841_344_75, 1.0), (0.975, 1.959_964), (0.999, 3.090_232), (1e-9, -5.997_807)] {
            assert!((probit(p) - z).abs() < 2e-6, "{p}: {}", probit(p));
            assert!((probit(1.0 - p) + z).abs() < 1e-5);
        }
        assert!((probit(1e-13) + 7.348_796).abs() < 1e-4);
    }

    #[test]
    fn shifts_keep_away_from_the_original_place_and_differ() {
        let all: Vec<Vec<usize>> = (0..500).map(|i| shifts(i, &[100, 5000], 40)).collect();
        assert!(all.iter().all(|s| (40..=60).contains(&s[0]) && (40..=4960).contains(&s[1])));
        assert_eq!(shifts(7, &[100, 5000], 40), all[7]);
        let mut second: Vec<usize> = all.iter().map(|s| s[1]).collect();
        second.sort_unstable();
        second.dedup();
        assert!(second.len() > 450);
        assert_eq!(shifts(1, &[10], 40), [40]);
    }

    #[test]
    fn chances_count_the_controls() {
        let largest: Vec<f64> = (0..99).map(f64::from).collect();
        assert_eq!((chance(200.0, &largest), chance(98.0, &largest), chance(-1.0, &largest)), (0.01, 0.02, 1.0));
        let baseline = Baseline::new(4.0, 8.0, 16.0 + 4.0 * 3.0);
        assert_eq!((baseline.mean, baseline.deviation, baseline.score(6.0)), (2.0, 2.0, 2.0));
    }
}
