//! Processor time of each stage of coding on one thread, for a file of any length, mixed down to mono:
//! `CANDLE_NUM_THREADS=1 RAYON_NUM_THREADS=1 cargo run --release -p spiccato --example stages -- FILE [MODEL [REPETITIONS]]`.

use spiccato::audio_file::{AudioInput, Surround};
use spiccato::events::{EventMatrix, Methods};
use spiccato::network::{EventDecoder, Firing, encode_events};
use spiccato::signal::{BANDS, Limiter, Loudness, Renderer, Resampler, SAMPLE_RATE, analyze};
use spiccato::{Decoder, Encoder, Format, Model, Quality, Result};

/// As the program `spiccato` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Frames in a chunk of a file.
const CHUNK: usize = 640;

/// Seconds of processor time that this process has taken; where the system is not Unix, of time that has passed.
#[cfg(unix)]
fn seconds() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;

    let microseconds = getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0, |usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
    microseconds as f64 / 1e6
}

#[cfg(not(unix))]
fn seconds() -> f64 {
    use std::sync::LazyLock;
    use std::time::Instant;

    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGIN.elapsed().as_secs_f64()
}

/// Runs a stage some times and prints the least time it took.
struct Stopwatch {
    repetitions: usize,
    seconds_of_audio: f64,
}

impl Stopwatch {
    fn time<T>(
        &self,
        stage: &str,
        mut run: impl FnMut() -> Result<T>,
    ) -> std::result::Result<T, Box<dyn std::error::Error>> {
        let (mut least, mut result) = (f64::INFINITY, None);
        for _ in 0..self.repetitions {
            let begin = seconds();
            result = Some(run()?);
            least = least.min(seconds() - begin);
        }
        println!("| {stage} | {least:.3} | {:.0} |", self.seconds_of_audio / least.max(1e-6));
        result.ok_or_else(|| "at least one repetition".into())
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name an audio file")?;
    let model = match arguments.next() {
        Some(model) => Model::from_file(model)?,
        None => Model::built_in()?,
    };
    let repetitions = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(5);

    let input = AudioInput::open(path.as_ref())?;
    let mut reader = input.reader(Surround::Downmix)?;
    let (rate, channels) = (reader.spec().sample_rate, reader.spec().channels);
    let mut samples = Vec::new();
    while let Some(block) = reader.next_block()? {
        samples.extend(block.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
    }
    let watch = Stopwatch { repetitions, seconds_of_audio: samples.len() as f64 / f64::from(rate) };
    let format = Format { rate, channels: 1 };
    println!("| stage | seconds | × real time |\n|---|---|---|");
    let quality = Quality::from_percent(50.0)?;
    let file =
        watch.time("compress at a quality", || Encoder::new(&model).quality(quality).encode(&samples[..], format))?;
    let kbps = file.len() as f64 * 0.008 / watch.seconds_of_audio;
    watch.time("compress at a bitrate", || Encoder::new(&model).bitrate(kbps)?.encode(&samples[..], format))?;
    watch.time("decompress", || Decoder::new(&model).decode(&file[..]))?;

    let resampled = watch.time("resampling to 24 kHz", || {
        let (mut resampler, mut out) = (Resampler::new(rate, SAMPLE_RATE, 1)?, Vec::new());
        resampler.push(&samples, &mut out)?;
        resampler.finish(&mut out)?;
        Ok(out)
    })?;
    let gain = watch.time("loudness", || {
        let mut loudness = Loudness::new();
        loudness.push(&resampled);
        Ok(loudness.gain())
    })?;
    let features = watch.time("analysis", || {
        let mut features = Vec::new();
        model.feature_scale().features(&analyze(&resampled), gain, &mut features);
        Ok(features)
    })?;
    let frames = features.len() / BANDS;
    let context = model.network().config().context();
    let events: Vec<EventMatrix> = watch.time("encoder network", || {
        let chunks = (0..frames).step_by(CHUNK).map(|start| start..(start + CHUNK).min(frames));
        let encode = |chunk: std::ops::Range<usize>| {
            let from = chunk.start.saturating_sub(context);
            let piece = &features[from * BANDS..(chunk.end + context).min(frames) * BANDS];
            let range = chunk.start - from..chunk.end - from;
            encode_events(model.network(), piece, range, quality.fraction(), Firing::default())
        };
        chunks.map(encode).collect()
    })?;
    for method in model.complete(Methods::small(), quality).iter() {
        let stored: Vec<Vec<u8>> = watch.time(&format!("storing by {}", method.name()), || {
            let store = |events| {
                let mut bytes = Vec::new();
                method.encode(events, &mut bytes).map(|()| bytes)
            };
            events.iter().map(store).collect()
        })?;
        watch.time(&format!("loading by {}", method.name()), || {
            let chunks = stored.iter().zip(&events);
            chunks.map(|(bytes, e)| method.decode(bytes, e.frames(), e.neurons())).collect::<Result<Vec<_>>>()
        })?;
    }
    let decoded = watch.time("decoder network", || {
        let mut decoder = EventDecoder::new(model.network().clone(), quality.fraction())?;
        let mut features = Vec::new();
        events.iter().try_for_each(|events| decoder.push(events, &mut features))?;
        decoder.finish(&mut features)?;
        Ok(features)
    })?;
    let rebuilt = watch.time("phases and synthesis", || {
        let mut renderer = Renderer::new(model.feature_scale().clone(), gain, 1);
        let mut channels = [Vec::new()];
        renderer.push(&decoded, &mut channels);
        renderer.finish(resampled.len() as u64, &mut channels)?;
        let [samples] = channels;
        Ok(samples)
    })?;
    watch.time("limiter", || {
        let (mut limiter, mut out) = (Limiter::new(SAMPLE_RATE, 1), Vec::new());
        limiter.push(&rebuilt, &mut out);
        limiter.finish(&mut out);
        Ok(out)
    })?;
    Ok(())
}
