//! Vector quantisation with codebooks that follow the latents by running averages (van den Oord et al. 2017,
//! appendix A.1; Razavi et al. 2019), one after the other on what is left (Zeghidour et al., *SoundStream*, 2021,
//! section III-C). An entry that is hardly used any more begins anew at one of the current latents.

use anyhow::Result;
use candle_core::Tensor;
use spiccato_neurons::Random;

use super::{BottleneckConfig, Coded, PREFIX};
use crate::variables::Variables;

/// Weight of the encoder's commitment to the entries (β of van den Oord et al.).
const COMMITMENT: f64 = 0.25;

/// Decay per step of the averages that the codebooks are.
const DECAY: f32 = 0.99;

/// An entry that is used less often than this per step begins anew.
const DEAD: f32 = 0.03;

/// Uses per step that an entry begins with: unless it is used soon, it begins anew again.
const NEWBORN: f32 = 0.1;

/// Latents in a shard that entries can begin at.
const CANDIDATES: usize = 256;

/// Statistics that one codebook learns from: for each entry the number of its latents and their sum, and some latents
/// to begin at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statistics {
    counts: Vec<f32>,
    sums: Vec<f32>,
    candidates: Vec<f32>,
}

impl Statistics {
    /// The three lists, to be sent to another process.
    pub(crate) fn parts(&self) -> [&[f32]; 3] {
        [&self.counts, &self.sums, &self.candidates]
    }

    /// Statistics from their three lists.
    pub(crate) fn from_parts([counts, sums, candidates]: [Vec<f32>; 3]) -> Self {
        Self { counts, sums, candidates }
    }

    /// Adds those of another shard.
    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| *a += b);
        self.candidates.extend_from_slice(&other.candidates);
    }
}

/// Quantises latents (batch, frames, latents), each item with the codebooks, or the entries, of its step.
pub(super) fn quantise(
    config: BottleneckConfig,
    codebooks: &[Tensor],
    latents: &Tensor,
    steps: &[usize],
) -> candle_core::Result<Coded> {
    let (batch, frames, width) = latents.dims3()?;
    let mut residual = latents.detach().flatten_all()?.to_vec1::<f32>()?;
    let mut symbols = vec![Vec::with_capacity(codebooks.len()); batch * frames];
    let mut statistics = Vec::with_capacity(codebooks.len());
    for (level, codebook) in codebooks.iter().enumerate() {
        let entries = codebook.dim(0)?;
        let allowed = |item: usize| match config {
            BottleneckConfig::Vector { .. } => 1 << steps[item],
            _ if level < steps[item] => entries,
            _ => 0,
        };
        let scores = scores(codebook, &residual, width)?;
        let book = codebook.flatten_all()?.to_vec1::<f32>()?;
        let mut counts = vec![0.0; entries];
        let mut sums = vec![0.0; entries * width];
        let mut candidates = Vec::new();
        let stride = (batch * frames).div_ceil(CANDIDATES);
        for (row, (vector, scores)) in residual.chunks_exact_mut(width).zip(scores.chunks_exact(entries)).enumerate() {
            let allowed = allowed(row / frames);
            if allowed == 0 {
                continue;
            }
            if row % stride == 0 {
                candidates.extend_from_slice(vector);
            }
            let best = nearest(&scores[..allowed]);
            counts[best] += 1.0;
            sums[best * width..][..width].iter_mut().zip(&*vector).for_each(|(s, v)| *s += v);
            vector.iter_mut().zip(&book[best * width..]).for_each(|(v, e)| *v -= e);
            symbols[row].push(best as u16);
        }
        statistics.push(Statistics { counts, sums, candidates });
    }
    let residual = Tensor::from_vec(residual, latents.shape(), latents.device())?;
    let quantised = (latents.detach() - &residual)?;
    let commitment = ((latents - &quantised)?.sqr()?.mean_all()? * COMMITMENT)?;
    Ok(Coded {
        // the entries in value, the latents in gradient
        code: (latents - residual)?,
        commitment: Some(commitment),
        symbols: symbols.concat(),
        statistics,
    })
}

/// r·e − ½‖e‖² of every vector with every entry, which is largest for the nearest entry.
fn scores(codebook: &Tensor, vectors: &[f32], width: usize) -> candle_core::Result<Vec<f32>> {
    let vectors = Tensor::from_slice(vectors, (vectors.len() / width, width), codebook.device())?;
    let norms = (codebook.sqr()?.sum(1)? * 0.5)?;
    vectors.matmul(&codebook.t()?)?.broadcast_sub(&norms)?.flatten_all()?.to_vec1()
}

fn nearest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, &score) in scores.iter().enumerate() {
        if score > scores[best] {
            best = i;
        }
    }
    best
}

/// Moves the codebooks towards the latents of step number `step`, whose statistics the shards bring in their order.
pub(crate) fn update(variables: &Variables, shards: &[Vec<Statistics>], seed: u64, step: u64) -> Result<()> {
    let codebooks = shards.first().map_or(0, Vec::len);
    // One codebook more with each step, so that each begins at what those before it leave.
    for book in 0..codebooks.min(step as usize + 1) {
        let mut new = Statistics { counts: Vec::new(), sums: Vec::new(), candidates: Vec::new() };
        for (i, shard) in shards.iter().enumerate() {
            if i == 0 {
                new.counts.clone_from(&shard[book].counts);
                new.sums.clone_from(&shard[book].sums);
                new.candidates.clone_from(&shard[book].candidates);
            } else {
                new.add(&shard[book]);
            }
        }
        let entries = new.counts.len();
        let width = new.sums.len() / entries;
        if new.candidates.is_empty() {
            continue; // no item of this step had this codebook
        }
        let name = |part: &str| format!("{PREFIX}.{part}{book}");
        let mut counts = variables.values(&name("count"))?;
        let mut sums = variables.values(&name("sum"))?;
        counts.iter_mut().zip(&new.counts).for_each(|(c, n)| *c = DECAY * *c + (1.0 - DECAY) * n);
        sums.iter_mut().zip(&new.sums).for_each(|(s, n)| *s = DECAY * *s + (1.0 - DECAY) * n);
        // Apart from the streams that crops are drawn from.
        let mut random = Random::new(seed, u64::MAX - step);
        let candidates = new.candidates.len() / width;
        for (count, sum) in counts.iter_mut().zip(sums.chunks_exact_mut(width)) {
            if *count < DEAD {
                let from = random.below(candidates) * width;
                *count = NEWBORN;
                sum.iter_mut().zip(&new.candidates[from..]).for_each(|(s, c)| *s = NEWBORN * c);
            }
        }
        let centres =
            sums.chunks_exact(width).zip(&counts).flat_map(|(sum, &count)| sum.iter().map(move |s| s / count));
        variables.set(&name("codebook"), centres.collect())?;
        variables.set(&name("count"), counts)?;
        variables.set(&name("sum"), sums)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Bottleneck;
    use super::*;
    use crate::variables::{Initialiser, builder};
    use candle_core::Device;
    use spiccato::network::NetworkConfig;

    fn zero(config: BottleneckConfig, network: &NetworkConfig) -> Variables {
        let initialiser = Initialiser::new(1);
        Bottleneck::new(config, network, &initialiser.builder()).unwrap();
        initialiser.into_variables()
    }

    /// Latents in 16 tight clouds.
    fn clouds(step: u64) -> Tensor {
        let mut random = Random::new(step, 0);
        let rows = (0..400).flat_map(|_| {
            let cloud = random.below(16) as u32;
            let centre = [cloud % 4, cloud / 4, (cloud * 7) % 5].map(|c| c as f32 - 1.5);
            centre.map(|c| c + 0.05 * random.between(-0.5, 0.5) as f32)
        });
        Tensor::from_vec(rows.collect(), (1, 400, 3), &Device::Cpu).unwrap()
    }

    /// Mean square error of a latent after learning, and the number of different symbols in the last step: of three
    /// runs, the one with the least error, as an entry may be stuck between two clouds.
    fn learned(config: BottleneckConfig) -> (f32, usize) {
        (1..4).map(|seed| learned_with(config, seed)).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
    }

    fn learned_with(config: BottleneckConfig, seed: u64) -> (f32, usize) {
        let network = NetworkConfig { neurons: 3, ..NetworkConfig::default() };
        let variables = zero(config, &network);
        let weights = builder(variables.tensors());
        let mut last = (f32::INFINITY, 0);
        for step in 0..400 {
            let bottleneck = Bottleneck::new(config, &network, &weights).unwrap();
            let mut coded = bottleneck.code(&clouds(step), &[1.0]).unwrap();
            coded.symbols.sort_unstable();
            coded.symbols.dedup();
            last = (coded.commitment.unwrap().to_scalar::<f32>().unwrap() / COMMITMENT as f32, coded.symbols.len());
            update(&variables, &[coded.statistics], seed, step).unwrap();
        }
        last
    }

    #[test]
    fn codebooks_learn_the_clouds_and_no_entry_stays_dead() {
        // One entry for each cloud leaves only what is within a cloud: 0.05² / 12 for each latent.
        let (error, used) = learned(BottleneckConfig::Vector { entries: 32 });
        assert!(error < 3e-4 && used >= 16, "{error} with {used} entries");
        let (coarse, used) = learned(BottleneckConfig::Vector { entries: 8 });
        assert!(coarse > 0.1 && used == 8, "{coarse} with {used} entries");
        let (refined, used) = learned(BottleneckConfig::ResidualVector { codebooks: 2, entries: 8 });
        assert!(refined < 0.5 * coarse && used == 8, "{refined} after {coarse}, with {used} entries");
    }

    #[test]
    fn the_nearest_entry_is_the_nearest() {
        let codebook = Tensor::new(&[[0.0f32, 0.0], [1.0, 1.0], [-2.0, 0.5]], &Device::Cpu).unwrap();
        for (vector, expected) in [([0.2f32, 0.1], 0), ([0.9, 0.4], 1), ([-1.5, 2.0], 2)] {
            let scores = scores(&codebook, &vector, 2).unwrap();
            let by_distance = (0..3).min_by(|&a, &b| {
                let distance = |i: usize| {
                    let e = codebook.get(i).unwrap().to_vec1::<f32>().unwrap();
                    (e[0] - vector[0]).powi(2) + (e[1] - vector[1]).powi(2)
                };
                distance(a).total_cmp(&distance(b))
            });
            assert_eq!((nearest(&scores), by_distance), (expected, Some(expected)));
        }
    }

    #[test]
    fn averages_follow_the_formulas() {
        let network = NetworkConfig { neurons: 1, ..NetworkConfig::default() };
        let config = BottleneckConfig::Vector { entries: 2 };
        let variables = zero(config, &network);
        variables.set("bottleneck.count0", vec![2.0, 4.0]).unwrap();
        variables.set("bottleneck.sum0", vec![-2.0, 4.0]).unwrap();
        variables.set("bottleneck.codebook0", vec![-1.0, 1.0]).unwrap();
        let latents = Tensor::new(&[[[-3.0f32], [2.0], [2.5]]], &Device::Cpu).unwrap();
        let weights = builder(variables.tensors());
        let coded = Bottleneck::new(config, &network, &weights).unwrap().code(&latents, &[1.0]).unwrap();
        assert_eq!(coded.symbols, [0, 1, 1]);
        update(&variables, &[coded.statistics], 0, 0).unwrap();
        let codebook = variables.values("bottleneck.codebook0").unwrap();
        let expected =
            [(0.99 * -2.0 + 0.01 * -3.0) / (0.99 * 2.0 + 0.01), (0.99 * 4.0 + 0.01 * 4.5) / (0.99 * 4.0 + 0.01 * 2.0)];
        for (found, expected) in codebook.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
        }
    }
}
