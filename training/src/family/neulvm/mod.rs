//! Mesoscopic modelling of hidden spiking neurons (Wang, Schmutz, Bellec & Gerstner 2022, neuLVM).
//!
//! Three populations compete: two excitatory ones, and an inhibitory one that both drive. One wins and holds until a
//! fluctuation lets the other one win. From the activity of the populations over some seconds, the parameters of their
//! neurons and their connections are found by maximum likelihood ([`likelihood`]), by L-BFGS from random starts. The model
//! that was found then predicts what light pulses do that were not in the data.
//!
//! Here the activity of the populations is known. The paper infers it as well, by expectation maximisation from a few
//! observed neurons; that is left out. Time in seconds.

mod likelihood;
mod population;

use anyhow::{Result, bail};

use self::likelihood::{Data, Mesoscopic, WARM_UP};
use self::population::{Microscopic, POPULATIONS, Parameters, TIME_STEP, TRUTH};
use super::engine::{Random, lbfgs};
use super::{Experiment, Measurement, Outcome, Settings};
use crate::plot::{Axis, Chart, SIZE, Series, Style};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "neulvm",
    claim: "the likelihood of population activity gives the connections of metastable populations, and predicts their response \
            to stimulation",
    paper: "Wang, Schmutz, Bellec & Gerstner, Mesoscopic modeling of hidden spiking neurons, NeurIPS 2022",
    run,
};

/// Range of each parameter in units of the true one, as in the paper.
const RANGE: (f64, f64) = (0.4, 2.0);
const PARAMETERS: usize = 4 * POPULATIONS;

/// Parameters from free variables: a logistic function of each within the range.
fn decode(free: &[f64]) -> (Parameters, Vec<f64>) {
    let mut slopes = vec![0.0; PARAMETERS];
    let mut factor = |i: usize| {
        let logistic = 1.0 / (1.0 + (-free[i]).exp());
        slopes[i] = (RANGE.1 - RANGE.0) * logistic * (1.0 - logistic);
        RANGE.0 + (RANGE.1 - RANGE.0) * logistic
    };
    let mut field =
        |number: usize, truth: [f64; POPULATIONS]| std::array::from_fn(|b| truth[b] * factor(number * POPULATIONS + b));
    let parameters = Parameters {
        leak: field(0, TRUTH.leak),
        weight: field(1, TRUTH.weight),
        rest: field(2, TRUTH.rest),
        threshold: field(3, TRUTH.threshold),
    };
    (parameters, slopes)
}

/// The best of `starts` fits.
fn fit(data: &Data, starts: usize, iterations: usize, random: &mut Random) -> (Parameters, f64) {
    let objective = |free: &[f64]| {
        let (parameters, slopes) = decode(free);
        let (value, gradient) = data.negative_log_likelihood(&parameters);
        let by_factor = [
            (gradient.leak, TRUTH.leak),
            (gradient.weight, TRUTH.weight),
            (gradient.rest, TRUTH.rest),
            (gradient.threshold, TRUTH.threshold),
        ];
        let by_factor = by_factor.iter().flat_map(|(g, truth)| g.iter().zip(truth).map(|(g, t)| g * t));
        (value, by_factor.zip(slopes).map(|(g, s)| g * s).collect())
    };
    let mut best: Option<lbfgs::Minimum> = None;
    for _ in 0..starts {
        let start = (0..PARAMETERS).map(|_| random.between(-1.0, 1.0)).collect();
        let minimum = lbfgs::minimize(objective, start, iterations, 1e-5);
        if best.as_ref().is_none_or(|best| minimum.value < best.value) {
            best = Some(minimum);
        }
    }
    let best = best.map_or_else(|| vec![0.0; PARAMETERS], |best| best.point);
    let (parameters, _) = decode(&best);
    (parameters, data.negative_log_likelihood(&parameters).0)
}

/// +1 or −1 for the excitatory population that fires more in these bins.
fn winner(shares: &[[f64; POPULATIONS]]) -> f64 {
    shares.iter().map(|s| s[0] - s[1]).sum::<f64>().signum()
}

/// How often the winner of 200 ms changes to the other one in the next 200 ms.
fn switches(shares: &[[f64; POPULATIONS]]) -> usize {
    let winners: Vec<f64> = shares.chunks_exact(50).map(winner).collect();
    winners.windows(2).filter(|w| w[0] != w[1]).count()
}

/// Activity of `seconds` in which the winner changes at least three times: otherwise the populations' parameters can't be told
/// from what is seen.
fn activity(seconds: f64, least: usize, seed: u64) -> Result<Vec<[f64; POPULATIONS]>> {
    for attempt in 0..20 {
        let mut network = Microscopic::new(TRUTH, Random::new(seed, 10 + attempt));
        let bins = (seconds / TIME_STEP) as usize + WARM_UP;
        let shares: Vec<_> = (0..bins).map(|_| network.step(&[0.0; POPULATIONS])).collect();
        if switches(&shares[WARM_UP..]) >= least {
            return Ok(shares);
        }
    }
    bail!("the populations did not switch {least} times within {seconds} s, in 20 attempts with seed {seed}")
}

/// Strength of a light pulse, as the input that it drives.
const LIGHT: f64 = 300.0;

/// The winner in the 200 ms after a light pulse of 100 ms on an excitatory population, in a network that runs by `step`.
fn stimulate(target: usize, mut step: impl FnMut(&[f64; POPULATIONS]) -> [f64; POPULATIONS]) -> f64 {
    let dark = [0.0; POPULATIONS];
    let light = std::array::from_fn(|b| if b == target { LIGHT } else { 0.0 });
    (0..250).for_each(|_| {
        step(&dark);
    });
    (0..25).for_each(|_| {
        step(&light);
    });
    winner(&(0..50).map(|_| step(&dark)).collect::<Vec<_>>())
}

/// True if the model's winner after a light pulse is that of the neurons.
fn predicts_light(found: Parameters, seed: u64, trial: usize) -> bool {
    let mut network = Microscopic::new(TRUTH, Random::new(seed, 100 + trial as u64));
    let mut model = Mesoscopic::new(found, Random::new(seed, 200 + trial as u64));
    let real = stimulate(trial % 2, |external| network.step(external));
    let predicted = stimulate(trial % 2, |external| model.step(external));
    real == predicted
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (seconds, least, starts, iterations) = if settings.quick { (1.2, 0, 2, 15) } else { (10.0, 3, 6, 80) };
    let shares = activity(seconds, least, settings.seed)?;
    let data = Data::new(shares.clone());
    let truth = data.negative_log_likelihood(&TRUTH).0;
    let mut random = Random::new(settings.seed, 1);
    let (found, value) = fit(&data, starts, iterations, &mut random);
    let untrained = decode(&(0..PARAMETERS).map(|_| random.between(-1.0, 1.0)).collect::<Vec<_>>()).0;
    let untrained = data.negative_log_likelihood(&untrained).0;
    let part = "known activity";
    let limit = if settings.quick { 0.15 } else { 0.02 };
    let mut measurements = vec![
        Measurement::at_most(part, "negative log likelihood over the truth's", value - truth, limit)
            .against(untrained - truth),
    ];
    if !settings.quick {
        let worst = (0..POPULATIONS).map(|a| (found.weight[a] / TRUTH.weight[a] - 1.0).abs()).fold(0.0, f64::max);
        measurements.push(Measurement::at_most(part, "largest relative error of a weight J", worst, 0.1));
        let agreeing = (0..10).filter(|&trial| predicts_light(found, settings.seed, trial)).count();
        let (part, metric) = ("light pulses", "trials of 10 with the right winner");
        measurements.push(Measurement::at_least(part, metric, agreeing as f64, 8.0));
    }
    let mut model = Mesoscopic::new(found, Random::new(settings.seed, 2));
    let free: Vec<_> = (0..shares.len()).map(|_| model.step(&[0.0; POPULATIONS])).collect();
    let rates = |title: &str, shares: &[[f64; POPULATIONS]]| Chart {
        title: title.to_owned(),
        x: Axis::linear("time, s"),
        y: Axis::linear("population rate, Hz"),
        series: ["excitatory, first", "excitatory, second", "inhibitory"]
            .iter()
            .enumerate()
            .map(|(b, name)| {
                let smooth = shares[WARM_UP..].chunks(10).enumerate();
                let rate = |bins: &[[f64; POPULATIONS]]| {
                    bins.iter().map(|s| s[b]).sum::<f64>() / bins.len() as f64 / TIME_STEP
                };
                let points = smooth.map(|(i, bins)| (i as f64 * 10.0 * TIME_STEP, rate(bins))).collect();
                Series { name: (*name).to_owned(), points, style: Style::Line }
            })
            .collect(),
        marks: Vec::new(),
        size: (SIZE.0, SIZE.1 * 3 / 4),
    };
    let charts =
        vec![rates("Activity of the neurons", &shares), rates("Activity of the fitted model on its own", &free)];
    Ok(Outcome { measurements, charts })
}
