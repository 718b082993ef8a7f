//! `spiccato events --sweep`: what every storage method takes, from the sparsest events to the densest.
//!
//! After the comparison of dense and sparse storage by Lisboa and Bellec ("Spiking Music", 2024), with all methods of
//! the format. One model gives all densities: by its quality as far as that goes, and beyond by raising or lowering the
//! membrane potentials.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use spiccato::atomic_file::AtomicFile;
use spiccato::audio_file::{AudioInput, Surround};
use spiccato::events::EventMatrix;
use spiccato::network::Model;
use spiccato::pipeline::EventSource;
use spiccato_training::plot::{Axis, Chart, SIZE, Series};

use crate::output::print_line;
use crate::progress::Bar;
use crate::storage_cost::{methods, size, store};

/// Densities that the sweep ends beyond.
const DENSITIES: std::ops::Range<f64> = 0.002..0.2;

/// Qualities in the model's range.
const QUALITIES: [u16; 5] = [0, 16_384, 32_768, 49_152, 65_535];

/// Steps in which membrane potentials are raised and lowered beyond that range, and how often at most.
const EXCITATION_STEP: f32 = 0.5;
const MOST_STEPS: u8 = 60;

/// Methods in the chart. The others are in the table only: they run close to one of these.
const SHOWN: [&str; 7] = ["dense", "csr", "neuron-runs", "dense+zstd", "csr+zstd", "neuron-runs+zstd", "range-coder"];

/// All methods at one setting of the encoder.
struct Point {
    quality: u16,
    excitation: f32,
    density: f64,
    events_per_second: f64,
    /// Bits per second with one static probability per neuron and file.
    entropy: f64,
    /// Bits per second of each method, in the order of their names.
    rates: Vec<f64>,
}

/// A density at which two methods take the same.
#[derive(Debug)]
struct Crossing {
    sparser: &'static str,
    denser: &'static str,
    density: f64,
    rate: f64,
}

pub(super) fn run(files: &[PathBuf], name: &Path, model: &Model, quiet: bool) -> Result<()> {
    let mut bar = Bar::new(quiet);
    let mut sources = Vec::new();
    for file in files {
        let input = AudioInput::open(file)?;
        sources.push(EventSource::new(&input, model, Surround::Downmix, &mut |stage, share| bar.show(stage, share))?);
    }
    let names: Vec<&'static str> = methods(Some(model), 0).iter().map(|method| method.name()).collect();
    let points = sweep(|quality, excitation| {
        let point = measure(&mut sources, model, quality, excitation)?;
        bar.set("sweeping", (point.density / DENSITIES.start).ln() / (DENSITIES.end / DENSITIES.start).ln());
        Ok(point)
    })?;
    drop(bar);
    let crossings = crossings(&names, &points);
    write(&name.with_extension("csv"), &table(&names, &points)?)?;
    write(&name.with_extension("svg"), &chart(&names, &points, &crossings).to_svg()?)?;
    if !quiet {
        for Crossing { sparser, denser, density, rate } in crossings {
            let percent = 100.0 * density;
            print_line(format_args!(
                "{percent:5.2} % events, {:6.2} kbit/s: {sparser} below, {denser} above",
                rate / 1000.0
            ))?;
        }
    }
    Ok(())
}

/// Points in the order of their density.
fn sweep(mut measure: impl FnMut(u16, f32) -> Result<Point>) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for quality in QUALITIES {
        points.push(measure(quality, 0.0)?);
    }
    for (quality, direction) in [(0, -1.0), (u16::MAX, 1.0)] {
        for step in 1..=MOST_STEPS {
            let point = measure(quality, direction * f32::from(step) * EXCITATION_STEP)?;
            let beyond = !DENSITIES.contains(&point.density);
            points.push(point);
            if beyond {
                break;
            }
        }
    }
    points.sort_by(|a, b| a.density.total_cmp(&b.density));
    Ok(points)
}

/// All sources together at a setting.
fn measure(sources: &mut [EventSource<'_>], model: &Model, quality: u16, excitation: f32) -> Result<Point> {
    let methods = methods(Some(model), quality);
    let (mut seconds, mut events, mut cells, mut entropy) = (0.0, 0.0, 0.0, 0.0);
    let mut bits = vec![0.0; methods.iter().count()];
    for source in sources {
        let chunks = source.events(quality, excitation)?;
        let mut whole = EventMatrix::new(chunks.first().map_or(1, EventMatrix::neurons))?;
        chunks.iter().try_for_each(|chunk| whole.append(chunk))?;
        seconds += source.seconds();
        events += f64::from(whole.events());
        cells += f64::from(whole.frames()) * f64::from(whole.neurons());
        entropy += whole.statistics(1.0).entropy_bits;
        for (bits, method) in bits.iter_mut().zip(methods.iter()) {
            *bits += 8.0 * size(&store(method, &chunks)?) as f64;
        }
    }
    ensure!(seconds > 0.0, "there is no audio");
    Ok(Point {
        quality,
        excitation,
        density: events / cells,
        events_per_second: events / seconds,
        entropy: entropy / seconds,
        rates: bits.iter().map(|bits| bits / seconds).collect(),
    })
}

/// Where two of the methods shown change places, the sparsest first.
fn crossings(names: &[&'static str], points: &[Point]) -> Vec<Crossing> {
    let mut crossings = Vec::new();
    let shown: Vec<usize> = (0..names.len()).filter(|&method| SHOWN.contains(&names[method])).collect();
    for pair in points.windows(2) {
        for (i, &a) in shown.iter().enumerate() {
            for &b in &shown[i + 1..] {
                // logarithms of the ratio: the curves are nearly straight on logarithmic axes
                let ratio = |point: &Point| (point.rates[a] / point.rates[b]).ln();
                let (before, after) = (ratio(&pair[0]), ratio(&pair[1]));
                if before.signum() == after.signum() {
                    continue;
                }
                let share = before / (before - after);
                let between = |x: f64, y: f64| (x.ln() + share * (y / x).ln()).exp();
                let (sparser, denser) = if before < 0.0 { (a, b) } else { (b, a) };
                crossings.push(Crossing {
                    sparser: names[sparser],
                    denser: names[denser],
                    density: between(pair[0].density, pair[1].density),
                    rate: between(pair[0].rates[a], pair[1].rates[a]),
                });
            }
        }
    }
    crossings.sort_by(|a, b| a.density.total_cmp(&b.density));
    crossings
}

fn table(names: &[&str], points: &[Point]) -> Result<String> {
    let mut table = String::from("density,events_per_second,quality,excitation,static_entropy");
    names.iter().try_for_each(|name| write!(table, ",{name}"))?;
    for point in points {
        let Point { quality, excitation, density, events_per_second, entropy, .. } = point;
        write!(
            table,
            "\n{density:.6},{events_per_second:.1},{:.3},{excitation},{entropy:.0}",
            f64::from(*quality) / 65_535.0
        )?;
        point.rates.iter().try_for_each(|rate| write!(table, ",{rate:.0}"))?;
    }
    table.push('\n');
    Ok(table)
}

fn chart(names: &[&str], points: &[Point], crossings: &[Crossing]) -> Chart {
    let series = SHOWN.iter().filter_map(|shown| {
        let method = names.iter().position(|name| name == shown)?;
        Some(Series::new(*shown, points.iter().map(|point| (100.0 * point.density, point.rates[method])).collect()))
    });
    Chart {
        title: "Storage of events by their density".to_owned(),
        // up to 100 %, so that there is room for the legend
        x: Axis { range: Some(0.15..100.0), ..Axis::logarithmic("events, % of cells") },
        y: Axis::logarithmic("bits per second"),
        series: series.collect(),
        marks: crossings.iter().map(|c| (100.0 * c.density, c.rate, format!("{:.1} %", 100.0 * c.density))).collect(),
        size: SIZE,
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(text.as_bytes()).with_context(|| path.display().to_string())?;
    Ok(file.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(density: f64, rates: Vec<f64>) -> Point {
        Point { quality: 0, excitation: 0.0, density, events_per_second: 0.0, entropy: 0.0, rates }
    }

    /// 16 bits an event against one a cell: they meet at a density of 1/16, whatever the points between.
    #[test]
    fn crossings_of_power_laws_are_exact() {
        let points: Vec<Point> =
            [0.003, 0.05, 0.11, 0.2].map(|d| point(d, vec![32_000.0, 32_000.0 * d * 16.0, 1.0])).into();
        let crossings = crossings(&["dense", "csr", "rice"], &points);
        let [crossing] = &crossings[..] else { panic!("{crossings:?}") };
        assert_eq!((crossing.sparser, crossing.denser), ("csr", "dense"));
        assert!((crossing.density - 1.0 / 16.0).abs() < 1e-9 && (crossing.rate - 32_000.0).abs() < 1e-6);
    }

    #[test]
    fn a_sweep_goes_beyond_both_ends_and_is_in_order() {
        let model = |quality: u16, excitation: f32| {
            let density = 0.01 * (2.0 * f64::from(quality) / 65_535.0 + f64::from(excitation)).exp();
            Ok(point(density, vec![]))
        };
        let points = sweep(model).unwrap();
        assert!(points.windows(2).all(|pair| pair[0].density < pair[1].density));
        assert!(points[0].density < 0.002 && points[1].density > 0.002);
        let last = points.len() - 1;
        assert!(points[last].density > 0.2 && points[last - 1].density < 0.2);
    }
}
