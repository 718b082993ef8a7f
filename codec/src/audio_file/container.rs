//! A look at a file before Symphonia reads it: what it is, and what Symphonia would take wrongly or refuse without
//! need.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::io::MediaSource;

use super::mp4::Edit;
use super::view::{Piece, View, patched};
use super::wave::{self, Length};
use super::{flac, iff, kinds, matroska, mp3, mp4, ogg, trailer};
use crate::{AudioFault, Error, Result};

/// The most bytes at the beginning that tell what a file is.
const HEAD: usize = 1024;

const CUT_OFF: &str = "ends before its header says; truncated?";

/// A file as Symphonia is to read it, and what it should know besides.
pub(super) struct Container {
    pub(super) source: Box<dyn MediaSource>,
    /// What the file is, if it is something that can't be decoded. Symphonia gets a chance all the same.
    pub(super) kind: Option<&'static str>,
    /// The name that the file gives to its compression.
    pub(super) compression: Option<String>,
    /// The codec, where Symphonia would take another.
    pub(super) codec: Option<AudioCodecId>,
    /// The part of the audio that is to be played.
    pub(super) edit: Option<Edit>,
    /// What the header says of the length.
    pub(super) length: Length,
    /// Whether the format says which loudspeaker each channel is for.
    pub(super) has_layout: bool,
    /// Nanoseconds at the end that are not to be played.
    pub(super) end_padding: u64,
    /// Contents of chunks with tags that Symphonia does not read.
    pub(super) tags: Vec<([u8; 4], Vec<u8>)>,
    /// What was odd.
    pub(super) remarks: Vec<String>,
}

impl Container {
    /// # Errors
    /// For files that hold what can't be decoded, with the reason; otherwise, damage is left to Symphonia to name.
    pub(super) fn open(name: &Path, mut source: Box<dyn MediaSource>, lenient: bool) -> Result<Self> {
        let unsupported = |reason: &str| Error::audio(name, AudioFault::Unsupported, undecodable(reason));
        let head = first_bytes(source.as_mut()).unwrap_or_default();
        if let Some(reason) = kinds::not_audio(&head) {
            return Err(Error::audio(name, AudioFault::Unsupported, reason));
        }
        if let Some(kind) = kinds::certain_kind(&head) {
            return Err(unsupported(&format!("is {kind}")));
        }
        let mut found = Self::unknown();
        let mut pieces: Option<Vec<Piece>> = None;
        let mut damage = Vec::new();
        let end = source.seek(SeekFrom::End(0)).map_err(Error::io(name))?;
        match wave::find(source.as_mut()) {
            Ok(Some(wave)) => {
                pieces = Some(wave.pieces);
                (found.length, found.has_layout) = (wave.length, wave.has_layout);
                (found.tags, found.remarks) = (wave.tags, wave.remarks);
            }
            Ok(None) => {}
            Err(wave::Fault::Unsupported(reason)) => return Err(unsupported(&reason)),
            Err(wave::Fault::Damaged(reason)) => return Err(Error::audio(name, AudioFault::Damaged, reason)),
            Err(wave::Fault::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Error::audio(name, AudioFault::Truncated, "ends before its header does; truncated?"));
            }
            Err(wave::Fault::Io(error)) => return Err(Error::io(name)(error)),
        }
        if let (None, Ok(Some(flac))) = (&pieces, flac::find(source.as_mut())) {
            if flac.bits > 24 {
                let reason = format!(
                    "holds FLAC of {} bits, which can't be decoded here; convert it to 24 bits first",
                    flac.bits
                );
                return Err(Error::audio(name, AudioFault::Unsupported, reason));
            }
            let cut = trailer::end_without_tags(source.as_mut(), flac.start).map_err(Error::io(name))?;
            pieces = Some(patched(flac.patches, cut));
        }
        if let (None, Ok(Some(sizes))) = (&pieces, iff::find(source.as_mut(), lenient)) {
            found.remarks.extend(sizes.remark);
            found.compression = sizes.compression;
            pieces = Some(patched(sizes.patches, end));
        }
        if let (None, Ok(Some(mp4))) = (&pieces, mp4::find(source.as_mut(), lenient)) {
            if let Some(reason) = mp4.unsupported {
                return Err(unsupported(&reason));
            }
            (found.codec, found.edit) = (mp4.codec, mp4.edit);
            pieces = Some(patched(mp4.patches, end));
        }
        let tags = trailer::leading_id3v2(source.as_mut()).unwrap_or(0);
        if let (None, Ok(Some(mended))) = (&pieces, mp3::mend(source.as_mut(), tags)) {
            pieces = Some(mended.pieces);
            damage.extend(mended.remarks);
        }
        if let (None, Ok(Some(position))) = (&pieces, matroska::broken(source.as_mut())) {
            damage.push(format!("damaged at byte {position}, from where on it can't be read"));
        }
        if let (true, Some(reason)) = (!lenient, damage.first()) {
            return Err(Error::audio(name, AudioFault::Damaged, reason.as_str()));
        }
        found.remarks.extend(damage);
        if let (None, Ok(patches)) = (&pieces, matroska::cut_off(source.as_mut()))
            && !patches.is_empty()
        {
            if !lenient {
                return Err(Error::audio(name, AudioFault::Truncated, CUT_OFF));
            }
            found.remarks.push(CUT_OFF.into());
            pieces = Some(patched(patches, end));
        }
        if let (None, true, Ok(Some(cut))) = (&pieces, lenient, ogg::cut_off(source.as_mut())) {
            pieces = Some(vec![Piece::Range(0..cut)]);
        }
        if let (None, Ok(padding)) = (&pieces, matroska::end_padding(source.as_mut())) {
            found.end_padding = padding;
        }
        found.kind = kinds::likely_kind(&head);
        source.seek(SeekFrom::Start(0)).map_err(Error::io(name))?;
        found.source = match pieces {
            Some(pieces) => Box::new(View::new(source, pieces)),
            None => source,
        };
        Ok(found)
    }

    fn unknown() -> Self {
        Self {
            source: Box::new(std::io::Cursor::new(Vec::new())),
            kind: None,
            compression: None,
            codec: None,
            edit: None,
            length: Length::Declared,
            has_layout: true,
            end_padding: 0,
            tags: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

/// What to do about audio that there is no decoder for.
pub(super) fn undecodable(what: &str) -> String {
    format!("{what}, which can't be decoded here; convert it to FLAC or WAV first")
}

/// The bytes after ID3v2 tags that tell what a file is.
fn first_bytes(source: &mut (impl Read + Seek + ?Sized)) -> Option<Vec<u8>> {
    let start = trailer::leading_id3v2(source).ok()?;
    source.seek(SeekFrom::Start(start)).ok()?;
    let mut head = Vec::new();
    source.take(HEAD as u64).read_to_end(&mut head).ok()?;
    Some(head)
}
