//! The clips of one source that a step draws from, each in proportion to its length.

use spiccato_neurons::Random;

use super::clip::Clip;

/// Clips to draw from.
#[derive(Debug, Clone)]
pub struct Pool<'a> {
    weight: f64,
    clips: Vec<&'a Clip>,
    /// Samples of the clips up to and including each.
    ends: Vec<usize>,
}

impl<'a> Pool<'a> {
    /// Clips that together give a share of the crops in proportion to `weight`.
    pub fn new(weight: f64, clips: Vec<&'a Clip>) -> Self {
        let lengths = clips.iter().scan(0, |end, clip| {
            *end += clip.samples;
            Some(*end)
        });
        Self { weight, ends: lengths.collect(), clips }
    }

    /// The clips.
    pub fn clips(&self) -> impl Iterator<Item = &'a Clip> {
        self.clips.iter().copied()
    }

    /// Samples of all clips.
    pub(crate) fn samples(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// A clip of a source: the source by its weight, the clip by its length. None if there is no sample.
    pub(crate) fn draw(pools: &[Self], random: &mut Random) -> Option<&'a Clip> {
        let all: f64 = pools.iter().map(|pool| pool.weight).sum();
        let mut at = random.uniform() * all;
        let chosen = pools.iter().find(|pool| {
            at -= pool.weight;
            at < 0.0
        });
        let pool = chosen.or(pools.last()).filter(|pool| pool.samples() > 0)?;
        let sample = random.below(pool.samples());
        pool.clips.get(pool.ends.partition_point(|&end| end <= sample)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato_datasets::Audio;

    #[test]
    fn sources_are_drawn_by_weight_and_clips_by_length() {
        let clip = |samples| Clip { audio: Audio::File("x".into()), path: "x".into(), samples, gain: 1.0 };
        let clips = [clip(100), clip(300), clip(7)];
        let pools = [Pool::new(3.0, vec![&clips[0], &clips[1]]), Pool::new(1.0, vec![&clips[2]])];
        let mut random = Random::new(1, 0);
        let mut counts = [0.0f64; 3];
        for _ in 0..40_000 {
            let drawn = Pool::draw(&pools, &mut random).unwrap();
            counts[clips.iter().position(|clip| clip.samples == drawn.samples).unwrap()] += 1.0 / 40_000.0;
        }
        // ¾ of the crops from the first source, of which the second clip gives ¾.
        for (count, expected) in counts.into_iter().zip([0.1875, 0.5625, 0.25]) {
            assert!((count - expected).abs() < 0.01, "{counts:?}");
        }
        assert!(Pool::draw(&[], &mut random).is_none());
        assert!(Pool::draw(&[Pool::new(1.0, vec![])], &mut random).is_none());
    }
}
