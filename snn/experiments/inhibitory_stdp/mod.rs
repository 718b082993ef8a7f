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
const SECONDS: Parameter = Parameter::quantity("seconds", "seconds of replay by integrate-and-fire neurons", 4.0, 0.5);
/// So long that as many bursts come as [`BURSTS`] asks for.
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
    let replay = |level, ablation, seconds| Replay::run(&experience, level, ablation, seconds, settings.seed);
    let mut charts = vec![inhibition(&experience)];

    // In the short run there is little activity beside the one that mossy fibres force.
    let limit = if settings.quick { 0.8 } else { 0.3 };
    let (level, name) = (Level::LeakyIntegrateAndFire, "leaky integrate-and-fire");
    let [intact, uniform] =
        [Ablation::None, Ablation::UniformInhibition].map(|ablation| replay(level, ablation, seconds));
    let (ratio, baseline) = (intact.ratio(&experience), uniform.ratio(&experience));
    measurements.push(Measurement::at_most(name, "rate of cue cells over place cells", ratio, limit).ablated(baseline));
    measurements.push(Measurement::at_least(name, "the same, inhibition not learned", baseline, 0.8).ablated(ratio));
    charts.push(raster(name, &intact, &experience));

    if !settings.quick {
        let (level, name) = (Level::AdaptiveExponential, "adaptive exponential");
        let [intact, uniform, shuffled] = [Ablation::None, Ablation::UniformInhibition, Ablation::ShuffledExcitation]
            .map(|a| replay(level, a, settings.quantity(&BURSTING)));
        // Nothing is measured where there are too few bursts.
        let order = |replay: &Replay| replay.order(&experience).filter(|order| order.bursts >= BURSTS);
        let ordered = |replay: &Replay| order(replay).map_or(f64::NAN, |order| order.fields);
        let dealt_out = order(&intact).map_or(f64::NAN, |order| order.dealt_out);
        let (ratio, baseline) = (intact.ratio(&experience), uniform.ratio(&experience));
        measurements.extend([
            Measurement::at_most(name, "rate of cue cells over place cells", ratio, 0.3).ablated(baseline),
            Measurement::at_least(name, "the same, inhibition not learned", baseline, 0.8).ablated(ratio),
            Measurement::at_least(name, "order of replay, |Spearman ρ|", ordered(&intact), 0.5)
                .ablated(ordered(&shuffled)),
            Measurement::at_most(name, "the same, place fields dealt out anew", dealt_out, 0.2)
                .ablated(ordered(&intact)),
        ]);
        charts.push(raster(name, &intact, &experience));
    }
    measurements.extend(binary::measure(settings)?);
    Ok(Outcome::new(measurements, charts))
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
        Series { name: name.to_owned(), points: points.take(1200).collect(), style: Style::Dots(1.5) }
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
