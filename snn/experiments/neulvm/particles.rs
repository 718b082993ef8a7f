//! The activity of populations of which a few neurons are seen, by a particle filter (Gordon, Salmond & Smith 1993): many
//! copies of the mesoscopic model draw their shares, and those that explain the spikes seen multiply. What is left at the
//! end, traced back, are draws of the activity given the spikes.
//!
//! The model is that of [`ages`](super::ages) but for neurons beyond an age, which have one potential and enter by sums: with
//! m = S·n and u = (1 − S)·m, a bin with firing probability P makes m ← (1 − P)·m, u ← (1 − P)²·u + P·(1 − P)·m of them. All
//! particles go side by side, in single precision.

use spiccato_neurons::Real;

use super::ages::TIME_STEP;
use super::likelihood::WARM_UP;
use super::population::{CONNECTIONS, POPULATIONS, Parameters, SIZES, synaptic_decay};
use super::spikes::{SEEN, Spikes};
use spiccato_neurons::Random;

const PARTICLES: usize = 64;
/// Ages that are told apart; neurons that are older have one potential.
const YOUNG: usize = 40;

/// A value of each particle.
type Lane = [f32; PARTICLES];
const ZERO: Lane = [0.0; PARTICLES];

/// Neurons of one age in every particle.
#[derive(Clone, Copy)]
struct Class {
    potential: Lane,
    /// Share of the population, m.
    mass: Lane,
    /// u.
    gone: Lane,
}

const EMPTY: Class = Class { potential: ZERO, mass: ZERO, gone: ZERO };

/// Sums over the ages.
struct Sums {
    fired: Lane,
    mass: Lane,
    gone: Lane,
    gone_fired: Lane,
}

impl Class {
    fn step(&mut self, input: &Lane, [leak, rest, threshold]: [f32; 3], sums: &mut Sums) {
        let dt = TIME_STEP as f32;
        for (p, input) in input.iter().enumerate() {
            let v = self.potential[p] + dt * ((rest - self.potential[p]) * leak + input);
            let (m, u) = (self.mass[p], self.gone[p]);
            let silence = (-(v - threshold).min(10.0).fast_exp() * dt).fast_exp();
            let probability = 1.0 - silence;
            sums.fired[p] += probability * m;
            sums.mass[p] += m;
            sums.gone[p] += u;
            sums.gone_fired[p] += probability * u;
            self.potential[p] = v;
            self.gone[p] = silence * (silence * u + probability * m);
            self.mass[p] = silence * m;
        }
    }

    fn lanes(&mut self) -> [&mut Lane; 3] {
        [&mut self.potential, &mut self.mass, &mut self.gone]
    }
}

/// What the filter found.
pub(super) struct Filtered {
    /// Logarithm of the likelihood of the spikes seen, estimated.
    pub(super) log_likelihood: f64,
    /// Shares of the particles in each bin.
    history: Vec<[Lane; POPULATIONS]>,
    /// After each bin, whose copies the particles are, if they were drawn anew.
    parents: Vec<Option<[u16; PARTICLES]>>,
}

impl Filtered {
    /// Shares over time that lead to particle `end`.
    fn path(&self, end: usize) -> Vec<[f64; POPULATIONS]> {
        let mut line = end;
        let mut path = vec![[0.0; POPULATIONS]; self.history.len()];
        for (t, shares) in path.iter_mut().enumerate().rev() {
            if let Some(parents) = &self.parents[t] {
                line = usize::from(parents[line]);
            }
            *shares = self.history[t].each_ref().map(|lane| f64::from(lane[line]));
        }
        path
    }

    /// A draw of the shares given the spikes.
    pub(super) fn draw(&self, random: &mut Random) -> Vec<[f64; POPULATIONS]> {
        self.path(random.below(PARTICLES))
    }

    /// The mean of the shares given the spikes.
    pub(super) fn mean(&self) -> Vec<[f64; POPULATIONS]> {
        let mut mean = vec![[0.0; POPULATIONS]; self.history.len()];
        for p in 0..PARTICLES {
            for (m, s) in mean.iter_mut().zip(self.path(p)) {
                m.iter_mut().zip(s).for_each(|(m, s)| *m += s / PARTICLES as f64);
            }
        }
        mean
    }
}

pub(super) fn filter(
    parameters: &Parameters,
    spikes: &Spikes,
    start: &[[f64; POPULATIONS]],
    inflation: f64,
    random: &mut Random,
) -> Filtered {
    let bins = spikes.fired.len();
    let mut young = vec![[EMPTY; YOUNG]; POPULATIONS];
    let mut old = [EMPTY; POPULATIONS];
    let mut currents = [ZERO; POPULATIONS];
    let mut share = [ZERO; POPULATIONS];
    let mut history = Vec::with_capacity(bins);
    let mut parents = Vec::with_capacity(bins);
    let mut log_weight = [0.0f64; PARTICLES];
    let mut log_likelihood = 0.0;
    let mut noise = [0.0f64; PARTICLES];
    let dt = TIME_STEP as f32;
    for (t, fired) in spikes.fired.iter().enumerate() {
        let newest = (YOUNG - t % YOUNG) % YOUNG;
        for a in 0..POPULATIONS {
            let keep = synaptic_decay(a) as f32;
            currents[a].iter_mut().zip(&share[a]).for_each(|(i, n)| *i = keep * *i + (1.0 - keep) * n / dt);
        }
        for b in 0..POPULATIONS {
            let mut input = ZERO;
            for a in 0..POPULATIONS {
                let w = (parameters.weight[a] * CONNECTIONS[a][b]) as f32;
                input.iter_mut().zip(&currents[a]).for_each(|(x, i)| *x += w * i);
            }
            // The oldest of the young join the old, and their place is that of the youngest.
            let (y, o) = (&mut young[b][newest], &mut old[b]);
            o.mass.iter_mut().zip(&y.mass).for_each(|(o, y)| *o += y);
            o.gone.iter_mut().zip(&y.gone).for_each(|(o, y)| *o += y);
            *y = Class { mass: share[b], ..EMPTY };
            let cell = [parameters.leak[b] as f32, parameters.rest[b] as f32, parameters.threshold[b] as f32];
            let mut sums = Sums { fired: ZERO, mass: share[b], gone: ZERO, gone_fired: ZERO };
            for (slot, class) in young[b].iter_mut().enumerate() {
                if slot != newest {
                    class.step(&input, cell, &mut sums);
                }
            }
            old[b].step(&input, cell, &mut sums);
            if t < WARM_UP {
                share[b].fill(start[t][b] as f32);
                continue;
            }
            for i in 0..SEEN {
                let Some(age @ 1..) = spikes.ages[t][b][i] else { continue };
                let class = if age < YOUNG { &young[b][(newest + age) % YOUNG] } else { &old[b] };
                let fired = fired[b][i];
                for (w, v) in log_weight.iter_mut().zip(&class.potential) {
                    let x = (v - cell[2]).min(10.0).fast_exp() * dt;
                    *w += if fired { (-f64::from(-x).exp_m1()).max(1e-30).ln() } else { f64::from(-x) };
                }
            }
            random.fill_normal(&mut noise);
            for p in 0..PARTICLES {
                let rest = if sums.gone[p] > 1e-9 { sums.gone_fired[p] / sums.gone[p] } else { 0.0 };
                let mean = (sums.fired[p] + rest * (1.0 - sums.mass[p])).max(1e-6);
                let variance = inflation as f32 * (mean + 0.1 * dt) / SIZES[b] as f32;
                share[b][p] = (mean + variance.sqrt() * noise[p] as f32).clamp(0.0, 1.0);
            }
        }
        history.push(share);
        let top = log_weight.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weight = log_weight.map(|w| (w - top).exp());
        let sum: f64 = weight.iter().sum();
        let squares: f64 = weight.iter().map(|w| w * w).sum();
        if sum * sum / squares >= 0.5 * PARTICLES as f64 && t + 1 < bins {
            parents.push(None);
            continue;
        }
        log_likelihood += top + (sum / PARTICLES as f64).ln();
        let mut parent = [0u16; PARTICLES];
        let (mut cumulative, mut i) = (weight[0], 0);
        let u = random.uniform();
        for (p, parent) in parent.iter_mut().enumerate() {
            let target = (p as f64 + u) / PARTICLES as f64 * sum;
            while cumulative < target && i + 1 < PARTICLES {
                i += 1;
                cumulative += weight[i];
            }
            *parent = i as u16;
        }
        let gather = |lane: &mut Lane| *lane = parent.map(|i| lane[usize::from(i)]);
        young.iter_mut().flatten().chain(&mut old).flat_map(Class::lanes).for_each(gather);
        currents.iter_mut().chain(&mut share).for_each(gather);
        log_weight = [0.0; PARTICLES];
        parents.push(Some(parent));
    }
    Filtered { log_likelihood, history, parents }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neulvm::ages::{AGES, Ages};
    use crate::neulvm::population::{Synapses, TRUTH};

    /// Without noise every particle takes the one path of the model in double precision with all its ages, and the likelihood
    /// is that of the spikes along it.
    #[test]
    fn without_noise_the_particles_follow_the_model() {
        let mut random = Random::new(2, 0);
        let bins = 400;
        let fired = (0..bins).map(|_| std::array::from_fn(|_| std::array::from_fn(|_| random.chance(0.05)))).collect();
        let spikes = Spikes::new(fired);
        let start = vec![[0.05, 0.02, 0.1]; WARM_UP];
        let filtered = filter(&TRUTH, &spikes, &start, 0.0, &mut random);
        let draw = filtered.draw(&mut random);

        let mut shares: [Vec<f64>; POPULATIONS] = std::array::from_fn(|_| vec![0.0; AGES]);
        let (mut ages, mut synapses, mut surprise) = ([Ages::new(); POPULATIONS], Synapses::default(), 0.0);
        for t in 0..bins {
            synapses.step(&shares.each_ref().map(|s| s[t + AGES - 1]));
            for b in 0..POPULATIONS {
                ages[b].advance(&TRUTH.cell(b), TRUTH.drive(synapses.currents(), b));
                let mean = ages[b].expected(&shares[b]).mean;
                shares[b].push(if t < WARM_UP { start[t][b] } else { mean.clamp(0.0, 1.0) });
                if t >= WARM_UP {
                    spikes.score(t, b, &ages[b], &mut surprise);
                    assert!((draw[t][b] - shares[b][t + AGES]).abs() < 2e-3, "bin {t}, population {b}");
                }
            }
        }
        assert!((filtered.log_likelihood / -surprise - 1.0).abs() < 2e-3, "{} {surprise}", filtered.log_likelihood);
    }
}
