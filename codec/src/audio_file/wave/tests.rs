//! Tests of WAV, RF64, BW64 and W64 headers.

use std::io::Cursor;

use super::*;

/// A file of which only the beginning is written out; the rest are bytes that are no chunk, up to a tail.
struct Long {
    head: Vec<u8>,
    tail: Vec<u8>,
    length: u64,
    position: u64,
}

impl Read for Long {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (self.length - self.position.min(self.length)).min(buffer.len() as u64) as usize;
        let tail = self.length - self.tail.len() as u64;
        for (at, byte) in (self.position..).zip(&mut buffer[..count]) {
            *byte = match self.head.get(usize::try_from(at).unwrap_or(usize::MAX)) {
                Some(&byte) => byte,
                None if at >= tail => self.tail[(at - tail) as usize],
                None => 0x81,
            };
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Long {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::End(offset) => self.length.checked_add_signed(offset).unwrap(),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset).unwrap(),
        };
        Ok(self.position)
    }
}

fn chunk(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    [&kind[..], &(contents.len() as u32).to_le_bytes(), contents].concat()
}

fn format(tag: u16, channels: u16, bits: u16, align: u16) -> Vec<u8> {
    let rate = 44_100u32;
    let fields = [tag.to_le_bytes(), channels.to_le_bytes()].concat();
    let rates = [rate.to_le_bytes(), (rate * u32::from(align)).to_le_bytes()].concat();
    [fields, rates, align.to_le_bytes().to_vec(), bits.to_le_bytes().to_vec()].concat()
}

fn extensible(channels: u16, bits: u16, align: u16, valid: u16, mask: u32) -> Vec<u8> {
    let mut bytes = format(0xfffe, channels, bits, align);
    bytes.extend([22, 0]);
    bytes.extend(valid.to_le_bytes());
    bytes.extend(mask.to_le_bytes());
    bytes.extend(b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
    bytes
}

/// A RIFF file of these chunks whose header says it is `riff` bytes long.
fn riff(riff: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    [&b"RIFF"[..], &riff.to_le_bytes(), b"WAVE", &chunks.concat()].concat()
}

fn whole(chunks: &[Vec<u8>]) -> Vec<u8> {
    riff(chunks.concat().len() as u32 + 4, chunks)
}

fn read(bytes: &[u8]) -> Wave {
    find(&mut Cursor::new(bytes)).unwrap().unwrap()
}

/// Where the samples are, by the last piece.
fn samples(wave: &Wave) -> Range<u64> {
    match wave.pieces.last() {
        Some(Piece::Range(range)) => range.clone(),
        other => panic!("{other:?}"),
    }
}

/// Bits and alignment that Symphonia is told.
fn told(format: Vec<u8>) -> (u16, u16) {
    let wave = read(&whole(&[chunk(b"fmt ", &format), chunk(b"data", &[0; 48])]));
    let Some(Piece::Bytes(header)) = wave.pieces.first() else { panic!("no header") };
    (u16_at(header, 34), u16_at(header, 32))
}

fn plain() -> Vec<u8> {
    chunk(b"fmt ", &format(1, 2, 16, 4))
}

/// The header of a data chunk that claims `size` bytes.
fn data(size: u32, contents: &[u8]) -> Vec<u8> {
    [&b"data"[..], &size.to_le_bytes(), contents].concat()
}

const SOUND: [u8; 40] = [0x81; 40];

#[test]
fn a_file_in_good_order_passes_without_remark() {
    let bytes = whole(&[chunk(b"LIST", b"INFOINAM\x02\0\0\0ab"), plain(), data(40, &SOUND), chunk(b"id3 ", b"ID3.")]);
    let wave = read(&bytes);
    assert_eq!((samples(&wave), wave.length, wave.remarks.len()), (66..106, Length::Declared, 0));
    assert_eq!(wave.tags.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [*b"LIST", *b"id3 "]);
    assert!(!wave.has_layout);
    assert!(find(&mut Cursor::new(b"RIFF\0\0\0\0AVI LIST")).unwrap().is_none());
    assert!(find(&mut Cursor::new(b"RI")).unwrap().is_none());
}

#[test]
fn samples_take_the_bytes_that_alignment_and_byte_rate_agree_on() {
    for (bits, align, expected) in
        [(24, 8, 32), (24, 6, 24), (20, 6, 24), (12, 4, 16), (16, 8, 32), (16, 2, 16), (8, 2, 8)]
    {
        assert_eq!(told(format(1, 2, bits, align)), (expected, expected / 4), "{bits} bits, {align} bytes");
    }
    assert_eq!(told(extensible(2, 32, 8, 24, 3)), (32, 8));
    assert_eq!(told(extensible(2, 24, 8, 24, 3)), (32, 8));
    // A byte rate that says otherwise: the bits count.
    let mut odd = format(1, 2, 16, 8);
    odd[8] ^= 1;
    assert_eq!(told(odd), (16, 4));
    for (tag, bits, align) in [(1, 40, 10), (1, 0, 0), (1, 16, 64), (3, 16, 4), (3, 32, 16)] {
        let bytes = whole(&[chunk(b"fmt ", &format(tag, 2, bits, align)), chunk(b"data", &SOUND)]);
        assert!(matches!(find(&mut Cursor::new(bytes)), Err(Fault::Unsupported(_))), "{tag} {bits} {align}");
    }
}

#[test]
fn codecs_without_a_decoder_are_named() {
    for (tag, name) in [(0x31, "GSM"), (0x161, "Windows Media"), (0x2000, "AC-3"), (0x1234, "0x1234")] {
        let bytes = whole(&[chunk(b"fmt ", &format(tag, 2, 0, 4)), chunk(b"data", &SOUND)]);
        match find(&mut Cursor::new(bytes)) {
            Err(Fault::Unsupported(reason)) => assert!(reason.contains(name), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    let mp3 = read(&whole(&[chunk(b"fmt ", &format(0x55, 2, 0, 1)), chunk(b"data", &SOUND)]));
    assert_eq!(mp3.pieces, [Piece::Range(44..84)]);
}

#[test]
fn adpcm_ends_where_its_number_of_frames_says_if_that_makes_sense() {
    let block = [format(0x11, 1, 4, 20), vec![2, 0, 33, 0]].concat(); // 33 frames in 20 bytes
    let length = |frames: u32| {
        let fact = chunk(b"fact", &frames.to_le_bytes());
        read(&whole(&[chunk(b"fmt ", &block), fact, data(40, &SOUND)])).length
    };
    assert_eq!((length(66), length(34)), (Length::Padded(66), Length::Padded(34)));
    assert_eq!((length(33), length(67), length(0)), (Length::Declared, Length::Declared, Length::Declared));
}

#[test]
fn sizes_that_a_dying_recorder_left_are_read_to_the_end() {
    for (whole, size) in [(0, 0), (36, 0), (u32::MAX, u32::MAX), (0x7fff_f024, 0x7fff_f000), (0x8000_0023, 0x7fff_ffff)]
    {
        let wave = read(&riff(whole, &[plain(), data(size, &SOUND)]));
        assert_eq!(
            (samples(&wave), wave.length, wave.remarks.len()),
            (44..84, Length::Unknown, 1),
            "{whole:#x} {size:#x}"
        );
    }
    // SoX rounds to whole frames, here of 6 bytes.
    let wave = read(&riff(0x7fff_f024, &[chunk(b"fmt ", &format(1, 2, 24, 6)), data(0x7fff_f000 / 6 * 6, &SOUND)]));
    assert_eq!(wave.length, Length::Unknown);
    // Really empty: nothing follows, or whole chunks do.
    for rest in [vec![], chunk(b"LIST", b"INFO")] {
        let wave = read(&whole(&[plain(), data(0, &[]), rest]));
        assert_eq!((samples(&wave), wave.length, wave.remarks.len()), (44..44, Length::Declared, 0));
    }
}

#[test]
fn a_wrong_size_of_the_file_is_remarked_upon_and_the_size_of_the_data_counts() {
    for size in [0, 36, 70, 0x7fff_ffff] {
        let wave = read(&riff(size, &[plain(), data(40, &SOUND)]));
        assert_eq!((samples(&wave), wave.length, wave.remarks.len()), (44..84, Length::Declared, 1), "{size}");
    }
    // More declared than there is: the reader will find it missing.
    let wave = read(&riff(136, &[plain(), data(100, &SOUND)]));
    assert_eq!((samples(&wave), wave.remarks.len()), (44..84, 0));
}

#[test]
fn chunks_of_odd_length_may_lack_their_padding() {
    for (size, padding) in [(3, &b"\0"[..]), (3, b"")] {
        let odd = [&b"abcd"[..], &[size, 0, 0, 0], &[1; 3], padding].concat();
        let wave = read(&whole(&[plain(), odd, data(40, &SOUND)]));
        assert_eq!(samples(&wave).end, 44 + 11 + padding.len() as u64 + 40);
    }
    let odd_data = read(&whole(&[plain(), data(39, &SOUND), chunk(b"LIST", b"INFO")]));
    assert_eq!((samples(&odd_data), odd_data.tags.len()), (44..83, 1));
}

#[test]
fn a_second_data_chunk_is_not_lost_without_a_word() {
    let wave = read(&whole(&[plain(), data(40, &SOUND), data(40, &SOUND)]));
    assert_eq!((samples(&wave), wave.remarks.len()), (44..84, 1));
}

#[test]
fn sizes_that_wrapped_are_unwrapped() {
    const GIB: u64 = 1 << 30;
    let (long, list) = (5 * GIB + 4, chunk(b"LIST", b"INFO"));
    for (tail, expected) in [(vec![], 44 + long), (list, 44 + long)] {
        let head = riff((36 + long + tail.len() as u64) as u32, &[plain(), data(long as u32, &[])]);
        let length = head.len() as u64 + long + tail.len() as u64;
        let wave = find(&mut Long { head, tail, length, position: 0 }).unwrap().unwrap();
        assert_eq!((samples(&wave), wave.length), (44..expected, Length::Frames(long / 4)));
        assert_eq!(wave.remarks.len(), 1);
    }
    // What follows makes no sense: to the end of the file.
    let head = riff(0, &[plain(), data(1000, &[])]);
    let wave = find(&mut Long { head, tail: vec![], length: 44 + long, position: 0 }).unwrap().unwrap();
    assert_eq!((samples(&wave), wave.length, wave.remarks.len()), (44..44 + long, Length::Unknown, 1));
}

#[test]
fn rf64_and_wave64_sizes_have_64_bits() {
    let long = (1u64 << 33) + 4;
    for name in [b"RF64", b"BW64"] {
        let sizes = [[36 + 36 + long, long, long / 4].map(u64::to_le_bytes).concat(), vec![0; 4]].concat();
        let mut head = riff(u32::MAX, &[chunk(b"ds64", &sizes), plain(), data(u32::MAX, &[])]);
        head[..4].copy_from_slice(name);
        let length = head.len() as u64 + long;
        let wave = find(&mut Long { head, tail: vec![], length, position: 0 }).unwrap().unwrap();
        assert_eq!((samples(&wave), wave.length, wave.remarks.len()), (80..80 + long, Length::Frames(long / 4), 0));
    }
    // Without the long sizes, as a recorder that died leaves it.
    let mut bytes = riff(u32::MAX, &[chunk(b"ds64", &[0; 28]), plain(), data(u32::MAX, &SOUND)]);
    bytes[..4].copy_from_slice(b"RF64");
    assert_eq!((samples(&read(&bytes)), read(&bytes).length), (80..120, Length::Unknown));

    let long_chunk = |kind: &[u8; 4], contents: &[u8], padding: usize| {
        let size = (contents.len() as u64 + 24).to_le_bytes();
        [
            &kind[..],
            &[0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a],
            &size,
            contents,
            &vec![0; padding],
        ]
        .concat()
    };
    let chunks = [long_chunk(b"fmt ", &format(1, 2, 16, 4), 0), long_chunk(b"data", &SOUND, 0)].concat();
    let mut bytes =
        [&b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"[..], &(40 + chunks.len() as u64).to_le_bytes()].concat();
    bytes.extend(b"wave\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a");
    bytes.extend(chunks);
    let wave = read(&bytes);
    assert_eq!((samples(&wave), wave.remarks.len()), (104..144, 0));
}

#[test]
fn damage_neither_panics_nor_hangs() {
    let good = whole(&[
        chunk(b"LIST", b"INFOINAM\x03\0\0\0abc\0"),
        chunk(b"fmt ", &extensible(2, 32, 8, 24, 3)),
        data(40, &SOUND),
    ]);
    for at in 0..good.len() {
        for value in [0, 1, 0x20, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = find(&mut Cursor::new(&bad));
            let _ = find(&mut Cursor::new(&bad[..at]));
        }
    }
}
