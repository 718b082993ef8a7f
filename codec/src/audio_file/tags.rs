//! Descriptive tags (title, artist, …) of an audio file, bounded in number and size.

use std::io::Cursor;

use symphonia::core::formats::FormatReader;
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::well_known::METADATA_ID_ID3V1;
use symphonia::core::meta::{MetadataOptions, MetadataReader, MetadataRevision, RawValue, StandardTag};
use symphonia::default::meta::Id3v2Reader;

use super::riff_tags;

/// The most tags kept of one file.
pub const MAX_TAGS: usize = 32;
/// The most bytes of UTF-8 kept of one value; longer ones are cut at a character boundary.
pub const MAX_TAG_BYTES: usize = 1024;

/// One descriptive tag. Keys are lower case and follow the field names of Vorbis comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// One of `title`, `artist`, `album`, `albumartist`, `composer`, `performer`, `conductor`, `date`, `tracknumber`,
    /// `tracktotal`, `discnumber`, `genre`, `comment`, `description`, `copyright`, `license`, `isrc`, `organization`. A
    /// key may occur more than once: a piece may have two composers.
    pub key: &'static str,
    /// Text, never empty, at most [`MAX_TAG_BYTES`] long.
    pub value: String,
}

/// Collects the tags of a file: those that its format reader found, and those in chunks of a WAV file. Where a file
/// carries several sets of tags, the first that has a key wins, with all values that it gives; ID3v1, whose fields are
/// cut at 30 characters, comes last.
pub(super) fn collect(format: &mut dyn FormatReader, chunks: &[([u8; 4], Vec<u8>)]) -> Vec<Tag> {
    let mut revisions = Vec::new();
    let mut metadata = format.metadata();
    while let Some(revision) = metadata.pop() {
        revisions.push(revision);
    }
    revisions.extend(metadata.current().cloned());
    revisions.sort_by_key(|revision| revision.info.metadata == METADATA_ID_ID3V1);

    let mut tags: Vec<Tag> = Vec::new();
    let sets = revisions.iter().map(|revision| known_tags(revision).collect());
    for set in sets.chain(chunk_tags(chunks)) {
        add(set, &mut tags);
    }
    tags.truncate(MAX_TAGS);
    tags
}

/// Adds those tags of a set whose keys are new.
fn add(set: Vec<Tag>, tags: &mut Vec<Tag>) {
    let known = tags.len();
    for tag in set {
        if tags[..known].iter().all(|old| old.key != tag.key) && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
}

/// The sets of tags in chunks of a WAV file, the richest kind first.
fn chunk_tags(chunks: &[([u8; 4], Vec<u8>)]) -> impl Iterator<Item = Vec<Tag>> {
    let of = |name: &'static [u8; 4], read: fn(&[u8]) -> Vec<Tag>| {
        chunks.iter().filter(move |(kind, _)| kind.eq_ignore_ascii_case(name)).map(move |(_, bytes)| read(bytes))
    };
    of(b"id3 ", id3).chain(of(b"list", info)).chain(of(b"bext", broadcast))
}

fn id3(bytes: &[u8]) -> Vec<Tag> {
    let source = Box::new(Cursor::new(bytes.to_vec()));
    let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
    let buffer = Id3v2Reader::try_new(stream, MetadataOptions::default()).and_then(|mut reader| reader.read_all());
    buffer.map_or_else(|_| Vec::new(), |buffer| known_tags(&buffer.revision).collect())
}

fn info(bytes: &[u8]) -> Vec<Tag> {
    riff_tags::read_info(bytes).into_iter().filter_map(|(key, value)| tag(key, &value)).collect()
}

fn broadcast(bytes: &[u8]) -> Vec<Tag> {
    riff_tags::read_broadcast(bytes).into_iter().filter_map(|(key, value)| tag(key, &value)).collect()
}

/// A tag that says something: ID3v1 has a track number of 0 where there is none.
fn tag(key: &'static str, value: &str) -> Option<Tag> {
    let value = bounded(value);
    let number = ["tracknumber", "tracktotal", "discnumber"].contains(&key);
    let nothing = value.is_empty() || number && value.trim_start_matches('0').is_empty();
    (!nothing).then_some(Tag { key, value })
}

fn known_tags(revision: &MetadataRevision) -> impl Iterator<Item = Tag> {
    let tracks = revision.per_track.iter().flat_map(|track| &track.metadata.tags);
    revision.media.tags.iter().chain(tracks).flat_map(|tag| match (&tag.std, &tag.raw.value) {
        (Some(standard), _) => {
            name_and_text(standard).and_then(|(key, value)| self::tag(key, &value)).into_iter().collect()
        }
        // Symphonia gives several values of one frame or item no meaning.
        (None, RawValue::StringList(values)) => {
            let key = riff_tags::id3_key(&tag.raw.key).or_else(|| ape_key(&tag.raw.key));
            key.map_or_else(Vec::new, |key| values.iter().filter_map(|value| self::tag(key, value)).collect())
        }
        _ => Vec::new(),
    })
}

/// The field name for an item of an APE tag.
fn ape_key(item: &str) -> Option<&'static str> {
    const ITEMS: [(&str, &str); 9] = [
        ("Artist", "artist"),
        ("Album Artist", "albumartist"),
        ("Composer", "composer"),
        ("Conductor", "conductor"),
        ("Performer", "performer"),
        ("Genre", "genre"),
        ("Title", "title"),
        ("Comment", "comment"),
        ("Year", "date"),
    ];
    ITEMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(item)).map(|&(_, key)| key)
}

fn name_and_text(tag: &StandardTag) -> Option<(&'static str, String)> {
    use StandardTag as T;
    Some(match tag {
        T::TrackTitle(text) => ("title", text.to_string()),
        T::Artist(text) => ("artist", text.to_string()),
        T::Album(text) => ("album", text.to_string()),
        T::AlbumArtist(text) => ("albumartist", text.to_string()),
        T::Composer(text) => ("composer", text.to_string()),
        T::Performer(text) => ("performer", text.to_string()),
        T::Conductor(text) => ("conductor", text.to_string()),
        T::RecordingDate(text) | T::ReleaseDate(text) => ("date", text.to_string()),
        T::RecordingYear(year) | T::ReleaseYear(year) => ("date", year.to_string()),
        T::TrackNumber(number) => ("tracknumber", number.to_string()),
        T::TrackTotal(number) => ("tracktotal", number.to_string()),
        T::DiscNumber(number) => ("discnumber", number.to_string()),
        T::Genre(text) => ("genre", text.to_string()),
        T::Comment(text) => ("comment", text.to_string()),
        T::Description(text) => ("description", text.to_string()),
        T::Copyright(text) => ("copyright", text.to_string()),
        T::License(text) => ("license", text.to_string()),
        T::IdentIsrc(text) => ("isrc", text.to_string()),
        _ => return None,
    })
}

/// Trims white space and NULs, and cuts at a character boundary.
fn bounded(value: &str) -> String {
    let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let mut end = value.len().min(MAX_TAG_BYTES);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(bounded(" Gnossienne\0\0"), "Gnossienne");
        let long = "é".repeat(MAX_TAG_BYTES); // two bytes each
        assert_eq!(bounded(&long).len(), MAX_TAG_BYTES);
        assert_eq!(bounded(&format!("x{long}")).len(), MAX_TAG_BYTES - 1);
    }

    fn tags(pairs: &[(&'static str, &str)]) -> Vec<Tag> {
        pairs.iter().filter_map(|(key, value)| tag(key, value)).collect()
    }

    #[test]
    fn the_first_set_wins_with_all_its_values() {
        let mut all = Vec::new();
        add(tags(&[("artist", "Clara"), ("artist", "Robert"), ("artist", "Clara")]), &mut all);
        add(tags(&[("artist", "Clara Schuma"), ("title", "Romanze")]), &mut all);
        assert_eq!(all, tags(&[("artist", "Clara"), ("artist", "Robert"), ("title", "Romanze")]));
    }

    #[test]
    fn numbers_of_zero_say_nothing() {
        assert_eq!(tags(&[("tracknumber", "0"), ("tracknumber", "00"), ("discnumber", " 0\0")]), []);
        assert_eq!(tags(&[("tracknumber", "10"), ("title", "0")]).len(), 2);
    }

    #[test]
    fn tags_written_into_a_wav_file_are_read_again() {
        let written = [("title", "Tone burst"), ("artist", "A"), ("artist", "Ä, ♪"), ("date", "2026"), ("isrc", "X1")];
        let id3_chunk = (*b"id3 ", riff_tags::write_id3(written));
        let info_chunk = (*b"LIST", riff_tags::write_info(written));
        let all: Vec<Tag> = chunk_tags(&[info_chunk.clone(), id3_chunk]).next().unwrap();
        assert_eq!(all, tags(&written));
        let known: Vec<Tag> = tags(&written).into_iter().filter(|tag| tag.key != "isrc").collect();
        assert_eq!(chunk_tags(&[info_chunk]).next().unwrap(), known);
    }
}
