//! `spiccato decompress`

use std::fs::File;
use std::io::{BufReader, Read, stdin};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use spiccato::Error;
use spiccato::audio_file::{SampleFormat, WavSpec, WavWriter};
use spiccato::container::{Header, OnDamage, Reader};
use spiccato::events::Methods;
use spiccato::network::Model;
use spiccato::pipeline::{Peaks, decompress};

use crate::args::{Bits, DecompressArgs};
use crate::model;
use crate::output::{print_line, shown};
use crate::progress::Bar;

pub(crate) fn run(args: &DecompressArgs) -> Result<()> {
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    let output = match &args.output {
        Some(path) => path.clone(),
        None if args.input == Path::new("-") => bail!("name the output file when reading from standard input"),
        None => args.input.with_extension("wav"),
    };
    let format = match args.bits {
        Bits::Int16 => SampleFormat::Int16,
        Bits::Int24 => SampleFormat::Int24,
        Bits::Float32 => SampleFormat::Float32,
    };
    let start = Instant::now();
    let header = decode_file(&args.input, &output, &model, format, args.lenient, args.common.quiet)?;
    if !args.common.quiet && output != Path::new("-") {
        let duration = header.seconds();
        let speed = duration / start.elapsed().as_secs_f64();
        print_line(format_args!(
            "{}: {duration:.1} s, {} Hz, {} channel(s), {} samples, {speed:.0} x real time",
            output.display(),
            header.sample_rate,
            header.channels,
            header.sample_count
        ))?;
    }
    Ok(())
}

/// Decodes one file; the output appears when it is complete.
pub(crate) fn decode_file(
    input: &Path,
    output: &Path,
    model: &Model,
    format: SampleFormat,
    lenient: bool,
    quiet: bool,
) -> Result<Header> {
    let on_damage = if lenient { OnDamage::Skip } else { OnDamage::Stop };
    let decode = || -> spiccato::Result<Header> {
        if input == Path::new("-") {
            decode_from(
                Reader::new(BufReader::new(stdin().lock()), Methods::all(), on_damage)?,
                output,
                model,
                format,
                quiet,
            )
        } else {
            let file = BufReader::new(File::open(input).map_err(Error::io(input))?);
            decode_from(Reader::with_index(file, Methods::all(), on_damage)?, output, model, format, quiet)
        }
    };
    decode().with_context(|| shown(input, "standard input").to_string())
}

fn decode_from<R: Read>(
    reader: Reader<R>,
    output: &Path,
    model: &Model,
    format: SampleFormat,
    quiet: bool,
) -> spiccato::Result<Header> {
    let header = reader.header().clone();
    let spec = WavSpec { sample_rate: header.sample_rate, channels: header.channels.into(), format };
    let mut wav = WavWriter::create(output, spec, header.sample_count)?;
    let mut bar = Bar::new(quiet);
    let peaks = if format == SampleFormat::Float32 { Peaks::Kept } else { Peaks::Limited };
    let mut sink = |samples: &[f32]| wav.write(samples);
    let damage = decompress(reader, model, peaks, &mut sink, &mut |stage, share| bar.show(stage, share))?;
    wav.finish()?;
    for damage in damage {
        eprintln!("damaged: {}", damage.error);
    }
    Ok(header)
}
