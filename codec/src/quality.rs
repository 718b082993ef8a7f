//! The two numbers of a file that set how it sounds: the quality that the encoder was asked for, and the gain.

use crate::{Error, Result};

/// Rate conditioning of the network, from the fewest events to the most, in 65,536 steps as a file stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(u16);

impl Quality {
    /// The fewest events.
    pub const LOWEST: Self = Self(0);
    /// The most events.
    pub const HIGHEST: Self = Self(u16::MAX);

    /// A quality from 0 (the smallest file) to 100 (the largest).
    ///
    /// # Errors
    /// [`Error::Usage`] for any other number.
    pub fn from_percent(percent: f64) -> Result<Self> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(Error::usage(format!("the quality must be from 0 to 100, not {percent}")));
        }
        Ok(Self((percent / 100.0 * f64::from(u16::MAX)).round() as u16))
    }

    /// From 0 to 100.
    pub fn percent(self) -> f64 {
        100.0 * f64::from(self.0) / f64::from(u16::MAX)
    }

    /// From 0 to 1, as the network sees it.
    pub fn fraction(self) -> f32 {
        (f64::from(self.0) / f64::from(u16::MAX)) as f32
    }

    /// The quality with its number in a file.
    pub const fn from_stored(stored: u16) -> Self {
        Self(stored)
    }

    /// Its number in a file.
    pub const fn stored(self) -> u16 {
        self.0
    }
}

/// Gain that was applied before coding, in steps of 1/256 dB; a decoder takes it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gain(i16);

impl Gain {
    /// 128 dB: whatever a decoder makes of a file with this gain, it is silent.
    pub const LARGEST: Self = Self(i16::MAX);
    /// Steps in a decibel.
    const STEPS: f64 = 256.0;

    /// The gain nearest to a factor above 0.
    pub fn from_factor(factor: f32) -> Self {
        Self((20.0 * f64::from(factor).log10() * Self::STEPS).round() as i16)
    }

    /// The factor that samples are multiplied by.
    pub fn factor(self) -> f32 {
        10f64.powf(self.decibels() / 20.0) as f32
    }

    /// In decibels.
    pub fn decibels(self) -> f64 {
        f64::from(self.0) / Self::STEPS
    }

    /// The gain less some decibels, within the range that a file can store.
    pub fn less(self, decibels: f64) -> Self {
        Self(self.0.saturating_sub((decibels * Self::STEPS).round() as i16))
    }

    /// The gain with its number in a file.
    pub const fn from_stored(stored: i16) -> Self {
        Self(stored)
    }

    /// Its number in a file.
    pub const fn stored(self) -> i16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_come_back_to_the_step() {
        for (percent, stored) in [(0.0, 0), (50.0, 32_768), (100.0, 65_535)] {
            let quality = Quality::from_percent(percent).unwrap();
            assert_eq!(quality.stored(), stored);
            assert!((quality.percent() - percent).abs() < 0.001);
        }
        assert_eq!((Quality::LOWEST.fraction(), Quality::HIGHEST.fraction()), (0.0, 1.0));
        for wrong in [-0.1, 100.1, f64::NAN] {
            assert!(matches!(Quality::from_percent(wrong), Err(Error::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn factors_come_back_within_half_a_step() {
        for factor in [0.01f32, 0.5, 1.0, 2.0, 99.0] {
            let ratio = f64::from(Gain::from_factor(factor).factor() / factor);
            assert!((20.0 * ratio.log10()).abs() <= 0.5 / 256.0 + 1e-6, "{factor}");
        }
        assert_eq!(Gain::from_factor(2.0).less(6.0206), Gain::default());
        assert_eq!(Gain::LARGEST.less(-1000.0), Gain::LARGEST);
    }
}
