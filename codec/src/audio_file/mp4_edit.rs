//! The part of an MP4 track that is to be played, from its edit list (ISO/IEC 14496-12, 8.6.5 and 8.6.6).
//!
//! An AAC encoder needs some 1024 to 2112 samples to get going, and fills its last packet up. The edit list says where
//! the audio proper begins and how long it lasts; Symphonia 0.6 reads it but doesn't act on it. Only what is needed for
//! that is parsed here: box headers, and the time scales, handlers and edit lists of tracks.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// The most boxes looked at, so that a file made of tiny boxes can't keep us busy.
const MAX_BOXES: usize = 10_000;

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

/// The edit of the first audio track, if the file is an MP4 file that has exactly one. Leaves `source` anywhere.
///
/// # Errors
/// Those of reading, and of boxes that end too early: such a file is damaged or no MP4 file.
pub(super) fn find(source: &mut (impl Read + Seek + ?Sized)) -> io::Result<Option<Edit>> {
    let mut walk = Walk { source, boxes_left: MAX_BOXES };
    let end = walk.source.seek(SeekFrom::End(0))?;
    if !matches!(walk.next(0..end)?, Some((kind, _)) if kind == *b"ftyp") {
        return Ok(None);
    }
    let Some(movie) = walk.child(0..end, b"moov")? else { return Ok(None) };
    let Some(movie_scale) = walk.time_scale(movie.clone(), b"mvhd")? else { return Ok(None) };
    let mut rest = movie;
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
        let Some(time_scale) = walk.time_scale(media, b"mdhd")? else { return Ok(None) };
        let Some(edits) = walk.child(track, b"edts")? else { return Ok(None) };
        let Some(list) = walk.child(edits, b"elst")? else { return Ok(None) };
        let Some((duration, start)) = walk.single_edit(list)? else { return Ok(None) };
        let units = |duration: u64| u128::from(duration) * u128::from(time_scale) / u128::from(movie_scale.max(1));
        let length = u64::try_from(units(duration)).unwrap_or(u64::MAX);
        let tolerance = u64::try_from(units(1)).unwrap_or(u64::MAX) + 1;
        return Ok(Some(Edit { time_scale, start, length, tolerance }));
    }
    Ok(None)
}

struct Walk<'a, S: ?Sized> {
    source: &'a mut S,
    boxes_left: usize,
}

impl<S: Read + Seek + ?Sized> Walk<'_, S> {
    fn read<const N: usize>(&mut self, position: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.seek(SeekFrom::Start(position))?;
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self, position: u64) -> io::Result<u32> {
        self.read(position).map(u32::from_be_bytes)
    }

    fn u64(&mut self, position: u64) -> io::Result<u64> {
        self.read(position).map(u64::from_be_bytes)
    }

    /// The kind and contents of the box that begins at the start of `range`, none if there is no room for one.
    fn next(&mut self, range: Range<u64>) -> io::Result<Option<([u8; 4], Range<u64>)>> {
        let Range { start, end } = range;
        if end.saturating_sub(start) < 8 || self.boxes_left == 0 {
            return Ok(None);
        }
        self.boxes_left -= 1;
        let kind = self.read(start + 4)?;
        let (header, size) = match self.u32(start)? {
            0 => (8, end - start), // to the end
            1 => (16, self.u64(start + 8)?),
            size => (8, u64::from(size)),
        };
        let whole = size >= header && size <= end - start;
        Ok(whole.then(|| (kind, start + header..start + size)))
    }

    /// The contents of the first box of a kind.
    fn child(&mut self, mut range: Range<u64>, kind: &[u8; 4]) -> io::Result<Option<Range<u64>>> {
        while let Some((found, contents)) = self.next(range.clone())? {
            if found == *kind {
                return Ok(Some(contents));
            }
            range.start = contents.end;
        }
        Ok(None)
    }

    /// The time scale in a movie or media header.
    fn time_scale(&mut self, parent: Range<u64>, kind: &[u8; 4]) -> io::Result<Option<u32>> {
        let Some(header) = self.child(parent, kind)? else { return Ok(None) };
        let [version] = self.read(header.start)?;
        // After version and flags: creation and modification times of 32 bits each, from version 1 on of 64.
        self.u32(header.start + if version == 0 { 12 } else { 20 }).map(Some)
    }

    /// Duration (in the movie's units) and start (in the media's) of the only edit that plays anything.
    fn single_edit(&mut self, list: Range<u64>) -> io::Result<Option<(u64, u64)>> {
        let [version] = self.read(list.start)?;
        let count = u64::from(self.u32(list.start + 4)?).min(3);
        let mut played = Vec::new();
        for index in 0..count {
            let (duration, start) = if version == 0 {
                let entry = list.start + 8 + 12 * index;
                (u64::from(self.u32(entry)?), i64::from(self.u32(entry + 4)?.cast_signed()))
            } else {
                let entry = list.start + 8 + 20 * index;
                (self.u64(entry)?, self.u64(entry + 8)?.cast_signed())
            };
            // A negative start is an empty edit: a pause before the track begins.
            played.extend(u64::try_from(start).ok().map(|start| (duration, start)));
        }
        Ok(if let [only] = played[..] { Some(only) } else { None })
    }
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

    #[test]
    fn finds_the_edit_of_the_audio_track() {
        let video = track(b"vide", &list(&[(5, 77)]));
        let audio = track(b"soun", &list(&[(120, -1), (400, 1024)]));
        let edit = find(&mut Cursor::new(movie(&[video, audio]))).unwrap();
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
        assert_eq!(find(&mut Cursor::new(movie(&[]))).unwrap(), None);
        let several = track(b"soun", &list(&[(10, 0), (10, 500)]));
        assert_eq!(find(&mut Cursor::new(movie(&[several]))).unwrap(), None);
        assert_eq!(find(&mut Cursor::new(b"RIFF\0\0\0\0WAVEfmt ")).unwrap(), None);
        assert_eq!(find(&mut Cursor::new(b"")).unwrap(), None);
    }

    #[test]
    fn lies_about_sizes_end_the_search() {
        let good = movie(&[track(b"soun", &list(&[(400, 1024)]))]);
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = find(&mut Cursor::new(bad)); // neither panics nor hangs
            }
        }
    }
}
