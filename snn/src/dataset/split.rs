//! Parts of a dataset.

use anyhow::{Result, ensure};
use spiccato_neurons::Random;

/// Indices of sequences, each in one part at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// To learn from.
    pub train: Vec<usize>,
    /// To stop and choose by.
    pub validation: Vec<usize>,
    /// To report.
    pub test: Vec<usize>,
}

pub(super) fn parts(
    labels: &[usize],
    test_from: Option<usize>,
    validation: f64,
    test: f64,
    seed: u64,
) -> Result<Parts> {
    for (name, share) in [("validation", validation), ("test", test)] {
        ensure!((0.0..1.0).contains(&share), "the share of sequences for {name} is {share}, not from 0 to 1");
    }
    let mut random = Random::new(seed, 200);
    let first_of_test = test_from.unwrap_or(labels.len());
    let mut parts = Parts { test: (first_of_test..labels.len()).collect(), ..Parts::default() };
    let mut by_class = vec![Vec::new(); labels.iter().max().map_or(0, |largest| largest + 1)];
    labels[..first_of_test].iter().enumerate().for_each(|(i, &label)| by_class[label].push(i));
    for mut indices in by_class {
        random.shuffle(&mut indices);
        let share = |share: f64, of: usize| (share * of as f64).round() as usize;
        if test_from.is_none() {
            parts.test.extend(indices.split_off(indices.len() - share(test, indices.len())));
        }
        parts.validation.extend(indices.split_off(indices.len() - share(validation, indices.len())));
        parts.train.extend(indices);
    }
    ensure!(!parts.train.is_empty(), "no sequence is left to train on");
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_nothing_and_have_the_same_shares_of_each_class() -> Result<()> {
        let labels: Vec<usize> = (0..400).map(|i| i % 4).collect();
        let found = parts(&labels, None, 0.25, 0.2, 1)?;
        assert_eq!((found.train.len(), found.validation.len(), found.test.len()), (240, 80, 80));
        let mut all = [&found.train[..], &found.validation, &found.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..400).collect::<Vec<_>>());
        for class in 0..4 {
            assert_eq!(found.validation.iter().filter(|&&i| labels[i] == class).count(), 20);
        }
        assert_ne!(found, parts(&labels, None, 0.25, 0.2, 2)?);
        Ok(())
    }

    #[test]
    fn a_test_set_of_the_files_stays_one() -> Result<()> {
        let labels = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        let found = parts(&labels, Some(8), 0.5, 0.5, 1)?;
        assert_eq!((found.train.len(), found.validation.len(), &found.test[..]), (4, 4, &[8, 9][..]));
        assert!(found.validation.iter().all(|&i| i < 8));
        assert!(parts(&labels, None, 1.5, 0.0, 1).is_err());
        Ok(())
    }
}
