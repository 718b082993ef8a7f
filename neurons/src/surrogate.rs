//! Surrogate gradients: what stands in for the derivative of the spike function, which is zero almost everywhere.
//!
//! All take the distance u of the membrane potential from the threshold.

use crate::Real;

/// Pseudo-derivative of the step function at distance u from the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)
)]
#[non_exhaustive]
pub enum Surrogate {
    /// 1/w where |u| < w/2, 0 elsewhere: a boxcar of area 1.
    Rectangular {
        /// Full width w.
        width: f64,
    },
    /// h · max(0, 1 − |u|/w). Bellec et al. 2018 (LSNN) use h = 0.3, w = 1; Lisboa & Bellec 2024 use h = 1, w = 1.
    Triangular {
        /// Height h at the threshold.
        height: f64,
        /// Half-width w.
        width: f64,
    },
    /// 1 / (1 + s|u|)². Zenke & Ganguli 2018 (SuperSpike).
    FastSigmoid {
        /// Slope s.
        slope: f64,
    },
    /// (α/2) / (1 + (π α u / 2)²). Fang et al. 2021.
    ArcTan {
        /// Steepness α.
        alpha: f64,
    },
    /// γ · [(1 + h) N(u; 0, σ) − h N(u; σ, sσ) − h N(u; −σ, sσ)], N the normal density. Yin, Corradi & Bohté 2021, with
    /// γ = 0.5, σ = 0.5, h = 0.15, s = 6.
    MultiGaussian {
        /// Scale γ of the whole.
        gamma: f64,
        /// Standard deviation σ of the central lobe.
        sigma: f64,
        /// Weight h of the two negative lobes.
        lobe_height: f64,
        /// Width of the negative lobes in units of σ.
        lobe_width: f64,
    },
    /// A function of one's own; it can't be described in a file.
    #[cfg_attr(feature = "serde", serde(skip))]
    Custom(CustomSurrogate),
}

/// A pseudo-derivative of one's own: a function of the distance u from the threshold.
///
/// ```
/// use spiccato_neurons::Surrogate;
/// use spiccato_neurons::surrogate::CustomSurrogate;
///
/// let cosine = |u: f64| if u.abs() < 1.0 { (1.0 + (std::f64::consts::PI * u).cos()) / 2.0 } else { 0.0 };
/// let surrogate = Surrogate::Custom(CustomSurrogate { name: "cosine", derivative: cosine });
/// assert_eq!(surrogate.derivative(0.0f32), 1.0);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct CustomSurrogate {
    /// Name in descriptions of networks; functions of the same name count as equal.
    pub name: &'static str,
    /// The function.
    pub derivative: fn(f64) -> f64,
}

impl PartialEq for CustomSurrogate {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Surrogate {
    /// The pseudo-derivative at distance `u` from the threshold.
    #[inline(always)]
    pub fn derivative<T: Real>(&self, u: T) -> T {
        let c = T::constant;
        let one = T::one();
        match *self {
            Surrogate::Rectangular { width } => {
                if u.abs() < c(width / 2.0) {
                    c(1.0 / width)
                } else {
                    T::zero()
                }
            }
            Surrogate::Triangular { height, width } => {
                let tent = one - u.abs() * c(1.0 / width);
                c(height) * if tent > T::zero() { tent } else { T::zero() }
            }
            Surrogate::FastSigmoid { slope } => {
                let d = one + c(slope) * u.abs();
                one / (d * d)
            }
            Surrogate::ArcTan { alpha } => {
                let d = c(std::f64::consts::FRAC_PI_2 * alpha) * u;
                c(alpha / 2.0) / (one + d * d)
            }
            Surrogate::MultiGaussian { gamma, sigma, lobe_height, lobe_width } => {
                let normal = |distance: T, deviation: f64| {
                    let x = distance * c(1.0 / deviation);
                    c(1.0 / (deviation * (2.0 * std::f64::consts::PI).sqrt())) * (c(-0.5) * x * x).fast_exp()
                };
                let lobes = normal(u - c(sigma), lobe_width * sigma) + normal(u + c(sigma), lobe_width * sigma);
                c(gamma) * (c(1.0 + lobe_height) * normal(u, sigma) - c(lobe_height) * lobes)
            }
            Surrogate::Custom(custom) => c((custom.derivative)(candle_core::WithDType::to_f64(u))),
        }
    }

    /// Replaces distances by their pseudo-derivatives, with the choice among the functions made once for all of them.
    #[inline(always)]
    pub fn derivatives<T: Real>(&self, distances: &mut [T]) {
        #[inline(always)]
        fn fill<T: Real>(surrogate: Surrogate, distances: &mut [T]) {
            for u in distances {
                *u = surrogate.derivative(*u);
            }
        }
        // Built anew, so that the compiler knows which one it is within each loop.
        match *self {
            Surrogate::Rectangular { width } => fill(Surrogate::Rectangular { width }, distances),
            Surrogate::Triangular { height, width } => fill(Surrogate::Triangular { height, width }, distances),
            Surrogate::FastSigmoid { slope } => fill(Surrogate::FastSigmoid { slope }, distances),
            Surrogate::ArcTan { alpha } => fill(Surrogate::ArcTan { alpha }, distances),
            Surrogate::MultiGaussian { gamma, sigma, lobe_height, lobe_width } => {
                fill(Surrogate::MultiGaussian { gamma, sigma, lobe_height, lobe_width }, distances);
            }
            Surrogate::Custom(custom) => fill(Surrogate::Custom(custom), distances),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trapezoidal rule over [-range, range].
    fn area(surrogate: Surrogate, range: f64) -> f64 {
        let steps = 2_000_000;
        let h = 2.0 * range / steps as f64;
        (0..=steps).map(|i| surrogate.derivative(-range + i as f64 * h) * h).sum()
    }

    #[test]
    fn areas_match_their_closed_forms() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 2e-3, "{a} instead of {b}");
        close(area(Surrogate::Rectangular { width: 0.7 }, 2.0), 1.0);
        close(area(Surrogate::Triangular { height: 0.3, width: 1.5 }, 3.0), 0.3 * 1.5);
        // ∫ 1/(1+s|u|)² du = 2/s
        close(area(Surrogate::FastSigmoid { slope: 25.0 }, 1000.0), 2.0 / 25.0);
        // The arctangent surrogate is the derivative of (1/π) atan(π α u / 2) + 1/2, whose range is 1.
        close(area(Surrogate::ArcTan { alpha: 2.0 }, 1000.0), 1.0);
        let yin = Surrogate::MultiGaussian { gamma: 0.5, sigma: 0.5, lobe_height: 0.15, lobe_width: 6.0 };
        // γ · ((1 + h) − 2h)
        close(area(yin, 40.0), 0.5 * (1.15 - 0.30));
    }

    #[test]
    fn values_at_the_threshold() {
        assert_eq!(Surrogate::Triangular { height: 0.3, width: 1.0 }.derivative(0.0f64), 0.3);
        assert_eq!(Surrogate::FastSigmoid { slope: 25.0 }.derivative(0.0f32), 1.0);
        assert_eq!(Surrogate::ArcTan { alpha: 2.0 }.derivative(0.0f64), 1.0);
        assert_eq!(Surrogate::Rectangular { width: 0.5 }.derivative(0.25f64), 0.0);
    }

    #[test]
    fn derivatives_of_many_are_those_of_each() {
        for surrogate in [
            Surrogate::Rectangular { width: 0.5 },
            Surrogate::Triangular { height: 0.3, width: 0.8 },
            Surrogate::FastSigmoid { slope: 3.0 },
            Surrogate::ArcTan { alpha: 2.0 },
            Surrogate::MultiGaussian { gamma: 0.5, sigma: 0.4, lobe_height: 0.15, lobe_width: 6.0 },
            Surrogate::Custom(CustomSurrogate { name: "tent", derivative: |u| (1.0 - u.abs()).max(0.0) }),
        ] {
            let distances: Vec<f64> = (-20..=20).map(|i| f64::from(i) / 10.0).collect();
            let mut many = distances.clone();
            surrogate.derivatives(&mut many);
            let each: Vec<f64> = distances.iter().map(|u| surrogate.derivative(*u)).collect();
            assert_eq!(many, each, "{surrogate:?}");
        }
    }
}
