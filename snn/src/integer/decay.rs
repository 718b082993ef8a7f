//! Leak in integers, two ways that chips have it: by a bit shift, or by a factor of 12 bits.

/// How much of a 16-bit state is left after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decay {
    /// Nothing.
    All,
    /// v − (v >> n), and at least 1 less: no multiplier needed (Xylo, as in Rockpool's `LIFBitshiftTorch`).
    Shift(u32),
    /// v·f/4096, rounded towards zero (Loihi; Davies et al., IEEE Micro 2018).
    Factor(u16),
}

/// Which of them a chip has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecayKind {
    /// [`Decay::Shift`].
    Shift,
    /// [`Decay::Factor`].
    Factor,
}

/// Denominator of [`Decay::Factor`].
const ONE: u16 = 1 << 12;
/// Shift of the slowest decay: more would leave 16 bits.
const SLOWEST: u32 = 14;

impl Decay {
    /// The decay of this kind that is nearest to a factor α from 0 to 1 per step. `None` if it is nearer to no decay at all.
    pub fn nearest(factor: f64, kind: DecayKind) -> Option<Self> {
        let lost = 1.0 - factor;
        match kind {
            _ if lost >= 1.0 => Some(Self::All),
            DecayKind::Shift => {
                let shift = (-lost.log2()).round();
                (shift <= f64::from(SLOWEST)).then_some(Self::Shift(shift as u32))
            }
            DecayKind::Factor => {
                let kept = (factor * f64::from(ONE)).round() as u16;
                (kept < ONE).then_some(Self::Factor(kept))
            }
        }
    }

    /// Decay factor of the slowest decay of a kind.
    pub fn slowest(kind: DecayKind) -> f64 {
        match kind {
            DecayKind::Shift => Self::Shift(SLOWEST).factor(),
            DecayKind::Factor => Self::Factor(ONE - 1).factor(),
        }
    }

    /// The factor α that it stands for.
    pub fn factor(self) -> f64 {
        match self {
            Self::All => 0.0,
            Self::Shift(shift) => 1.0 - 0.5f64.powi(shift as i32),
            Self::Factor(kept) => f64::from(kept) / f64::from(ONE),
        }
    }

    /// Time constant in steps, −1/ln α: neurons that are trained with it lose nothing to rounding.
    pub fn time_constant(self) -> f64 {
        -1.0 / self.factor().ln()
    }

    /// What is left of `state`.
    #[inline]
    pub fn apply(self, state: i16) -> i16 {
        match self {
            Self::All => 0,
            Self::Shift(shift) => {
                let lost = state >> shift;
                state - if lost == 0 && state > 0 { 1 } else { lost }
            }
            Self::Factor(kept) => (i32::from(state) * i32::from(kept) / i32::from(ONE)) as i16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_fall_to_zero_at_about_the_rate_of_the_factor() {
        for decay in [Decay::Shift(1), Decay::Shift(4), Decay::Factor(3000), Decay::Factor(4000)] {
            for start in [i16::MAX, i16::MIN, 20_000, -20_000] {
                let (mut state, mut exact) = (start, f64::from(start));
                for step in 0..3000 {
                    // A step rounds by less than 1, and what was rounded decays with the rest.
                    let error = (f64::from(state) - exact).abs();
                    assert!(error <= 1.0 / (1.0 - decay.factor()), "{decay:?} from {start}, step {step}: {error}");
                    (state, exact) = (decay.apply(state), exact * decay.factor());
                }
                assert_eq!(state, 0, "{decay:?} from {start}");
            }
        }
        assert_eq!(Decay::All.apply(77), 0);
    }

    #[test]
    fn the_nearest_decay_has_the_factor_asked_for_where_there_is_one() {
        for decay in [Decay::Shift(0), Decay::Shift(3), Decay::Shift(14)] {
            assert_eq!(
                Decay::nearest(decay.factor(), DecayKind::Shift).map(|found| found.factor()),
                Some(decay.factor())
            );
        }
        assert_eq!(Decay::nearest(1000.0 / 4096.0, DecayKind::Factor), Some(Decay::Factor(1000)));
        assert_eq!(Decay::nearest(0.0, DecayKind::Factor), Some(Decay::All));
        for kind in [DecayKind::Shift, DecayKind::Factor] {
            assert!(Decay::nearest(Decay::slowest(kind), kind).is_some());
            assert_eq!(Decay::nearest(1.0, kind), None);
        }
        assert!((Decay::Shift(4).time_constant() - 15.49).abs() < 0.01);
    }
}
