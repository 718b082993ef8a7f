//! The prior at work: the probability of each neuron's event, frame after frame, from the events before it.
//!
//! Encoder and decoder run the same code: whoever calls [`Predictor::frame`] says, for each probability, whether there
//! is an event, because it knows or because it reads it.
//!
//! # Widths
//! All values fit in 32 bits whatever the weights, given the limits that [`Prior::new`] checks (N ≤ 2^12 neurons,
//! H ≤ 2^9 channels):
//!
//! | value | magnitude at most |
//! |---|---|
//! | trace after a frame | 2^24, by clamping |
//! | trace within a frame | 2^24 + N · 2^7 · 2^8 < 2^28 |
//! | trace + hidden bias | 2^25 |
//! | hidden channel | 2^15 - 1, by clamping |
//! | sum over hidden channels | H · (2^15 - 1) · 2^7 < 2^31, and each partial sum in any order |
//! | shifted sum, at least by 1 | 2^30 |
//! | + quality + age + adapted bias | 2^30 + 2^15 + 2^15 + 2^14 |
//! | + chords | N · 2^7 · 2^7 = 2^26 more |

use super::Prior;
use super::sigmoid::probability;
use multiversion::multiversion;

/// Number of classes of the time since a neuron's last event.
pub const AGES: usize = 12;
/// Largest times in frames of all classes but the last two, which are for longer times and for no event yet.
pub(crate) const AGE_ENDS: [usize; AGES - 2] = [1, 2, 3, 4, 6, 8, 12, 20, 36, 80];
/// Times from here on are all of the same class.
const LONG: u8 = 81;
/// Stands for the time since an event when there was none.
const NEVER: u8 = LONG + 1;
/// Class of each time.
static AGE_CLASS: [u8; NEVER as usize + 1] = age_classes();

/// Traces stay within this magnitude.
const MAX_TRACE: i32 = 1 << 24;
/// Places that inputs are shifted left for the traces.
const INPUT_BITS: u32 = 8;
/// Places that traces are shifted right for the hidden channels.
const HIDDEN_BITS: u32 = 4;
/// Largest value of a hidden channel.
const MAX_HIDDEN: i32 = i16::MAX as i32;
/// Places that the adapted biases are shifted right for the logits.
const BIAS_BITS: u32 = 6;
/// Adapted biases stay within this magnitude: 16 nats.
const MAX_BIAS: i32 = 1 << 20;
/// The largest quality, that of the last knot.
const MAX_QUALITY: u32 = u16::MAX as u32;

/// Predicts the events of one chunk.
#[derive(Debug)]
pub struct Predictor<'a> {
    prior: &'a Prior,
    /// Bias of the hidden channels at the chunk's quality.
    hidden: Vec<i32>,
    /// Logits of the neurons at the chunk's quality.
    quality: Vec<i32>,
    /// Leaky sums of the past events' inputs, one for each channel.
    traces: Vec<i32>,
    /// Frames since each neuron's last event, up to [`LONG`], or [`NEVER`].
    since: Vec<u8>,
    /// Adapted biases of the neurons, in units of 2^-16 nat.
    bias: Vec<i32>,
    /// Hidden channels that are not zero.
    active: Vec<(usize, i16)>,
    /// Logits of the current frame, but for the adapted biases.
    logits: Vec<i32>,
    /// The neurons that fired in the last frame.
    row: Vec<u16>,
}

impl<'a> Predictor<'a> {
    /// Begins a chunk of a file with this quality.
    pub fn new(prior: &'a Prior, quality: u16) -> Self {
        let at_quality = |knots: &dyn Fn(usize) -> i64, width| interpolate(knots, prior.knots, width, quality);
        Self {
            prior,
            hidden: at_quality(&|i| prior.weights.hidden[i].into(), prior.channels),
            quality: at_quality(&|i| prior.weights.quality[i].into(), prior.neurons),
            traces: vec![0; prior.channels],
            since: vec![NEVER; prior.neurons],
            bias: vec![0; prior.neurons],
            active: Vec::with_capacity(prior.channels),
            logits: vec![0; prior.neurons],
            row: Vec::new(),
        }
    }

    /// Goes through the neurons of the next frame: `decide` gets each neuron with the probability of its event, in units
    /// of 2^-16 from 1 to 65,535, and says whether there is one. Returns the neurons with an event.
    pub fn frame(&mut self, mut decide: impl FnMut(u16, u16) -> bool) -> &[u16] {
        let (prior, weights) = (self.prior, &self.prior.weights);
        self.update_traces();
        self.start_logits();
        self.row.clear();
        for neuron in 0..prior.neurons {
            let p = probability(self.logits[neuron] + (self.bias[neuron] >> BIAS_BITS));
            let event = decide(neuron as u16, p);
            if weights.adapt_shift > 0 {
                let error = (i32::from(event) << 16) - i32::from(p);
                let bias = &mut self.bias[neuron];
                *bias = (*bias + (error >> weights.adapt_shift)).clamp(-MAX_BIAS, MAX_BIAS);
            }
            if event {
                self.row.push(neuron as u16);
                let chord = &weights.chord[neuron * prior.neurons..][..prior.neurons];
                for (logit, &weight) in self.logits[neuron + 1..].iter_mut().zip(&chord[neuron + 1..]) {
                    *logit += i32::from(weight) << weights.chord_shift;
                }
            }
        }
        self.since.iter_mut().for_each(|since| *since += u8::from(*since < LONG));
        self.row.iter().for_each(|&neuron| self.since[usize::from(neuron)] = 1);
        &self.row
    }

    /// Lets the traces decay and adds the last frame's events.
    fn update_traces(&mut self) {
        let (weights, channels) = (&self.prior.weights, self.prior.channels);
        for (trace, &shift) in self.traces.iter_mut().zip(&weights.shift) {
            *trace -= *trace >> shift;
        }
        for &neuron in &self.row {
            let inputs = &weights.input[usize::from(neuron) * channels..][..channels];
            for (trace, &input) in self.traces.iter_mut().zip(inputs) {
                *trace += i32::from(input) << INPUT_BITS;
            }
        }
        self.traces.iter_mut().for_each(|trace| *trace = (*trace).clamp(-MAX_TRACE, MAX_TRACE));
    }

    /// Computes all that the logits owe to earlier frames.
    fn start_logits(&mut self) {
        let (prior, weights) = (self.prior, &self.prior.weights);
        self.active.clear();
        for (channel, (trace, bias)) in self.traces.iter().zip(&self.hidden).enumerate() {
            let hidden = ((trace + bias) >> HIDDEN_BITS).clamp(0, MAX_HIDDEN) as i16;
            if hidden != 0 {
                self.active.push((channel, hidden));
            }
        }
        multiply(&self.active, &weights.output, &mut self.logits);
        for (neuron, logit) in self.logits.iter_mut().enumerate() {
            let class = usize::from(AGE_CLASS[usize::from(self.since[neuron])]);
            let age = weights.age[class * prior.neurons + neuron];
            *logit = (*logit >> weights.output_shift) + self.quality[neuron] + i32::from(age);
        }
    }
}

/// Rows of `output`, as long as `sums`, weighted and summed.
#[multiversion(targets = "simd")]
fn multiply(active: &[(usize, i16)], output: &[i8], sums: &mut [i32]) {
    const AT_ONCE: usize = 4;
    let width = sums.len();
    sums.fill(0);
    let (groups, rest) = active.as_chunks::<AT_ONCE>();
    for group in groups {
        let [a, b, c, d] = group.map(|(channel, _)| &output[channel * width..][..width]);
        let [p, q, r, s] = group.map(|(_, value)| i32::from(value));
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += p * i32::from(a[i]) + q * i32::from(b[i]) + r * i32::from(c[i]) + s * i32::from(d[i]);
        }
    }
    for &(channel, value) in rest {
        for (sum, &weight) in sums.iter_mut().zip(&output[channel * width..][..width]) {
            *sum += i32::from(value) * i32::from(weight);
        }
    }
}

/// The rows of a (knots, width) array between which `quality` lies, linearly interpolated and rounded down.
fn interpolate(array: &dyn Fn(usize) -> i64, knots: usize, width: usize, quality: u16) -> Vec<i32> {
    let position = u32::from(quality) * (knots as u32 - 1);
    let knot = (position / MAX_QUALITY).min(knots as u32 - 2);
    let fraction = i64::from(position - knot * MAX_QUALITY); // 0 to MAX_QUALITY
    let first = knot as usize * width;
    let between = |below: i64, above: i64| below + ((above - below) * fraction).div_euclid(MAX_QUALITY.into());
    (first..first + width).map(|i| between(array(i), array(i + width)) as i32).collect()
}

const fn age_classes() -> [u8; NEVER as usize + 1] {
    let mut classes = [0; NEVER as usize + 1];
    let (mut time, mut class) = (0, 0);
    while time < LONG as usize {
        if class < AGE_ENDS.len() && time > AGE_ENDS[class] {
            class += 1;
        }
        classes[time] = class as u8;
        time += 1;
    }
    classes[LONG as usize] = AGES as u8 - 2;
    classes[NEVER as usize] = AGES as u8 - 1;
    classes
}

#[cfg(test)]
mod tests {
    use super::super::{PriorWeights, test_prior};
    use super::*;
    use crate::events::{EventMatrix, test_events};
    use proptest::prelude::*;

    /// Probabilities of all cells.
    fn probabilities(prior: &Prior, quality: u16, events: &EventMatrix) -> Vec<u16> {
        let mut predictor = Predictor::new(prior, quality);
        let mut all = Vec::new();
        for row in events.rows() {
            let fired = predictor.frame(|neuron, p| {
                all.push(p);
                row.contains(&neuron)
            });
            assert_eq!(fired, row);
        }
        all
    }

    /// The same from the definition: nothing is kept from frame to frame but what it says, sums are taken cell by cell
    /// over all events before the cell, in 64 bits.
    fn reference(weights: &PriorWeights, quality: u16, events: &EventMatrix) -> Vec<u16> {
        let (neurons, channels) = (usize::from(events.neurons()), weights.shift.len());
        let knots = weights.hidden.len() / channels;
        let at_quality = |below: i64, above: i64, knot: usize| {
            let x = i64::from(quality) * (knots as i64 - 1) - knot as i64 * 65_535;
            (below * (65_535 - x) + above * x).div_euclid(65_535)
        };
        let knot = (0..knots - 1).rev().find(|&knot| usize::from(quality) * (knots - 1) >= knot * 65_535).unwrap();
        let fires = |frame: usize, neuron: usize| events.row(frame as u32).contains(&(neuron as u16));
        let mut traces = vec![0i64; channels];
        let mut bias = vec![0i64; neurons];
        let mut all = Vec::new();
        for frame in 0..events.frames() as usize {
            for (c, trace) in traces.iter_mut().enumerate() {
                *trace -= trace.div_euclid(1 << weights.shift[c]);
                let before = (0..neurons).filter(|&neuron| frame > 0 && fires(frame - 1, neuron));
                *trace += before.map(|neuron| 256 * i64::from(weights.input[neuron * channels + c])).sum::<i64>();
                *trace = (*trace).clamp(-(1 << 24), 1 << 24);
            }
            for (neuron, bias) in bias.iter_mut().enumerate() {
                let product = (0..channels).map(|c| {
                    let (below, above) =
                        (weights.hidden[knot * channels + c], weights.hidden[(knot + 1) * channels + c]);
                    let hidden = (traces[c] + at_quality(below.into(), above.into(), knot)).div_euclid(16);
                    hidden.clamp(0, 32_767) * i64::from(weights.output[c * neurons + neuron])
                });
                let mut logit = product.sum::<i64>().div_euclid(1 << weights.output_shift);
                let (below, above) =
                    (weights.quality[knot * neurons + neuron], weights.quality[(knot + 1) * neurons + neuron]);
                logit += at_quality(below.into(), above.into(), knot);
                let class = match (0..frame).rev().find(|&before| fires(before, neuron)).map(|before| frame - before) {
                    Some(time @ 1..=4) => time - 1,
                    Some(5..=6) => 4,
                    Some(7..=8) => 5,
                    Some(9..=12) => 6,
                    Some(13..=20) => 7,
                    Some(21..=36) => 8,
                    Some(37..=80) => 9,
                    Some(_) => 10,
                    None => 11,
                };
                logit += i64::from(weights.age[class * neurons + neuron]);
                let chords = (0..neuron).filter(|&j| fires(frame, j)).map(|j| weights.chord[j * neurons + neuron]);
                logit += chords.map(|chord| i64::from(chord) << weights.chord_shift).sum::<i64>();
                logit += bias.div_euclid(64);
                let p = probability(i32::try_from(logit).unwrap());
                all.push(p);
                if weights.adapt_shift > 0 {
                    let error = 65_536 * i64::from(fires(frame, neuron)) - i64::from(p);
                    *bias += error.div_euclid(1 << weights.adapt_shift);
                    *bias = (*bias).clamp(-(1 << 20), 1 << 20);
                }
            }
        }
        all
    }

    fn prior(weights: PriorWeights) -> Prior {
        Prior::new(weights).unwrap()
    }

    /// A prior that says nothing: every logit is 0.
    fn silent(neurons: usize) -> PriorWeights {
        let mut weights = test_prior::any(neurons, 2, 2, 0);
        [&mut weights.input, &mut weights.output, &mut weights.chord].into_iter().for_each(|values| values.fill(0));
        [&mut weights.quality, &mut weights.age].into_iter().for_each(|values| values.fill(0));
        weights.adapt_shift = 0;
        weights
    }

    #[test]
    fn knots_are_met_and_lines_between_them_are_rounded_down() {
        let array = [0, 100, -7, 50, 70_000, -8];
        let at = |quality| interpolate(&|i| array[i], 3, 2, quality);
        assert_eq!(at(0), [0, 100]);
        assert_eq!(at(65_535), [70_000, -8]);
        assert_eq!(at(32_767), [-7, 50]); // 2 · 32767 = 65534: 65534/65535 of the way: -6.99…, 50.0008
        assert_eq!(at(32_768), [-7 + 1, 49]); // 1/65535 beyond the knot: 1.07, -0.0009
        assert_eq!(at(49_151), [34_995, 21]); // half-way less half a unit
    }

    #[test]
    fn ages_are_counted_from_the_last_event() {
        let mut weights = silent(2);
        weights.age = (0..AGES).flat_map(|class| [class as i16 * 100; 2]).collect();
        let prior = prior(weights);
        let events = EventMatrix::from_parts(2, (0..=100).map(|row| u32::from(row > 3)).collect(), vec![1]).unwrap();
        let all = probabilities(&prior, 0, &events);
        let class =
            |frame: usize, neuron: usize| (0..12).find(|&k| all[2 * frame + neuron] == probability(k * 100)).unwrap();
        assert!((0..100).all(|frame| class(frame, 0) == 11) && (0..=3).all(|frame| class(frame, 1) == 11));
        for (time, expected) in
            [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (8, 5), (9, 6), (12, 6), (13, 7), (20, 7), (21, 8)]
                .into_iter()
                .chain([(36, 8), (37, 9), (80, 9), (81, 10), (82, 10), (96, 10)])
        {
            assert_eq!(class(3 + time, 1), expected, "{time} frames");
        }
    }

    /// An event of neuron 0 announces one of neuron 2 in the same frame, and one of neuron 1 in the next.
    #[test]
    fn chords_reach_later_neurons_and_traces_later_frames() {
        let mut weights = silent(3);
        weights.chord[2] = 50;
        weights.chord_shift = 5;
        weights.hidden.fill(0);
        weights.shift.fill(1);
        (weights.input[0], weights.output[1]) = (100, 64);
        weights.output_shift = 6;
        let events = EventMatrix::from_parts(3, vec![0, 1, 1, 1], vec![0]).unwrap();
        let expected = [[0, 0, 50 << 5], [0, 100 << 4, 0], [0, 50 << 4, 0]].concat();
        assert_eq!(
            probabilities(&prior(weights), 77, &events),
            expected.into_iter().map(probability).collect::<Vec<_>>()
        );
    }

    /// A bias that adapts finds the rate of events without memory: at learning rate 2^-4 the last 2,000 frames are within
    /// 15 % of it on average.
    #[test]
    fn adaptation_finds_the_rate() {
        let prior = prior(PriorWeights { adapt_shift: 4, ..silent(1) });
        let events = test_events::even(4_000, 1, 0.1, 5);
        let all = probabilities(&prior, 0, &events);
        let mean = all[2_000..].iter().map(|&p| f64::from(p)).sum::<f64>() / 2_000.0 / 65_536.0;
        let rate = f64::from(events.slice(2_000..4_000).events()) / 2_000.0;
        assert!((mean / rate - 1.0).abs() < 0.15, "{mean}, not {rate}");
    }

    /// With the largest weights of one sign, and all neurons or none firing, nothing overflows (which debug builds
    /// notice) and the predictions are certain.
    #[test]
    fn the_largest_weights_do_not_overflow() {
        for positive in [false, true] {
            let prior = prior(test_prior::extreme(300, super::super::MAX_CHANNELS, positive));
            for fires in [false, true] {
                let events = EventMatrix::from_dense(300, &[(); 300 * 6], |()| fires).unwrap();
                let all = probabilities(&prior, 9, &events);
                assert!(all.iter().all(|&p| p == if positive { 65_535 } else { 1 }));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn probabilities_follow_the_definition(
            neurons in 1u16..30, channels in 1usize..20, knots in 2usize..9, quality: u16, density in 0.0..0.4, seed: u64,
        ) {
            let weights = test_prior::any(neurons.into(), channels, knots, seed);
            let events = test_events::even(100, neurons, density, seed);
            let expected = reference(&weights, quality, &events);
            prop_assert_eq!(probabilities(&prior(weights), quality, &events), expected);
        }
    }
}
