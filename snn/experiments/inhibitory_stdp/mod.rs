//! Inhibitory plasticity for world models: which experiences are replayed (Liao, Terada, Raikov, Hadjiabadi, Szoboszlay,
//! Soltesz & Losonczy 2024).
//!
//! An animal runs laps. Place cells fire at fixed positions; cue cells do so too, but fire as well for a cue that comes at
//! another position in each lap and so says nothing about where one is. Symmetric Hebbian plasticity acts on the synapses
//! between pyramidal cells and, with a shorter window, on those from interneurons to pyramidal cells. Afterwards the network
//! is left to itself. It replays the track, and since cue cells have learned to be inhibited, it leaves the cue out: it
//! generalises.
//!
//! Three levels of abstraction share the experience ([`experience`]) or its statistics: leaky integrate-and-fire neurons and
//! adaptive exponential neurons with conductance synapses ([`offline`]), and binary units ([`binary`]). The paper's detailed
//! level has morphologies; here it is the adaptive exponential neuron of Ecker et al. 2022 that the authors' spiking code
//! (losonczylab/CA3_replay) uses. The binary level is our reconstruction.

mod binary;
mod experience;
mod offline;

use anyhow::Result;

use self::experience::{Cell, Experience};
use self::offline::{Ablation, Level, Replay};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "inhibitory-stdp",
    claim: "Hebbian plasticity of inhibition keeps cells that don't generalise out of replay, at three levels of abstraction",
    paper: "Liao et al., Inhibitory plasticity supports replay generalization in the hippocampus, Nature Neuroscience 2024",
    parameters: &[LAPS, SECONDS, BURSTING, binary::REPETITIONS],
    run,
};

const LAPS: Parameter = Parameter::count("laps", "laps on the track", 20, 20);
/// Both levels run for so long that as many bursts come as [`BURSTS`] asks for.
const SECONDS: Parameter = Parameter::quantity("seconds", "seconds of replay by integrate-and-fire neurons", 12.0, 0.5);
const BURSTING: Parameter =
    Parameter::quantity("adaptive.seconds", "seconds of replay by adaptive exponential neurons", 12.0, 12.0);

/// Bursts that an order of replay is the mean over, at least.
const BURSTS: usize = 15;

fn run(settings: &Settings) -> Result<Outcome> {
    let (laps, seconds) = (settings.count(&LAPS), settings.quantity(&SECONDS));
    let experience = Experience::learn(laps, settings.seed);
    let cue = experience.mean_inhibition(Cell::is_cue);
    let place = experience.mean_inhibition(Cell::is_place);
    let mut measurements = vec![
        Measurement::at_least("learned inhibition", "weight onto cue cells over place cells", cue / place, 5.0)
            .ablated(1.0),
    ];
    let mut charts = vec![inhibition(&experience)];

    if settings.quick {
        // In the short run there is little activity beside the one that mossy fibres force.
        let [intact, uniform] = [Ablation::None, Ablation::UniformInhibition]
            .map(|ablation| Replay::run(&experience, INTEGRATE_AND_FIRE.0, ablation, seconds, settings.seed));
        measurements.extend(suppression(INTEGRATE_AND_FIRE.1, &experience, [&intact, &uniform], 0.8));
        charts.push(raster(INTEGRATE_AND_FIRE.1, &intact, &experience));
    } else {
        let exponential = (Level::AdaptiveExponential, "adaptive exponential");
        for (level, seconds) in [(INTEGRATE_AND_FIRE, seconds), (exponential, settings.quantity(&BURSTING))] {
            replay(level, seconds, &experience, settings.seed, &mut measurements, &mut charts);
        }
    }
    measurements.extend(binary::measure(settings)?);
    Ok(Outcome::new(measurements, charts))
}

const INTEGRATE_AND_FIRE: (Level, &str) = (Level::LeakyIntegrateAndFire, "leaky integrate-and-fire");

/// What learned inhibition does to cue cells in replay, and what the same inhibition does if all of its synapses are equal.
fn suppression(
    part: &'static str,
    experience: &Experience,
    [intact, uniform]: [&Replay; 2],
    limit: f64,
) -> [Measurement; 2] {
    let (ratio, baseline) = (intact.ratio(experience), uniform.ratio(experience));
    [
        Measurement::at_most(part, "rate of cue cells over place cells", ratio, limit).ablated(baseline),
        Measurement::at_least(part, "the same, inhibition not learned", baseline, 0.8).ablated(ratio),
    ]
}

/// Replay at a level, and its controls.
fn replay(
    (level, part): (Level, &'static str),
    seconds: f64,
    experience: &Experience,
    seed: u64,
    measurements: &mut Vec<Measurement>,
    charts: &mut Vec<Chart>,
) {
    // Without structure, bursts are rarer: twice the time.
    let ablations = [
        (Ablation::None, seconds),
        (Ablation::UniformInhibition, seconds),
        (Ablation::ShuffledExcitation, 2.0 * seconds),
        (Ablation::NoAdaptation, seconds),
    ];
    let [intact, uniform, shuffled, without] =
        ablations.map(|(ablation, seconds)| Replay::run(experience, level, ablation, seconds, seed));
    measurements.extend(suppression(part, experience, [&intact, &uniform], 0.3));
    let orders = [&intact, &uniform, &shuffled, &without].map(|replay| replay.order(experience));
    let bursts = orders.each_ref().map(|order| order.as_ref().map_or(0, |order| order.bursts));
    // Nothing is measured where there are too few bursts.
    let [order, _, random, _] = orders.map(|order| order.filter(|order| order.bursts >= BURSTS));
    let dealt_out = order.as_ref().map_or(f64::NAN, |order| order.dealt_out);
    let [order, random] = [order, random].map(|order| order.map_or(f64::NAN, |order| order.fields));
    let fewest = bursts[..3].iter().min().copied().unwrap_or_default();
    measurements.extend([
        Measurement::at_least(part, "order of replay, |Spearman ρ|, excitation shuffled as ablation", order, 0.5)
            .ablated(random),
        Measurement::at_most(part, "the same, place fields dealt out anew", dealt_out, 0.2).ablated(order),
        Measurement::at_least(
            part,
            "bursts that these are the means over, the fewest of replay and its controls, no adaptation as ablation",
            fewest as f64,
            BURSTS as f64,
        )
        .ablated(bursts[3] as f64),
    ]);
    for (name, replay) in [("", &intact), (", excitation shuffled", &shuffled), (", no adaptation", &without)] {
        charts.push(raster(&format!("{part}{name}"), replay, experience));
    }
}

/// Inhibition that each cell has learned to receive.
fn inhibition(experience: &Experience) -> Chart {
    let dots = |name: &str, which: fn(&Cell) -> bool| {
        let cells = experience.cells.iter().enumerate().filter(|(_, cell)| which(cell));
        let points = cells.filter_map(|(i, cell)| Some((cell.field?, experience.inhibition.total_incoming(i))));
        Series { name: name.to_owned(), points: points.collect(), style: Style::Dots(2.5) }
    };
    Chart {
        title: "Inhibition after learning".to_owned(),
        x: Axis::linear("centre of the place field, cm"),
        y: Axis::linear("sum of inhibitory weights, nS"),
        series: vec![dots("place cells", Cell::is_place), dots("cue cells", Cell::is_cue)],
        marks: Vec::new(),
        size: SIZE,
    }
}

/// Spikes of the cells with fields, over the centres of these.
fn raster(name: &str, replay: &Replay, experience: &Experience) -> Chart {
    let dots = |name: &str, which: fn(&Cell) -> bool| {
        let spikes =
            replay.record.spikes().iter().filter(|(time, cell)| *time < 1000.0 && which(&experience.cells[*cell]));
        let points = spikes.filter_map(|&(time, cell)| Some((time, experience.cells[cell].field?)));
        Series { name: name.to_owned(), points: points.take(4000).collect(), style: Style::Dots(1.5) }
    };
    Chart {
        title: format!("Replay, {name}"),
        x: Axis::linear("time, ms"),
        y: Axis::linear("centre of the place field, cm"),
        series: vec![dots("place cells", Cell::is_place), dots("cue cells", Cell::is_cue)],
        marks: Vec::new(),
        size: SIZE,
    }
}
