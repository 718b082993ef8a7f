//! Samples as the bytes and integers that files hold.

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleFormat {
    /// 16-bit integers, rounded to nearest.
    Int16,
    /// 24-bit integers, rounded to nearest.
    Int24,
    /// 32-bit floating point.
    Float32,
}

impl SampleFormat {
    /// Bits of a sample.
    pub fn bits(self) -> u16 {
        match self {
            Self::Int16 => 16,
            Self::Int24 => 24,
            Self::Float32 => 32,
        }
    }

    /// Appends the little-endian bytes of samples whose full scale is ±1. Integers clip beyond it.
    pub(super) fn append(self, samples: &[f32], bytes: &mut Vec<u8>) {
        match self {
            Self::Int16 => bytes.extend(samples.iter().flat_map(|&x| (integer(x, 16) as i16).to_le_bytes())),
            Self::Int24 => bytes.extend(samples.iter().flat_map(|&x| integer(x, 24).to_le_bytes().into_iter().take(3))),
            Self::Float32 => bytes.extend(samples.iter().flat_map(|x| x.to_le_bytes())),
        }
    }
}

/// The nearest integer of so many bits, at most 24.
pub(super) fn integer(sample: f32, bits: u32) -> i32 {
    let scale = (1u32 << (bits - 1)) as f32;
    (sample * scale).round().clamp(-scale, scale - 1.0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_to_nearest_and_clip() {
        let step = 1.0 / 32_768.0;
        let samples = [0.49 * step, 0.51 * step, -0.51 * step, 1.0, -1.0, 7.0, -7.0];
        assert_eq!(samples.map(|x| integer(x, 16)), [0, 1, -1, 32_767, -32_768, 32_767, -32_768]);
        assert_eq!([step, -step, 1.0, -1.0].map(|x| integer(x, 24)), [256, -256, 8_388_607, -8_388_608]);
        assert_eq!(integer(f32::NAN, 16), 0);
        let mut bytes = Vec::new();
        SampleFormat::Int24.append(&[-step, 0.5], &mut bytes);
        SampleFormat::Int16.append(&[-step], &mut bytes);
        assert_eq!(bytes, [0, 0xff, 0xff, 0, 0, 0x40, 0xff, 0xff]);
    }
}
