//! Bitrate of every storage method from the sparsest events to the densest.
//!
//! After the comparison of dense and sparse storage by Lisboa & Bellec ("Spiking Music", 2024), with all methods of
//! the file format. One model gives all densities: by its quality within the range that it was trained for, and beyond it
//! by raising or lowering all membrane potentials.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use spiccato::audio_file::{AudioInput, Surround};
use spiccato::events::EventMatrix;
use spiccato::{EventSource, Model, Quality};
use spiccato_plots::{Axis, Chart, SIZE, Series};

use crate::storage::{methods, size, store};

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
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DensityPoint {
    /// Quality as files store it, 0 to 65,535.
    pub quality: u16,
    /// What was added to all membrane potentials.
    pub excitation: f32,
    /// Share of the cells (neurons × frames) that hold an event.
    pub density: f64,
    /// Events per second of audio.
    pub events_per_second: f64,
    /// Bits per second of an ideal coder that knows one static probability for each neuron of a file.
    pub entropy: f64,
    /// Bits per second of each method, in the order of [`DensitySweep::methods`].
    pub rates: Vec<f64>,
}

/// A density at which two methods take the same bitrate.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Crossing {
    /// Method that is smaller below this density.
    pub sparser: &'static str,
    /// Method that is smaller above it.
    pub denser: &'static str,
    /// Share of the cells that hold an event.
    pub density: f64,
    /// Bits per second of both.
    pub rate: f64,
}

/// The result of [`density_sweep`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DensitySweep {
    /// Names of the storage methods.
    pub methods: Vec<&'static str>,
    /// Settings of the encoder, the sparsest first.
    pub points: Vec<DensityPoint>,
    /// Where two of the main methods change places, the sparsest first.
    pub crossings: Vec<Crossing>,
}

/// Encodes `files` with `model` from the sparsest events (0.2 % of the cells) to the densest (20 %), stores the events by
/// every method, and finds where the methods change places. `progress` receives the share that is done, 0 to 1.
///
/// # Errors
/// If a file can't be read or there is no audio in any.
pub fn density_sweep(files: &[PathBuf], model: &Model, progress: &mut dyn FnMut(f64)) -> Result<DensitySweep> {
    let mut sources = Vec::new();
    for file in files {
        sources.push(source(file, model)?);
    }
    let methods: Vec<&'static str> = methods(Some(model), Quality::LOWEST).iter().map(|method| method.name()).collect();
    let points = sweep(|quality, excitation| {
        let point = measure(&mut sources, model, quality, excitation)?;
        progress(((point.density / DENSITIES.start).ln() / (DENSITIES.end / DENSITIES.start).ln()).clamp(0.0, 1.0));
        Ok(point)
    })?;
    let crossings = crossings(&methods, &points);
    Ok(DensitySweep { methods, points, crossings })
}

fn source(file: &Path, model: &Model) -> Result<EventSource> {
    let mut reader = AudioInput::open(file)?.reader(Surround::Downmix)?;
    let format = reader.format();
    Ok(EventSource::new(reader.blocks(), format, model)?)
}

/// Points in the order of their density.
fn sweep(mut measure: impl FnMut(u16, f32) -> Result<DensityPoint>) -> Result<Vec<DensityPoint>> {
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
fn measure(sources: &mut [EventSource], model: &Model, quality: u16, excitation: f32) -> Result<DensityPoint> {
    let quality = Quality::from_stored(quality);
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
    Ok(DensityPoint {
        quality: quality.stored(),
        excitation,
        density: events / cells,
        events_per_second: events / seconds,
        entropy: entropy / seconds,
        rates: bits.iter().map(|bits| bits / seconds).collect(),
    })
}

/// Where two of the methods shown change places, the sparsest first.
fn crossings(names: &[&'static str], points: &[DensityPoint]) -> Vec<Crossing> {
    let mut crossings = Vec::new();
    let shown: Vec<usize> = (0..names.len()).filter(|&method| SHOWN.contains(&names[method])).collect();
    for pair in points.windows(2) {
        for (i, &a) in shown.iter().enumerate() {
            for &b in &shown[i + 1..] {
                // Logarithms of the ratio: the curves are nearly straight on logarithmic axes.
                let ratio = |point: &DensityPoint| (point.rates[a] / point.rates[b]).ln();
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

impl DensitySweep {
    /// The points as a table in CSV: density, events per second, quality from 0 to 1, excitation, then bits per second of
    /// the static entropy and of each method.
    pub fn table(&self) -> String {
        let mut table = String::from("density,events_per_second,quality,excitation,static_entropy");
        for name in &self.methods {
            table.push(',');
            table.push_str(name);
        }
        table.push('\n');
        for point in &self.points {
            let DensityPoint { quality, excitation, density, events_per_second, entropy, .. } = point;
            let quality = f64::from(*quality) / f64::from(u16::MAX);
            let start = format!("{density:.6},{events_per_second:.1},{quality:.3},{excitation},{entropy:.0}");
            table.push_str(&start);
            for rate in &point.rates {
                let _ = write!(table, ",{rate:.0}"); // writing to a string can't fail
            }
            table.push('\n');
        }
        table
    }

    /// Bitrate of the main methods over the density of the events, with a mark at each crossing.
    pub fn chart(&self) -> Chart {
        let series = SHOWN.iter().filter_map(|shown| {
            let method = self.methods.iter().position(|name| name == shown)?;
            let points = self.points.iter().map(|point| (100.0 * point.density, point.rates[method]));
            Some(Series::new(*shown, points.collect()))
        });
        let mark = |c: &Crossing| (100.0 * c.density, c.rate, format!("{:.1} %", 100.0 * c.density));
        Chart {
            title: "Storage of events by their density".to_owned(),
            // Up to 100 %, so that there is room for the legend.
            x: Axis { range: Some(0.15..100.0), ..Axis::logarithmic("events, % of cells") },
            y: Axis::logarithmic("bits per second"),
            series: series.collect(),
            marks: self.crossings.iter().map(mark).collect(),
            size: SIZE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(density: f64, rates: Vec<f64>) -> DensityPoint {
        DensityPoint { quality: 0, excitation: 0.0, density, events_per_second: 0.0, entropy: 0.0, rates }
    }

    /// 16 bits an event against one a cell: they meet at a density of 1/16, whatever the points between.
    #[test]
    fn crossings_of_power_laws_are_exact() {
        let points: Vec<DensityPoint> =
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
