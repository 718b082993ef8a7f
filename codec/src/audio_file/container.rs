//! A look at a file before Symphonia reads it: what it is, and what Symphonia would take wrongly or refuse without need.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::io::MediaSource;

use super::mp4::Edit;
use super::view::{Piece, View, replace};
use super::wave::{self, Length};
use super::{caf, flac, kinds, mp4, trailer};
use crate::{AudioFault, Error, Result};

/// The most bytes at the beginning that tell what a file is.
const HEAD: usize = 512;

/// A file as Symphonia is to read it, and what it should know besides.
pub(super) struct Container {
    pub(super) source: Box<dyn MediaSource>,
    /// What the file is, if it is something that can't be decoded. Symphonia gets a chance all the same.
    pub(super) kind: Option<&'static str>,
    /// The codec, where Symphonia would take another.
    pub(super) codec: Option<AudioCodecId>,
    /// The part of the audio that is to be played.
    pub(super) edit: Option<Edit>,
    /// What the header says of the length.
    pub(super) length: Length,
    /// Whether the format says which loudspeaker each channel is for.
    pub(super) has_layout: bool,
    /// Contents of chunks with tags that Symphonia does not read.
    pub(super) tags: Vec<([u8; 4], Vec<u8>)>,
    /// What was odd.
    pub(super) remarks: Vec<String>,
}

impl Container {
    /// # Errors
    /// For files that hold what can't be decoded, with the reason; otherwise, damage is left to Symphonia to name.
    pub(super) fn open(name: &Path, mut source: Box<dyn MediaSource>) -> Result<Self> {
        let unsupported = |reason: &str| {
            let reason = format!("{reason}, which can't be decoded here; convert it to FLAC or WAV first");
            Error::audio(name, AudioFault::Unsupported, reason)
        };
        let mut found = Self::unknown();
        let mut pieces: Option<Vec<Piece>> = None;
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
                return Err(unsupported(&format!("holds FLAC of {} bits", flac.bits)));
            }
            let cut = trailer::end_without_tags(source.as_mut(), flac.start).map_err(Error::io(name))?;
            pieces = Some(match flac.block_size {
                Some((position, bytes)) => replace(position, bytes, cut),
                None => vec![Piece::Range(0..cut)],
            });
        }
        if let (None, Ok(Some((position, size)))) = (&pieces, caf::missing_size(source.as_mut())) {
            found.remarks.push("the header does not say how long the audio is; read to the end of the file".into());
            pieces = Some(replace(position, size.to_be_bytes().to_vec(), end));
        }
        if let (None, Ok(Some(mp4))) = (&pieces, mp4::find(source.as_mut())) {
            if let Some(reason) = mp4.unsupported {
                return Err(unsupported(&reason));
            }
            (found.codec, found.edit) = (mp4.codec, mp4.edit);
            if !mp4.patches.is_empty() {
                pieces = Some(patched(mp4.patches, end));
            }
        }
        found.kind = first_bytes(source.as_mut()).and_then(|head| kinds::file_kind(&head));
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
            codec: None,
            edit: None,
            length: Length::Declared,
            has_layout: true,
            tags: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

/// A file of `end` bytes with other bytes in some places, which are in order.
fn patched(patches: Vec<(u64, Vec<u8>)>, end: u64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut position = 0;
    for (start, bytes) in patches {
        pieces.push(Piece::Range(position..start));
        position = start + bytes.len() as u64;
        pieces.push(Piece::Bytes(bytes));
    }
    pieces.push(Piece::Range(position..end.max(position)));
    pieces
}

/// The bytes after ID3v2 tags that tell what a file is.
fn first_bytes(source: &mut (impl Read + Seek + ?Sized)) -> Option<Vec<u8>> {
    let start = trailer::leading_id3v2(source).ok()?;
    source.seek(SeekFrom::Start(start)).ok()?;
    let mut head = Vec::new();
    source.take(HEAD as u64).read_to_end(&mut head).ok()?;
    Some(head)
}
