//! Logits → probabilities by a table that is part of the format, so that no mathematical library has a say in what the
//! bits mean.

/// Logits are in units of 2^-10 nat.
pub const LOGIT_UNIT: i32 = 1 << 10;
/// Binary logarithm of the table's step in logit units: an eighth of a nat.
const STEP_BITS: u32 = 7;
/// Largest logit with its own probability: twelve nats less one unit.
const LIMIT: i32 = 12 * LOGIT_UNIT - 1;

/// 65536 / (1 + exp(i/8)), rounded, at least 1: the probability at a logit of -i/8 nat in units of 2^-16.
#[rustfmt::skip]
const TABLE: [u16; 97] = [
    32768, 30723, 28693, 26695, 24743, 22849, 21025, 19282, 17625, 16062, 14595, 13226,
    11955, 10782, 9702, 8714, 7812, 6992, 6249, 5577, 4971, 4427, 3938, 3500,
    3108, 2758, 2446, 2168, 1921, 1701, 1506, 1333, 1179, 1042, 922, 815,
    720, 636, 562, 497, 439, 387, 342, 302, 267, 236, 208, 184,
    162, 143, 126, 111, 98, 87, 77, 68, 60, 53, 47, 41,
    36, 32, 28, 25, 22, 19, 17, 15, 13, 12, 10, 9,
    8, 7, 6, 6, 5, 4, 4, 3, 3, 3, 2, 2,
    2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1,
];

/// The probability of an event at this logit, in units of 2^-16: the table's value on the negative side, linear between
/// its entries; the rest of 1 on the positive side.
pub fn probability(logit: i32) -> u16 {
    let distance = logit.clamp(-LIMIT, LIMIT).unsigned_abs();
    let (step, fraction) = ((distance >> STEP_BITS) as usize, distance & ((1 << STEP_BITS) - 1));
    let (here, next) = (u32::from(TABLE[step]), u32::from(TABLE[step + 1]));
    let tail = here - (((here - next) * fraction + (1 << (STEP_BITS - 1))) >> STEP_BITS);
    (if logit > 0 { (1 << 16) - tail } else { tail }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(logit: f64) -> f64 {
        65_536.0 / (1.0 + (-logit / f64::from(LOGIT_UNIT)).exp())
    }

    #[test]
    fn the_table_is_the_rounded_sigmoid() {
        for (step, &entry) in TABLE.iter().enumerate() {
            let logit = -(step as f64) * f64::from(1 << STEP_BITS);
            assert_eq!(f64::from(entry), exact(logit).round().max(1.0), "{step}");
        }
    }

    /// The chords of the table are above the sigmoid where it is convex: by h²/8 of its second derivative at most, in
    /// proportion to the probability where that is small.
    #[test]
    fn probabilities_are_close_to_the_sigmoid() {
        for logit in -13 * LOGIT_UNIT..=13 * LOGIT_UNIT {
            let (p, exact) = (f64::from(probability(logit)), exact(logit.into()).clamp(1.0, 65_535.0));
            let allowed = 1.0 + exact.min(65_536.0 - exact) * 0.125 * 0.125 / 8.0;
            assert!((p - exact).abs() <= allowed, "{logit}: {p}, not {exact}");
        }
    }

    #[test]
    fn probabilities_ascend_and_both_outcomes_are_always_possible() {
        let mut before = 1;
        for logit in -13 * LOGIT_UNIT..=13 * LOGIT_UNIT {
            let p = probability(logit);
            assert!(p >= before, "{logit}");
            assert_eq!(u32::from(p) + u32::from(probability(-logit)), 1 << 16, "symmetric");
            before = p;
        }
        assert_eq!((probability(i32::MIN), probability(0), probability(i32::MAX)), (1, 32_768, 65_535));
    }
}
