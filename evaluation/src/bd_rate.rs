//! Bjøntegaard's difference between two rate-distortion curves: the mean difference of rate at equal score.
//!
//! G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, with the logarithm of
//! the rate as a piecewise cubic of the score, as later VCEG and JVET reports have it. The cubic is PCHIP: monotone,
//! with the slopes of Fritsch & Butland ("A method for constructing local monotone piecewise cubic interpolants", 1984;
//! the one of SciPy and of the Python package `bjontegaard`). The curves are compared where their scores overlap.

/// Mean difference of rate at equal score, in percent of the reference's rate: −20 means that `test` needs a fifth
/// less. Curves are points of rate (kbit/s) and score in any order; points that cost more than another and are no
/// better are left out, as nobody would choose them.
///
/// `None` where the scores of the curves don't overlap, a curve has fewer than two useful points, or a point is not a
/// finite score at a positive rate.
pub fn bd_rate(reference: &[(f64, f64)], test: &[(f64, f64)], higher_is_better: bool) -> Option<f64> {
    let (reference, test) = (Curve::new(reference, higher_is_better)?, Curve::new(test, higher_is_better)?);
    let (low, high) = (reference.low().max(test.low()), reference.high().min(test.high()));
    if low >= high {
        return None;
    }
    let difference = (test.integral(low, high) - reference.integral(low, high)) / (high - low);
    Some((difference.exp() - 1.0) * 100.0)
}

/// Logarithm of the rate as a function of the score.
struct Curve {
    /// Scores, strictly ascending; negative ones where lower is better.
    x: Vec<f64>,
    /// Natural logarithms of rates.
    y: Vec<f64>,
    /// Slopes at the points.
    slope: Vec<f64>,
}

impl Curve {
    fn new(points: &[(f64, f64)], higher_is_better: bool) -> Option<Self> {
        if points.iter().any(|(rate, score)| !(rate.is_finite() && *rate > 0.0 && score.is_finite())) {
            return None;
        }
        let mut points: Vec<(f64, f64)> =
            points.iter().map(|&(rate, score)| (if higher_is_better { score } else { -score }, rate.ln())).collect();
        points.sort_by(|a, b| a.1.total_cmp(&b.1).then(b.0.total_cmp(&a.0)));
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for (score, rate) in points {
            if x.last().is_none_or(|&best| score > best) {
                x.push(score);
                y.push(rate);
            }
        }
        let slope = slopes(&x, &y)?;
        Some(Self { x, y, slope })
    }

    fn low(&self) -> f64 {
        self.x[0]
    }

    fn high(&self) -> f64 {
        self.x[self.x.len() - 1]
    }

    /// Integral over scores within the curve.
    fn integral(&self, low: f64, high: f64) -> f64 {
        let piece = |i: usize| -> f64 {
            let (from, to) = (low.max(self.x[i]), high.min(self.x[i + 1]));
            if from < to { self.antiderivative(i, to) - self.antiderivative(i, from) } else { 0.0 }
        };
        (0..self.x.len() - 1).map(piece).sum()
    }

    /// Integral of piece `i` from its start to `x`: the cubic is
    /// y + m t + c t² + d t³ with t from the start of the piece.
    fn antiderivative(&self, i: usize, x: f64) -> f64 {
        let (width, t) = (self.x[i + 1] - self.x[i], x - self.x[i]);
        let secant = (self.y[i + 1] - self.y[i]) / width;
        let (start, end) = (self.slope[i], self.slope[i + 1]);
        let (square, cube) =
            ((3.0 * secant - 2.0 * start - end) / width, (start + end - 2.0 * secant) / (width * width));
        t * (self.y[i] + t * (start / 2.0 + t * (square / 3.0 + t * cube / 4.0)))
    }
}

/// Slopes of the monotone cubic at its points; `None` for fewer than two.
fn slopes(x: &[f64], y: &[f64]) -> Option<Vec<f64>> {
    let width: Vec<f64> = x.windows(2).map(|x| x[1] - x[0]).collect();
    let secant: Vec<f64> = y.windows(2).zip(&width).map(|(y, width)| (y[1] - y[0]) / width).collect();
    let last = secant.len().checked_sub(1)?;
    if last == 0 {
        return Some(vec![secant[0]; 2]);
    }
    // Weighted harmonic mean of the neighbouring secants, or flat between a rise and a fall.
    let inner = (1..=last).map(|i| {
        let (a, b) = (2.0 * width[i] + width[i - 1], width[i] + 2.0 * width[i - 1]);
        if secant[i - 1] * secant[i] > 0.0 { (a + b) / (a / secant[i - 1] + b / secant[i]) } else { 0.0 }
    });
    // Three-point formula at the ends, kept from overshooting.
    let end = |(near, far): (f64, f64), (first, second): (f64, f64)| -> f64 {
        let slope = ((2.0 * near + far) * first - near * second) / (near + far);
        if slope * first <= 0.0 {
            0.0
        } else if first * second <= 0.0 && slope.abs() > 3.0 * first.abs() {
            3.0 * first
        } else {
            slope
        }
    };
    let start = end((width[0], width[1]), (secant[0], secant[1]));
    let stop = end((width[last], width[last - 1]), (secant[last], secant[last - 1]));
    Some(std::iter::once(start).chain(inner).chain(std::iter::once(stop)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Points = [(f64, f64)];

    /// The three examples published with the Python package `bjontegaard` (example_usage.py); values of its version
    /// 1.3.0, `bd_rate(rate_anchor, psnr_anchor, rate_test, psnr_test, method="pchip", min_overlap=0)`, points in
    /// ascending order of PSNR. (Its cubic polynomial, the method of 2001, gives −4.420, −4.699 and −0.639.)
    #[test]
    fn published_examples() {
        let examples: [(&Points, &Points, f64); 3] = [
            (
                &[(9487.76, 40.037), (4593.60, 38.615), (2486.44, 36.845), (1358.24, 34.851)],
                &[(9787.80, 40.121), (4469.00, 38.651), (2451.52, 36.970), (1356.24, 34.987)],
                -4.417485350589045,
            ),
            (
                &[(82472.76, 43.825), (26875.24, 41.404), (9487.76, 40.037), (4593.6, 38.615)],
                &[(99896.96, 44.731), (33952.04, 41.875), (9787.8, 40.121), (4469.0, 38.651)],
                -4.47218200276197,
            ),
            (
                &[
                    (82472.76, 43.825),
                    (26875.24, 41.404),
                    (9487.76, 40.037),
                    (4593.6, 38.615),
                    (3600.0, 36.5),
                    (2900.0, 35.1),
                ],
                &[
                    (99896.96, 44.731),
                    (33952.04, 41.875),
                    (9787.8, 40.121),
                    (4469.0, 38.651),
                    (4040.0, 37.0),
                    (3300.0, 36.5),
                ],
                -2.9528024116427964,
            ),
        ];
        for (reference, test, expected) in examples {
            let value = bd_rate(reference, test, true).unwrap();
            assert!((value - expected).abs() < 1e-9, "{value} for {expected}");
            let negative = |points: &Points| points.iter().map(|&(rate, score)| (rate, -score)).collect::<Vec<_>>();
            let mirrored = bd_rate(&negative(reference), &negative(test), false).unwrap();
            assert!((mirrored - expected).abs() < 1e-9, "{mirrored} for {expected}");
        }
    }

    #[test]
    fn the_same_curve_at_half_the_rate_needs_half() {
        let curve = [(1.0, 10.0), (2.0, 14.0), (4.0, 15.0), (9.0, 15.5)];
        let half = curve.map(|(rate, score)| (0.5 * rate, score));
        assert!((bd_rate(&curve, &half, true).unwrap() + 50.0).abs() < 1e-9);
        assert!((bd_rate(&half, &curve, true).unwrap() - 100.0).abs() < 1e-9);
        assert!(bd_rate(&curve, &curve, true).unwrap().abs() < 1e-9);
    }

    #[test]
    fn two_points_make_a_line() {
        // ln rate = score against ln rate = 1.5 score − 0.5, over scores from 1 to 2: mean difference 0.25.
        let line = |slope: f64, shift: f64| [1.0, 2.0].map(|score: f64| ((slope * score + shift).exp(), score));
        let value = bd_rate(&line(1.0, 0.0), &line(1.5, -0.5), true).unwrap();
        assert!((value - 100.0 * (0.25f64.exp() - 1.0)).abs() < 1e-9);
    }

    #[test]
    fn points_that_cost_more_and_are_no_better_do_not_count() {
        let curve = [(1.0, 3.0), (2.0, 2.0), (4.0, 1.5)];
        let clumsy = [(4.0, 1.5), (1.0, 3.0), (3.0, 2.0), (2.0, 2.0), (1.5, 3.5), (8.0, 1.6), (2.0, 2.5)];
        assert!(bd_rate(&curve, &clumsy, false).unwrap().abs() < 1e-9);
    }

    #[test]
    fn curves_that_cannot_be_compared() {
        let curve = [(1.0, 1.0), (2.0, 2.0)];
        assert_eq!(bd_rate(&curve, &[(1.0, 3.0), (2.0, 4.0)], true), None, "no overlap");
        assert_eq!(bd_rate(&curve, &[(1.0, 2.0), (2.0, 4.0)], true), None, "only a point in common");
        assert_eq!(bd_rate(&curve, &[(1.0, 1.5)], true), None, "one point");
        assert_eq!(bd_rate(&curve, &[(1.0, 1.5), (2.0, 1.5)], true), None, "one useful point");
        assert_eq!(bd_rate(&curve, &[], true), None);
        for bad in [(0.0, 1.5), (-1.0, 1.5), (f64::NAN, 1.5), (f64::INFINITY, 1.5), (3.0, f64::NAN)] {
            assert_eq!(bd_rate(&curve, &[(1.0, 1.0), (2.0, 2.0), bad], true), None, "{bad:?}");
        }
    }
}
