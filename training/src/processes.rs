//! Several processes that train one model together: each computes some shards of every batch, and all exchange their
//! results in the order of their ranks, so that the result is the same to the bit as in one process.

use anyhow::Result;

/// The processes of a run.
pub trait Processes {
    /// Number of this process, from 0 on. Process 0 writes the files.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn count(&self) -> usize;

    /// Sends `message` to all processes; the messages of all, in the order of their ranks.
    ///
    /// # Errors
    /// If the exchange fails.
    fn exchange(&self, message: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// Process 0's answer to a question that all must answer alike.
    ///
    /// # Errors
    /// If the exchange fails.
    fn agree(&self, answer: bool) -> Result<bool> {
        let answers = self.exchange(vec![u8::from(answer)])?;
        Ok(answers.first().and_then(|first| first.first()) == Some(&1))
    }

    /// The part of `count` items in a row that this process computes.
    fn share(&self, count: usize) -> std::ops::Range<usize> {
        let (rank, processes) = (self.rank(), self.count().max(1));
        count * rank / processes..count * (rank + 1) / processes
    }
}

/// One process by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Processes for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn count(&self) -> usize {
        1
    }

    fn exchange(&self, message: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        Ok(vec![message])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A process that only knows its place.
    struct Place(usize, usize);

    impl Processes for Place {
        fn rank(&self) -> usize {
            self.0
        }

        fn count(&self) -> usize {
            self.1
        }

        fn exchange(&self, _: Vec<u8>) -> Result<Vec<Vec<u8>>> {
            anyhow::bail!("nobody answers")
        }
    }

    #[test]
    fn shares_cover_everything_once_and_in_order() {
        for (count, processes) in [(4, 1), (4, 2), (4, 3), (7, 5), (2, 4)] {
            let all: Vec<usize> = (0..processes).flat_map(|rank| Place(rank, processes).share(count)).collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
        assert!(Alone.agree(true).unwrap() && !Alone.agree(false).unwrap());
    }
}
