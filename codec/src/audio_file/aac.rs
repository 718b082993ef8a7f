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

/// Looks for spectral band replication in packets, where the settings don't announce it.
///
/// Its data is in a fill element at the end of a packet (ISO/IEC 14496-3, 4.4.2.1 and 4.4.2.8). What comes before can't be
/// parsed without decoding it, but the end is clear: a mark of three ones, then zeros up to a whole byte. So all lengths
/// that a fill element can have are tried from there. A packet without one looks as if it had one once in some sixty
/// times; most packets of a stream do so only if they have one.
#[derive(Debug, Default)]
pub(super) struct Replication {
    packets: u32,
    hits: u32,
}

impl Replication {
    /// Packets looked at.
    const PACKETS: u32 = 16;
    /// How many of them must have the data.
    const ENOUGH: u32 = 12;

    /// Takes the next packet; true once it is clear that there is such data.
    pub(super) fn push(&mut self, packet: &[u8]) -> bool {
        if self.packets < Self::PACKETS {
            self.packets += 1;
            self.hits += u32::from(has_replication(packet));
        }
        self.packets == Self::PACKETS && self.hits >= Self::ENOUGH
    }
}

fn has_replication(packet: &[u8]) -> bool {
    let Some(last) = packet.iter().rposition(|&byte| byte != 0) else { return false };
    let end = 8 * last + 8 - packet[last].trailing_zeros() as usize;
    let bits = |from: usize, count: usize| Bits { bytes: packet, position: from }.take(count);
    if end < 3 || bits(end - 3, 3) != Some(7) {
        return false;
    }
    let mut end = end - 3;
    // The encoder may fill packets up behind it.
    for _ in 0..3 {
        // Identifier, number of bytes, and from 15 bytes on a second number.
        let element = |bytes: usize| {
            let head = if bytes < 15 { 7 } else { 15 };
            let start = end.checked_sub(8 * bytes + head)?;
            let number = (bytes < 15 && bits(start + 3, 4)? == bytes as u32)
                || (bytes >= 15 && bits(start + 3, 4)? == 15 && bits(start + 7, 8)? == bytes as u32 - 14);
            (bits(start, 3)? == 6 && number).then_some((start, bits(start + head, 4)?))
        };
        let elements: Vec<(usize, u32)> = (1..270).filter_map(element).collect();
        if elements.iter().any(|(_, kind)| [13, 14].contains(kind)) {
            return true;
        }
        match elements.iter().find(|(_, kind)| *kind < 2) {
            Some(&(start, _)) => end = start,
            None => return false,
        }
    }
    false
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

    /// A packet of pseudo-random bits, then elements as (bytes, kind), then the end.
    fn packet(seed: u32, elements: &[(usize, u8)]) -> Vec<u8> {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 20 & 1 == 1
        };
        let mut bits: Vec<bool> = (0..1000 + seed as usize % 8).map(|_| random()).collect();
        let number = |value: usize, count: usize| (0..count).rev().map(move |bit| value >> bit & 1 == 1);
        for &(bytes, kind) in elements {
            bits.extend(number(6, 3).chain(number(bytes.min(15), 4)));
            bits.extend(number(bytes.saturating_sub(14), if bytes < 15 { 0 } else { 8 }));
            bits.extend(number(kind.into(), 4));
            bits.extend((0..8 * bytes - 4).map(|_| random()));
        }
        bits.extend([true; 3]);
        bits.resize(bits.len().next_multiple_of(8), false);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |value, &bit| value << 1 | u8::from(bit))).collect()
    }

    #[test]
    fn replication_is_found_where_it_is_and_only_there() {
        let found = |elements: &[(usize, u8)]| {
            let mut replication = Replication::default();
            (0..20).any(|seed| replication.push(&packet(seed, elements)))
        };
        for elements in [&[(5, 13)][..], &[(40, 13)], &[(269, 14)], &[(15, 13)], &[(30, 14), (3, 0)]] {
            assert!(found(elements), "{elements:?}");
        }
        for elements in [&[][..], &[(5, 0)], &[(40, 1)], &[(20, 11)]] {
            assert!(!found(elements), "{elements:?}");
        }
        assert!(!has_replication(&[]) && !has_replication(&[0; 9]) && !has_replication(&[0xff]));
        // By chance in few packets.
        let chance = (0..1000).filter(|&seed| has_replication(&packet(seed, &[]))).count();
        assert!(chance < 60, "{chance} of 1000");
    }
}
