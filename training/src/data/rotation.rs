//! Which clips of a source are decoded at a step, where the cache has no room for all: the clips take turns in groups.
//!
//! The groups are fixed by the seed and the lengths of the clips, and the turns by the step, so that a run draws the
//! same crops whenever it is interrupted and resumed. A group stays for as many steps as draw four times its length;
//! each epoch visits all groups in an order of its own.

use spiccato_neurons::Random;

use super::clip::Clip;

/// How often a turn draws the length of its group, on average.
const PASSES: f64 = 4.0;

/// Streams of random numbers apart from those that crops are drawn from, which count up from 1.
const GROUPS_STREAM: u64 = 1 << 63;

/// Groups of clips that take turns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rotation {
    seed: u64,
    /// Indices of clips.
    groups: Vec<Vec<usize>>,
    /// Steps of a turn.
    steps: u64,
}

impl Rotation {
    /// Groups of at most `group_bytes`, or of one longer clip. A step draws `samples_per_step` of the source.
    pub(crate) fn new(clips: &[Clip], group_bytes: u64, samples_per_step: f64, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..clips.len()).collect();
        Random::new(seed, GROUPS_STREAM).shuffle(&mut order);
        let (mut groups, mut bytes) = (Vec::<Vec<usize>>::new(), 0u64);
        for index in order {
            let size = clips[index].bytes();
            match groups.last_mut() {
                Some(group) if bytes.saturating_add(size) <= group_bytes => {
                    group.push(index);
                    bytes += size;
                }
                _ => {
                    groups.push(vec![index]);
                    bytes = size;
                }
            }
        }
        groups.iter_mut().for_each(|group| group.sort_unstable());
        let samples: usize = clips.iter().map(|clip| clip.samples).sum();
        let of_group = samples as f64 / groups.len().max(1) as f64;
        let steps = (PASSES * of_group / samples_per_step.max(1.0)).clamp(1.0, 1e15) as u64;
        Self { seed, groups, steps }
    }

    /// Whether all clips are in one group.
    pub(crate) fn is_whole(&self) -> bool {
        self.groups.len() <= 1
    }

    /// Number of the turn at a step.
    pub(crate) fn turn(&self, step: u64) -> u64 {
        if self.is_whole() { 0 } else { step / self.steps }
    }

    /// The clips of a turn, in ascending order.
    pub(crate) fn group(&self, turn: u64) -> &[usize] {
        let count = self.groups.len() as u64;
        if count == 0 {
            return &[];
        }
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        Random::new(self.seed, GROUPS_STREAM + 1 + turn / count).shuffle(&mut order);
        &self.groups[order[(turn % count) as usize]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato_datasets::Audio;

    fn clips(lengths: &[usize]) -> Vec<Clip> {
        let clip = |&samples| Clip { audio: Audio::File("x".into()), path: "x".into(), samples, gain: 1.0 };
        lengths.iter().map(clip).collect()
    }

    #[test]
    fn an_epoch_visits_every_clip_once_and_groups_keep_to_their_size() {
        let clips = clips(&(0..40).map(|i| 100 + 37 * i % 900).collect::<Vec<_>>());
        let rotation = Rotation::new(&clips, 4000, 100.0, 5);
        let count = rotation.groups.len();
        assert!(count > 3);
        for epoch in 0..3u64 {
            let turns = epoch * count as u64..(epoch + 1) * count as u64;
            let mut visited: Vec<usize> = turns.flat_map(|turn| rotation.group(turn).to_vec()).collect();
            visited.sort_unstable();
            assert_eq!(visited, (0..40).collect::<Vec<_>>());
        }
        let bytes = |group: &[usize]| group.iter().map(|&i| clips[i].bytes()).sum::<u64>();
        assert!((0..count as u64).all(|turn| bytes(rotation.group(turn)) <= 4000));
        let all = clips.iter().map(|clip| clip.samples).sum::<usize>() as f64;
        let steps = 4.0 * all / count as f64 / 100.0;
        assert_eq!((rotation.turn(steps as u64 - 1), rotation.turn(steps as u64 + 1)), (0, 1));
        assert_ne!(Rotation::new(&clips, 4000, 100.0, 6), rotation);
        assert_eq!(Rotation::new(&clips, 4000, 100.0, 5), rotation);
    }

    #[test]
    fn one_group_never_turns_and_a_clip_that_is_too_long_is_a_group_by_itself() {
        let rotation = Rotation::new(&clips(&[10, 20]), u64::MAX, 1.0, 0);
        assert!(rotation.is_whole());
        assert_eq!((rotation.turn(10_000_000), rotation.group(0)), (0, &[0, 1][..]));
        let rotation = Rotation::new(&clips(&[10, 2000, 10]), 100, 1.0, 0);
        let lengths: Vec<usize> = rotation.groups.iter().map(Vec::len).collect();
        assert!(rotation.groups.contains(&vec![1]), "{lengths:?}");
        assert_eq!(Rotation::new(&[], 100, 1.0, 0).group(3), &[] as &[usize]);
    }
}
