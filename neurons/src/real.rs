//! The two floating-point types that the operations run in: `f32` for use, `f64` for checking gradients.

use candle_core::WithDType;

/// `f32` or `f64`.
pub trait Real: WithDType + num_traits::Float + std::iter::Sum {
    /// e to the power of self, accurate to a few units in the last place of an `f32`, in a form compilers vectorise.
    fn fast_exp(self) -> Self;

    /// ln(1 + self) for self from 0 to 1, accurate to a few units in the last place of an `f32`, in a form compilers
    /// vectorise.
    fn fast_ln_1p(self) -> Self;

    /// Converts a constant.
    fn constant(value: f64) -> Self {
        <Self as WithDType>::from_f64(value)
    }
}

impl Real for f32 {
    #[inline(always)]
    fn fast_exp(self) -> f32 {
        // e^x = 2^n · e^r with n the nearest integer to x / ln 2 and |r| ≤ ln 2 / 2 (Cody & Waite 1980); the Taylor
        // series of e^r to the 6th power errs by less than 2^-24 there. Adding 1.5·2^23 rounds to an integer.
        const ROUND: f32 = 12_582_912.0;
        let x = self.clamp(-87.0, 88.0);
        let n = x * std::f32::consts::LOG2_E + ROUND;
        let exponent = n.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
        let n = n - ROUND;
        let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
        let series =
            1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
        series * f32::from_bits(exponent)
    }

    #[inline(always)]
    fn fast_ln_1p(self) -> f32 {
        // ln(1 + x) = 2 artanh(s) with s = x / (2 + x) ≤ 1/3; the rest of the series after s^13 is below 2^-26 of it.
        let s = self / (2.0 + self);
        let q = s * s;
        let odd = 1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0)));
        2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * odd)))
    }
}

impl Real for f64 {
    #[inline(always)]
    fn fast_exp(self) -> f64 {
        self.exp()
    }

    #[inline(always)]
    fn fast_ln_1p(self) -> f64 {
        self.ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_exp_agrees_with_libm() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let (ours, exact) = (x.fast_exp() as f64, (x as f64).exp());
            assert!(((ours - exact) / exact).abs() < 3e-7, "e^{x}: {ours} instead of {exact}");
        }
    }

    #[test]
    fn fast_ln_1p_agrees_with_libm() {
        for i in 1..=10_000 {
            let x = i as f32 / 10_000.0;
            let (ours, exact) = (x.fast_ln_1p() as f64, (x as f64).ln_1p());
            assert!(((ours - exact) / exact).abs() < 3e-7, "ln(1 + {x}): {ours} instead of {exact}");
        }
        assert_eq!(0f32.fast_ln_1p(), 0.0);
    }
}
