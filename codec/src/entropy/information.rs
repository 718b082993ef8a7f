//! Information of binary decisions, counted instead of coded: what the range coder would take, without the bytes.

use super::range_coder::BitSink;

/// Binary digits of the unit in which information is counted: 2^-24 bit.
const UNIT: u32 = 24;
/// Steps of the table between two powers of two.
const STEPS: usize = 256;

/// log2(1 + i / [`STEPS`]) in units.
static LOG2: [u32; STEPS + 1] = log2_table();

/// Adds up the information of decisions, −log2 of their probabilities.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// In units; a matrix at the format's limits has fewer than 2^40 bits.
    information: u64,
}

impl Counter {
    /// The information so far in bits.
    pub fn bits(&self) -> f64 {
        self.information as f64 / f64::from(1u32 << UNIT)
    }
}

impl BitSink for Counter {
    fn bit(&mut self, bit: bool, probability: u16) {
        let event = u32::from(probability.max(1));
        self.information += u64::from(information(if bit { event } else { (1 << 16) - event }));
    }
}

/// Information in units of a decision with probability `probability`/2^16, from 1 to 2^16 - 1: the logarithm is linear
/// between the table's entries.
fn information(probability: u32) -> u32 {
    let power = probability.ilog2();
    let mantissa = probability << (16 - power); // 2^16 to 2^17
    let (step, fraction) = ((mantissa >> 8) as usize & (STEPS - 1), mantissa & 0xff);
    let log2 = LOG2[step] + (((LOG2[step + 1] - LOG2[step]) * fraction + 128) >> 8);
    ((16 - power) << UNIT) - log2
}

const fn log2_table() -> [u32; STEPS + 1] {
    let mut table = [1 << UNIT; STEPS + 1];
    let mut step = 0;
    while step < STEPS {
        table[step] = log2((STEPS + step) as u64 * (1 << 31) / STEPS as u64);
        step += 1;
    }
    table
}

/// log2 of `number`/2^31 in units, for 2^31 up to 2^32, digit by digit: squaring a number doubles its logarithm.
const fn log2(mut number: u64) -> u32 {
    let mut digits = 0;
    let mut digit = 0;
    while digit <= UNIT {
        number = (number * number) >> 31;
        digits <<= 1;
        if number >= 1 << 32 {
            number >>= 1;
            digits |= 1;
        }
        digit += 1;
    }
    (digits + 1) >> 1 // there is a digit more than needed, to round
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn information_is_the_negative_logarithm() {
        for probability in 1..1u32 << 16 {
            let bits = f64::from(information(probability)) / f64::from(1 << UNIT);
            let exact = 16.0 - f64::from(probability).log2();
            let allowed = f64::min(3e-6, exact * 0.002); // a chord of the logarithm: (1/256)² / 8 ln 2
            assert!((bits - exact).abs() <= allowed, "{probability}: {bits}, not {exact}");
        }
    }

    #[test]
    fn both_outcomes_are_counted_by_their_own_probability() {
        let mut counter = Counter::default();
        counter.bit(true, 1 << 14);
        assert_eq!(counter.bits(), 2.0);
        counter.bit(false, 1 << 15);
        assert_eq!(counter.bits(), 3.0);
        counter.bit(false, 3 << 14);
        assert_eq!(counter.bits(), 5.0);
    }
}
