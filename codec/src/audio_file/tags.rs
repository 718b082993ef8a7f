//! Descriptive tags (title, artist, …) of an audio file, bounded in number and size.

use symphonia::core::formats::FormatReader;
use symphonia::core::meta::well_known::METADATA_ID_ID3V1;
use symphonia::core::meta::{MetadataRevision, StandardTag};

/// The most tags kept of one file.
pub const MAX_TAGS: usize = 32;
/// The most bytes of UTF-8 kept of one value; longer ones are cut at a character boundary.
pub const MAX_TAG_BYTES: usize = 1024;

/// One descriptive tag. Keys are lower case and follow the field names of Vorbis comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// One of `title`, `artist`, `album`, `albumartist`, `composer`, `performer`, `conductor`, `date`, `tracknumber`,
    /// `tracktotal`, `discnumber`, `genre`, `comment`, `description`, `copyright`, `license`, `isrc`.
    pub key: &'static str,
    /// Text, never empty, at most [`MAX_TAG_BYTES`] long.
    pub value: String,
}

/// Collects the tags of a file. Where a file carries several sets of tags, the first that has a key wins; ID3v1, whose
/// fields are cut at 30 characters, comes last.
pub(super) fn collect(format: &mut dyn FormatReader) -> Vec<Tag> {
    let mut revisions = Vec::new();
    let mut metadata = format.metadata();
    while let Some(revision) = metadata.pop() {
        revisions.push(revision);
    }
    revisions.extend(metadata.current().cloned());
    revisions.sort_by_key(|revision| revision.info.metadata == METADATA_ID_ID3V1);

    let mut tags: Vec<Tag> = Vec::new();
    for revision in &revisions {
        let found: Vec<Tag> = known_tags(revision).filter(|tag| tags.iter().all(|old| old.key != tag.key)).collect();
        tags.extend(found);
    }
    tags.truncate(MAX_TAGS);
    tags
}

fn known_tags(revision: &MetadataRevision) -> impl Iterator<Item = Tag> {
    let tracks = revision.per_track.iter().flat_map(|track| &track.metadata.tags);
    revision.media.tags.iter().chain(tracks).filter_map(|tag| {
        let (key, value) = name_and_text(tag.std.as_ref()?)?;
        let value = bounded(&value);
        (!value.is_empty()).then_some(Tag { key, value })
    })
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
}
