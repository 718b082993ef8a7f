//! Audio files to `.spic` files and back: what programs do with an [`Encoder`] and a [`Decoder`](crate::Decoder).

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use super::{AudioReader, AudioWriter};
use crate::container::Tags;
use crate::{DecodedStream, Encoded, Encoder, Error, Progress, Result, Stage};

/// Encodes all that `reader` gives, with its tags, and writes the file to `output`.
///
/// # Errors
/// As [`Encoder::encode_to`].
pub fn encode(
    encoder: &Encoder,
    reader: &mut AudioReader,
    output: impl Write,
    progress: &mut Progress<'_>,
) -> Result<Encoded> {
    let (format, declared) = (reader.format(), reader.spec().declared_frames);
    let mut tags = Tags::default();
    for tag in &reader.spec().tags {
        tags.push(tag.key, tag.value.clone())?;
    }
    let progress = RefCell::new(progress);
    let (mut frames, channels) = (0, u64::from(format.channels));
    let blocks = reader.blocks().map(|block| {
        frames += block.as_ref().map_or(0, |block| block.len() as u64 / channels);
        let share = declared.map_or(0.0, |declared| (frames as f64 / declared.max(1) as f64).min(1.0));
        go_on(&mut **progress.borrow_mut(), Stage::Analysis, share)?;
        block
    });
    encoder
        .clone()
        .tags(tags)
        .encode_to(blocks, format, output, &mut |stage, share| (*progress.borrow_mut())(stage, share))
}

/// Decodes `stream` to `writer` until this has all frames that were announced, and leaves it to be finished.
///
/// # Errors
/// As [`DecodedStream::next_block`] and [`AudioWriter::write`]; [`Error::Stream`] of the kind `Interrupted` if `progress`
/// cancels.
pub fn decode<R: Read>(
    stream: &mut DecodedStream<R>,
    writer: &mut AudioWriter,
    progress: &mut Progress<'_>,
) -> Result<()> {
    while writer.remaining() > 0
        && let Some(block) = stream.next_block()?
    {
        let due = writer.remaining().min(block.len() as u64) as usize;
        writer.write(&block[..due])?;
        go_on(progress, Stage::Decoding, stream.progress())?;
    }
    Ok(())
}

fn go_on(progress: &mut Progress<'_>, stage: Stage, share: f64) -> Result<()> {
    match progress(stage, share) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::from(io::Error::from(io::ErrorKind::Interrupted))),
    }
}
