//! The settings of an AAC stream (`AudioSpecificConfig`: ISO/IEC 14496-3, 1.6.2.1), as far as they tell whether it can
//! be decoded: Symphonia decodes the low-complexity profile in mono and stereo.

/// Why a stream can't be decoded; nothing if it can, or if that only shows later.
pub(super) fn undecodable(config: &[u8]) -> Option<String> {
    let mut bits = Bits { bytes: config, position: 0 };
    let kind = bits.object_type()?;
    let rate_index = bits.take(4)?;
    if rate_index == 15 {
        bits.take(24)?;
    }
    let channels = bits.take(4)?;
    if let Some(name) = name_of(kind) {
        return Some(format!("holds {name}"));
    }
    if channels > 2 {
        // 7 stands for 7.1; 11, 12 and 14 for layouts of 7, 8 and 8 channels.
        let count = match channels {
            7 | 12 | 14 => 8,
            11 => 7,
            count => count,
        };
        return Some(format!("holds AAC of {count} channels"));
    }
    if channels == 0 {
        return None; // the layout follows in a form of its own
    }
    // Spectral band replication may be announced behind the settings, where old decoders don't look.
    bits.take(1)?;
    if bits.take(1)? == 1 {
        bits.take(14)?;
    }
    bits.take(1)?;
    let announced = bits.take(11)? == 0x2b7 && bits.object_type()? == 5 && bits.take(1)? == 1;
    announced.then(|| "holds HE-AAC".into())
}

fn name_of(object_type: u32) -> Option<&'static str> {
    Some(match object_type {
        2 => return None,
        1 => "AAC of the main profile",
        3 => "AAC with a scalable sampling rate",
        4 => "AAC with long-term prediction",
        5 | 29 => "HE-AAC",
        23 => "AAC-LD",
        39 => "AAC-ELD",
        42 => "xHE-AAC",
        _ => "a kind of AAC",
    })
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for position in self.position..self.position + count {
            let byte = self.bytes.get(position / 8)?;
            value = value << 1 | u32::from(byte >> (7 - position % 8) & 1);
        }
        self.position += count;
        Some(value)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            kind => Some(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_complexity_in_mono_and_stereo_passes() {
        for config in [[0x12, 0x10], [0x12, 0x08], [0x11, 0x90]] {
            assert_eq!(undecodable(&config), None);
        }
        assert_eq!(undecodable(&[]), None);
        // libavcodec writes the extension behind the settings, with the flag off.
        assert_eq!(undecodable(&[0x12, 0x10, 0x56, 0xe5, 0x00]), None);
    }

    #[test]
    fn other_kinds_are_named() {
        // Object type 5, 22.05 kHz, stereo, extended to 44.1 kHz; parametric stereo; the extension behind.
        for config in [&[0x2b, 0x92, 0x08, 0x00][..], &[0xeb, 0x8a, 0x08, 0x00], &[0x13, 0x90, 0x56, 0xe5, 0xa0]] {
            assert_eq!(undecodable(config).as_deref(), Some("holds HE-AAC"), "{config:x?}");
        }
        assert!(undecodable(&[0x12, 0x30]).unwrap().contains("6 channels"));
        assert!(undecodable(&[0x0a, 0x10]).unwrap().contains("main profile"));
    }
}
