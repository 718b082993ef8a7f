//! What Symphonia 0.6 leaves out of MP4 and QuickTime files (ISO/IEC 14496-12; Apple, "QuickTime File Format").
//!
//! An AAC encoder needs some 1024 to 2112 samples to get going, and fills its last packet up. An edit list, or iTunes's
//! comment `iTunSMPB`, says where the audio proper begins and how long it lasts. Plain samples of QuickTime are
//! big-endian unless a box says otherwise. ALAC of QuickTime keeps its settings one box deeper than that of MP4.

use std::io::{self, Read, Seek};
use std::ops::Range;

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known as id;

use super::mp4_boxes::Walk;

/// What to play of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// Units of `start` and `length` per second; for audio this is the sample rate.
    pub(super) time_scale: u32,
    /// Units to leave out at the beginning.
    pub(super) start: u64,
    /// Units to play after those. Often declared in milliseconds: off by up to `tolerance`.
    pub(super) length: u64,
    /// The resolution of `length` in units.
    pub(super) tolerance: u64,
}

impl Edit {
    /// The frames to play of a track of `total`, if that is known. Where `length` merely rounds the end of the track,
    /// the track's own length counts.
    pub(super) fn range_of(self, total: Option<u64>) -> Range<u64> {
        let Some(total) = total else { return self.start..u64::MAX };
        let start = self.start.min(total);
        let rest = total - start;
        let shorter = self.length.saturating_add(self.tolerance) < rest;
        start..start + if shorter { self.length } else { rest }
    }
}

/// The first audio track of an MP4 file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Mp4 {
    /// The part of the track that is to be played.
    pub(super) edit: Option<Edit>,
    /// The true codec, where Symphonia takes another.
    pub(super) codec: Option<AudioCodecId>,
    /// Bytes of the file that Symphonia understands only in another form: position and replacement.
    pub(super) patches: Vec<(u64, Vec<u8>)>,
    /// Why the track can't be decoded.
    pub(super) unsupported: Option<String>,
}

/// Looks at the first audio track, if the file is an MP4 file. Leaves `source` anywhere.
///
/// # Errors
/// Those of reading, and of boxes that end too early: such a file is damaged or no MP4 file.
pub(super) fn find(source: &mut (impl Read + Seek + ?Sized), lenient: bool) -> io::Result<Option<Mp4>> {
    let mut walk = Walk::new(source);
    let end = walk.length()?;
    let first = walk.next(0..end)?.map(|(kind, _)| kind);
    // QuickTime files older than 2001 have no box that says what they are.
    if !first.is_some_and(|kind| [*b"ftyp", *b"moov", *b"mdat", *b"wide", *b"free", *b"skip"].contains(&kind)) {
        return Ok(None);
    }
    let Some(movie) = walk.child(0..end, b"moov")? else { return Ok(None) };
    let mut rest = movie.clone();
    while let Some((kind, track)) = walk.next(rest.clone())? {
        rest.start = track.end;
        if kind != *b"trak" {
            continue;
        }
        let Some(media) = walk.child(track.clone(), b"mdia")? else { continue };
        let Some(handler) = walk.child(media.clone(), b"hdlr")? else { continue };
        if walk.read::<4>(handler.start + 8)? != *b"soun" {
            continue;
        }
        let mut found = Mp4::default();
        if let Some(table) = walk.descendant(media.clone(), &[b"minf", b"stbl", b"stsd"])? {
            sample_entry(&mut walk, table, &mut found)?;
        }
        if let Some(time_scale) = time_scale(&mut walk, media, b"mdhd")? {
            found.edit = match walk.descendant(track, &[b"edts", b"elst"])? {
                Some(list) => edit_list(&mut walk, movie, list, time_scale)?,
                None => itunes_comment(&mut walk, movie)?.map(|(start, length)| Edit {
                    time_scale,
                    start,
                    length,
                    tolerance: 0,
                }),
            };
        }
        if lenient {
            found.patches.extend(cut_off(&mut walk, end)?);
            found.patches.sort_unstable();
        }
        return Ok(Some(found));
    }
    Ok(None)
}

/// Position and bytes of a size that means "to the end of the file" for a box that is longer than what is there:
/// Symphonia would leave out all of it.
fn cut_off<S: Read + Seek + ?Sized>(walk: &mut Walk<'_, S>, end: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut position = 0;
    while let Some((_, contents)) = walk.next(position..end)? {
        position = contents.end;
    }
    let cut = end.saturating_sub(position) >= 16 && walk.read::<4>(position + 4)? == *b"mdat";
    Ok(cut.then(|| (position, vec![0; 4])))
}

/// The time scale in a movie or media header.
fn time_scale<S: Read + Seek + ?Sized>(
    walk: &mut Walk<'_, S>,
    parent: Range<u64>,
    kind: &[u8; 4],
) -> io::Result<Option<u32>> {
    let Some(header) = walk.child(parent, kind)? else { return Ok(None) };
    let [version] = walk.read(header.start)?;
    // After version and flags: creation and modification times of 32 bits each, from version 1 on of 64.
    walk.u32(header.start + if version == 0 { 12 } else { 20 }).map(Some)
}

/// The only edit in the list that plays anything.
fn edit_list<S: Read + Seek + ?Sized>(
    walk: &mut Walk<'_, S>,
    movie: Range<u64>,
    list: Range<u64>,
    time_scale: u32,
) -> io::Result<Option<Edit>> {
    let Some(movie_scale) = self::time_scale(walk, movie, b"mvhd")? else { return Ok(None) };
    let [version] = walk.read(list.start)?;
    let count = u64::from(walk.u32(list.start + 4)?).min(3);
    let mut played = Vec::new();
    for index in 0..count {
        let (duration, start) = if version == 0 {
            let entry = list.start + 8 + 12 * index;
            (u64::from(walk.u32(entry)?), i64::from(walk.u32(entry + 4)?.cast_signed()))
        } else {
            let entry = list.start + 8 + 20 * index;
            (walk.u64(entry)?, walk.u64(entry + 8)?.cast_signed())
        };
        // A negative start is an empty edit: a pause before the track begins.
        played.extend(u64::try_from(start).ok().map(|start| (duration, start)));
    }
    let [(duration, start)] = played[..] else { return Ok(None) };
    let units = |duration: u64| u128::from(duration) * u128::from(time_scale) / u128::from(movie_scale.max(1));
    let length = u64::try_from(units(duration)).unwrap_or(u64::MAX);
    let tolerance = u64::try_from(units(1)).unwrap_or(u64::MAX) + 1;
    Ok(Some(Edit { time_scale, start, length, tolerance }))
}

/// Delay and length in frames of iTunes's comment `iTunSMPB`: hexadecimal numbers, of which the second is the delay,
/// the third the padding and the fourth the length.
fn itunes_comment<S: Read + Seek + ?Sized>(
    walk: &mut Walk<'_, S>,
    movie: Range<u64>,
) -> io::Result<Option<(u64, u64)>> {
    let Some(meta) = walk.descendant(movie, &[b"udta", b"meta"])? else { return Ok(None) };
    let Some(mut rest) = walk.child(meta.start + 4..meta.end, b"ilst")? else { return Ok(None) };
    while let Some((kind, item)) = walk.next(rest.clone())? {
        rest.start = item.end;
        if kind != *b"----" {
            continue;
        }
        let Some(name) = walk.child(item.clone(), b"name")? else { continue };
        if name.end - name.start != 12 || walk.read::<8>(name.start + 4)? != *b"iTunSMPB" {
            continue;
        }
        let Some(data) = walk.child(item, b"data")? else { continue };
        // After the type and the locale: " 00000000 00000840 000001CA 00000000003F31F6 …".
        if data.end - data.start < 8 + 44 {
            return Ok(None);
        }
        let text = walk.read::<44>(data.start + 8)?;
        let text = String::from_utf8_lossy(&text);
        let numbers: Vec<u64> = text.split(' ').filter_map(|word| u64::from_str_radix(word, 16).ok()).collect();
        return Ok(match numbers[..] {
            [_, delay, _, length] if length > 0 => Some((delay, length)),
            _ => None,
        });
    }
    Ok(None)
}

/// Reads the description of the track's samples.
fn sample_entry<S: Read + Seek + ?Sized>(walk: &mut Walk<'_, S>, table: Range<u64>, found: &mut Mp4) -> io::Result<()> {
    // After version and flags and the number of entries.
    let Some((kind, entry)) = walk.next(table.start + 8..table.end)? else { return Ok(()) };
    let start = entry.start;
    let (version, channels, bits) = (walk.u16(start + 8)?, walk.u16(start + 16)?, walk.u16(start + 18)?);
    let children = start + if version == 1 { 44 } else { 28 }..entry.end;
    match &kind {
        b"in24" | b"in32" | b"fl32" | b"fl64" if version < 2 => {
            let order = walk.descendant(children, &[b"wave", b"enda"])?;
            let little_endian = order.map_or(Ok(false), |order| Ok::<_, io::Error>(walk.u16(order.start)? == 1))?;
            found.codec = Some(plain_codec(&kind, little_endian));
        }
        b"twos" | b"sowt" if version < 2 && bits != 16 => {
            found.unsupported = Some(format!("holds {bits}-bit signed samples in QuickTime"));
        }
        // The plain samples of MP4 (ISO/IEC 23003-5), under a name that Symphonia knows.
        b"ipcm" | b"fpcm" => {
            let Some(settings) = walk.child(start + 28..entry.end, b"pcmC")? else { return Ok(()) };
            let [flags, bits] = walk.read(settings.start + 4)?;
            let name = match (kind[0], bits) {
                (b'i', 16) if flags & 1 == 1 => b"sowt",
                (b'i', 16) => b"twos",
                (b'i', 24) => b"in24",
                (b'i', 32) => b"in32",
                (b'f', 32) => b"fl32",
                (b'f', 64) => b"fl64",
                _ => {
                    found.unsupported = Some(format!("holds {bits}-bit plain samples in MP4"));
                    return Ok(());
                }
            };
            found.patches = vec![(start - 4, name.to_vec()), (start + 18, vec![0, bits])];
            found.codec = Some(plain_codec(name, flags & 1 == 1));
        }
        b"alac" if walk.child(children.clone(), b"alac")?.is_none() => {
            let Some(wave) = walk.child(children, b"wave")? else { return Ok(()) };
            if let Some(settings) = walk.child(wave.clone(), b"alac")? {
                // What comes before the settings becomes one box of no meaning, so that they follow beside it.
                let wave = wave.start - 8;
                if let Ok(size) = u32::try_from(settings.start - 8 - wave) {
                    found.patches = vec![(wave, [&size.to_be_bytes()[..], b"free"].concat())];
                }
            }
        }
        _ => {}
    }
    if found.codec.is_some() && version < 2 && channels > 2 {
        found.unsupported = Some(format!("holds plain samples of {channels} channels in QuickTime or MP4"));
    }
    if found.unsupported.is_none() {
        found.unsupported = undecodable(&kind).map(|name| format!("holds {name}"));
    }
    Ok(())
}

fn plain_codec(kind: &[u8; 4], little_endian: bool) -> AudioCodecId {
    match (kind, little_endian) {
        (b"in24", false) => id::CODEC_ID_PCM_S24BE,
        (b"in24", true) => id::CODEC_ID_PCM_S24LE,
        (b"in32", false) => id::CODEC_ID_PCM_S32BE,
        (b"in32", true) => id::CODEC_ID_PCM_S32LE,
        (b"fl32", false) => id::CODEC_ID_PCM_F32BE,
        (b"fl32", true) => id::CODEC_ID_PCM_F32LE,
        (b"fl64", false) => id::CODEC_ID_PCM_F64BE,
        (b"fl64", true) => id::CODEC_ID_PCM_F64LE,
        (b"sowt", _) => id::CODEC_ID_PCM_S16LE,
        _ => id::CODEC_ID_PCM_S16BE,
    }
}

/// Names of codecs that there is no decoder for.
fn undecodable(kind: &[u8; 4]) -> Option<&'static str> {
    Some(match kind {
        b"ac-3" => "AC-3",
        b"ec-3" => "E-AC-3",
        b"ac-4" => "AC-4",
        b"dtsc" | b"dtsh" | b"dtsl" | b"dtse" | b"dtsx" => "DTS",
        b"mlpa" => "Dolby TrueHD",
        b"samr" | b"sawb" | b"sawp" => "AMR",
        b"ima4" => "ADPCM in QuickTime",
        b"QDM2" | b"QDMC" | b"Qclp" => "a codec of early QuickTime",
        b"MAC3" | b"MAC6" => "MACE",
        b"enca" | b"drms" => "encrypted audio",
        b"mha1" | b"mhm1" => "MPEG-H",
        b"iamf" => "IAMF",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
        let size = (contents.len() as u32 + 8).to_be_bytes();
        [&size[..], kind, contents].concat()
    }

    fn header(version: u8, scale: u32) -> Vec<u8> {
        let times = if version == 0 { 8 } else { 16 };
        [&[version, 0, 0, 0][..], &vec![0; times], &scale.to_be_bytes(), &[0; 8]].concat()
    }

    fn track(handler: &[u8; 4], list: &[u8]) -> Vec<u8> {
        let handler = boxed(b"hdlr", &[&[0; 8][..], handler, &[0; 12]].concat());
        let media = boxed(b"mdia", &[boxed(b"mdhd", &header(1, 44_100)), handler].concat());
        boxed(b"trak", &[boxed(b"edts", &boxed(b"elst", list)), media].concat())
    }

    fn movie(tracks: &[Vec<u8>]) -> Vec<u8> {
        let contents = [boxed(b"mvhd", &header(0, 1000)), tracks.concat()].concat();
        [boxed(b"ftyp", b"M4A "), boxed(b"mdat", &[0; 99]), boxed(b"moov", &contents)].concat()
    }

    fn list(entries: &[(u32, i32)]) -> Vec<u8> {
        let mut bytes = [[0; 4], (entries.len() as u32).to_be_bytes()].concat();
        for (duration, start) in entries {
            bytes.extend([duration.to_be_bytes(), start.to_be_bytes(), [0, 1, 0, 0]].concat());
        }
        bytes
    }

    fn edit_of(bytes: Vec<u8>) -> Option<Edit> {
        find(&mut Cursor::new(bytes), false).unwrap().and_then(|found| found.edit)
    }

    #[test]
    fn finds_the_edit_of_the_audio_track() {
        let video = track(b"vide", &list(&[(5, 77)]));
        let audio = track(b"soun", &list(&[(120, -1), (400, 1024)]));
        let edit = edit_of(movie(&[video, audio]));
        assert_eq!(edit, Some(Edit { time_scale: 44_100, start: 1024, length: 17_640, tolerance: 45 }));
    }

    #[test]
    fn a_length_in_milliseconds_gives_way_to_the_end_of_the_track() {
        let edit = Edit { time_scale: 44_100, start: 1024, length: 17_640, tolerance: 45 };
        assert_eq!(edit.range_of(Some(1024 + 17_640 + 30)), 1024..18_694);
        assert_eq!(edit.range_of(Some(1024 + 17_640 - 3)), 1024..18_661);
        assert_eq!(edit.range_of(Some(1024 + 19_000)), 1024..18_664);
        assert_eq!(edit.range_of(Some(1000)), 1000..1000);
        assert_eq!(edit.range_of(None), 1024..u64::MAX);
    }

    #[test]
    fn leaves_other_files_and_several_edits_alone() {
        assert_eq!(find(&mut Cursor::new(movie(&[])), false).unwrap(), None);
        let several = track(b"soun", &list(&[(10, 0), (10, 500)]));
        assert_eq!(edit_of(movie(&[several])), None);
        assert_eq!(find(&mut Cursor::new(b"RIFF\0\0\0\0WAVEfmt "), false).unwrap(), None);
        assert_eq!(find(&mut Cursor::new(b""), false).unwrap(), None);
    }

    #[test]
    fn lies_about_sizes_end_the_search() {
        let good = movie(&[track(b"soun", &list(&[(400, 1024)]))]);
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = find(&mut Cursor::new(bad), true); // neither panics nor hangs
            }
        }
    }

    fn itunes(text: &str) -> Vec<u8> {
        let name = boxed(b"name", &[&[0; 4][..], b"iTunSMPB"].concat());
        let data = boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0][..], text.as_bytes()].concat());
        let item = boxed(b"----", &[boxed(b"mean", b"\0\0\0\0com.apple.iTunes"), name, data].concat());
        let meta = boxed(b"meta", &[&[0; 4][..], &boxed(b"ilst", &item)].concat());
        let handler = boxed(b"hdlr", &[&[0; 8][..], b"soun", &[0; 12]].concat());
        let media = boxed(b"mdia", &[boxed(b"mdhd", &header(0, 44_100)), handler].concat());
        let contents = [boxed(b"mvhd", &header(0, 1000)), boxed(b"trak", &media), boxed(b"udta", &meta)].concat();
        [boxed(b"ftyp", b"M4A "), boxed(b"moov", &contents)].concat()
    }

    #[test]
    fn the_comment_of_itunes_stands_in_for_an_edit_list() {
        let text = " 00000000 00000840 000001CA 00000000003F31F6 00000000 00000000";
        let edit = Edit { time_scale: 44_100, start: 0x840, length: 0x3f_31f6, tolerance: 0 };
        assert_eq!(edit_of(itunes(text)), Some(edit));
        for odd in [" 00000000 00000840", &text.replace('8', "x"), &text.replace("3F31F6", "000000")] {
            assert_eq!(edit_of(itunes(odd)), None);
        }
    }

    /// A file with one sample entry.
    fn described(kind: &[u8; 4], version: u8, channels: u8, bits: u8, children: &[u8]) -> Vec<u8> {
        let fields = [&[0, 0, 0, 0, 0, 0, 0, 1, 0, version][..], &[0; 6], &[0, channels, 0, bits], &[0; 8]].concat();
        let more = vec![0; if version == 1 { 16 } else { 0 }];
        let entry = boxed(kind, &[&fields, &more, children].concat());
        let table = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &entry].concat());
        let handler = boxed(b"hdlr", &[&[0; 8][..], b"soun", &[0; 12]].concat());
        let media = boxed(b"mdia", &[handler, boxed(b"minf", &boxed(b"stbl", &table))].concat());
        boxed(b"moov", &boxed(b"trak", &media))
    }

    #[test]
    fn plain_samples_of_quicktime_are_big_endian_unless_said_otherwise() {
        let codec = |kind, wave: &[u8]| {
            let children = boxed(b"wave", wave);
            find(&mut Cursor::new(described(kind, 1, 2, 16, &children)), false).unwrap().unwrap().codec.unwrap()
        };
        let little = boxed(b"enda", &[0, 1]);
        let big = boxed(b"enda", &[0, 0]);
        for (kind, big_endian, little_endian) in [
            (b"in24", id::CODEC_ID_PCM_S24BE, id::CODEC_ID_PCM_S24LE),
            (b"in32", id::CODEC_ID_PCM_S32BE, id::CODEC_ID_PCM_S32LE),
            (b"fl32", id::CODEC_ID_PCM_F32BE, id::CODEC_ID_PCM_F32LE),
            (b"fl64", id::CODEC_ID_PCM_F64BE, id::CODEC_ID_PCM_F64LE),
        ] {
            assert_eq!(
                (codec(kind, &big), codec(kind, &[]), codec(kind, &little)),
                (big_endian, big_endian, little_endian)
            );
        }
        let surround = find(&mut Cursor::new(described(b"in24", 1, 6, 16, &[])), false).unwrap().unwrap();
        assert!(surround.unsupported.unwrap().contains("6 channels"));
        let eight = find(&mut Cursor::new(described(b"twos", 0, 2, 8, &[])), false).unwrap().unwrap();
        assert!(eight.unsupported.unwrap().contains("8-bit"));
    }

    #[test]
    fn settings_of_alac_are_brought_to_where_symphonia_looks() {
        let settings = boxed(b"alac", &[0; 28]);
        let wave = boxed(b"wave", &[boxed(b"frma", b"alac"), settings, boxed(b"\0\0\0\0", &[])].concat());
        let mut bytes = described(b"alac", 1, 2, 16, &wave);
        let found = find(&mut Cursor::new(&bytes[..]), false).unwrap().unwrap();
        let [(position, patch)] = &found.patches[..] else { panic!("{found:?}") };
        let at = *position as usize;
        assert_eq!(&bytes[at + 4..at + 8], b"wave");
        bytes[at..at + 8].copy_from_slice(patch);
        assert_eq!(&bytes[at + usize::from(patch[3]) + 4..][..4], b"alac");
        // In MP4 they are there already.
        let found =
            find(&mut Cursor::new(described(b"alac", 0, 2, 16, &boxed(b"alac", &[0; 28]))), false).unwrap().unwrap();
        assert_eq!(found, Mp4::default());
    }

    #[test]
    fn plain_samples_of_mp4_get_a_name_of_quicktime() {
        let settings = boxed(b"pcmC", &[0, 0, 0, 0, 1, 24]);
        let found = find(&mut Cursor::new(described(b"ipcm", 0, 2, 16, &settings)), false).unwrap().unwrap();
        assert_eq!(found.codec, Some(id::CODEC_ID_PCM_S24LE));
        assert_eq!((found.patches[0].1.as_slice(), found.patches[1].1.as_slice()), (&b"in24"[..], &[0u8, 24][..]));
    }

    #[test]
    fn a_box_that_is_cut_off_goes_to_the_end_of_the_file() {
        let mut bytes = [described(b"mp4a", 0, 2, 16, &[]), boxed(b"mdat", &[0; 99])].concat();
        let at = bytes.len() - 107;
        bytes.truncate(at + 60);
        let patches = |lenient| find(&mut Cursor::new(&bytes), lenient).unwrap().unwrap().patches;
        assert_eq!((patches(true), patches(false)), (vec![(at as u64, vec![0; 4])], vec![]));
    }
}
