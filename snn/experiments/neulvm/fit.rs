//! Maximum likelihood by L-BFGS, with every parameter in a range about the true one, as in the paper.

use super::likelihood::Data;
use super::population::{POPULATIONS, Parameters, TRUTH};
use spiccato_neurons::Random;
use spiccato_snn::engine::lbfgs;

/// Range of each parameter in units of the true one.
const RANGE: (f64, f64) = (0.4, 2.0);
const PARAMETERS: usize = 4 * POPULATIONS;

fn fields(parameters: &Parameters) -> [f64; PARAMETERS] {
    let Parameters { leak, weight, rest, threshold } = parameters;
    let mut fields = [leak, weight, rest, threshold].into_iter().flatten();
    std::array::from_fn(|_| *fields.next().unwrap_or(&0.0))
}

/// Parameters from free variables: a logistic function of each within the range; and its slopes.
fn decode(free: &[f64]) -> (Parameters, [f64; PARAMETERS]) {
    let logistic: [f64; PARAMETERS] = std::array::from_fn(|i| 1.0 / (1.0 + (-free[i]).exp()));
    let truth = fields(&TRUTH);
    let value: [f64; PARAMETERS] = std::array::from_fn(|i| truth[i] * (RANGE.0 + (RANGE.1 - RANGE.0) * logistic[i]));
    let slopes = std::array::from_fn(|i| truth[i] * (RANGE.1 - RANGE.0) * logistic[i] * (1.0 - logistic[i]));
    let field = |number: usize| std::array::from_fn(|b| value[number * POPULATIONS + b]);
    (Parameters { leak: field(0), weight: field(1), rest: field(2), threshold: field(3) }, slopes)
}

/// The free variables of parameters, of those beyond the range that of its end.
fn encode(parameters: &Parameters) -> Vec<f64> {
    let factors = fields(parameters).into_iter().zip(fields(&TRUTH)).map(|(value, truth)| value / truth);
    let inside = factors.map(|factor| factor.clamp(RANGE.0 + 1e-3, RANGE.1 - 1e-3));
    inside.map(|factor| ((factor - RANGE.0) / (RANGE.1 - factor)).ln()).collect()
}

fn by_free(gradient: &Parameters, slopes: &[f64; PARAMETERS]) -> Vec<f64> {
    fields(gradient).into_iter().zip(slopes).map(|(g, s)| g * s).collect()
}

/// Free variables of parameters that are spread evenly over the whole range but its outermost hundredths.
fn free(random: &mut Random) -> Vec<f64> {
    let place = |_| random.between(0.01, 0.99);
    (0..PARAMETERS).map(place).map(|place: f64| (place / (1.0 - place)).ln()).collect()
}

/// Random parameters within the range.
pub(super) fn random_parameters(random: &mut Random) -> Parameters {
    decode(&free(random)).0
}

/// The best of `starts` fits to known activity.
pub(super) fn fit(data: &Data<'_>, starts: usize, iterations: usize, random: &mut Random) -> (Parameters, f64) {
    let objective = |free: &[f64]| {
        let (parameters, slopes) = decode(free);
        let (value, gradient) = data.negative_log_likelihood(&parameters);
        (value, by_free(&gradient, &slopes))
    };
    let mut best: Option<lbfgs::Minimum> = None;
    for _ in 0..starts {
        let minimum = lbfgs::minimize(objective, free(random), iterations, 1e-5);
        if best.as_ref().is_none_or(|best| minimum.value < best.value) {
            best = Some(minimum);
        }
    }
    let best = best.map_or_else(|| vec![0.0; PARAMETERS], |best| best.point);
    let (parameters, _) = decode(&best);
    (parameters, data.negative_log_likelihood(&parameters).0)
}

/// Places of the weights among the parameters.
const WEIGHTS: std::ops::Range<usize> = POPULATIONS..2 * POPULATIONS;

/// The weights that make data likeliest, from these parameters on, the others fixed: the M-step.
pub(super) fn fit_weights(data: &Data<'_>, start: &Parameters, iterations: usize) -> Parameters {
    let start = encode(start);
    let whole = |weights: &[f64]| [&start[..WEIGHTS.start], weights, &start[WEIGHTS.end..]].concat();
    let objective = |weights: &[f64]| {
        let (parameters, slopes) = decode(&whole(weights));
        let (value, gradient) = data.negative_log_likelihood(&parameters);
        (value, by_free(&gradient, &slopes)[WEIGHTS].to_vec())
    };
    let minimum = lbfgs::minimize(objective, start[WEIGHTS].to_vec(), iterations, 1e-7);
    decode(&whole(&minimum.point)).0
}
