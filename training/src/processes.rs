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

    /// Sends a message to each process, by rank; the messages from all to this one, in the order of their ranks.
    ///
    /// # Errors
    /// If the exchange fails.
    fn distribute(&self, messages: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>>;

    /// Ends the other processes, which would wait for this one, as it can't go on. With several processes this may end the
    /// program, after it has shown the error.
    fn fail(&self, error: &anyhow::Error) {
        let _ = error;
    }

    /// Process 0's answer to a question that all must answer alike.
    ///
    /// # Errors
    /// If the exchange fails.
    fn agree(&self, answer: bool) -> Result<bool> {
        let answers = self.exchange(vec![u8::from(answer)])?;
        Ok(answers.first().and_then(|first| first.first()) == Some(&1))
    }

    /// The part of `count` items in a row that process `rank` computes.
    fn share_of(&self, rank: usize, count: usize) -> std::ops::Range<usize> {
        let processes = self.count().max(1);
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

    fn distribute(&self, messages: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number of processes, none of which answers.
    struct Processors(usize);

    impl Processes for Processors {
        fn rank(&self) -> usize {
            0
        }

        fn count(&self) -> usize {
            self.0
        }

        fn exchange(&self, _: Vec<u8>) -> Result<Vec<Vec<u8>>> {
            anyhow::bail!("nobody answers")
        }

        fn distribute(&self, _: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
            anyhow::bail!("nobody answers")
        }
    }

    #[test]
    fn shares_cover_everything_once_and_in_order() {
        for (count, processes) in [(4, 1), (4, 2), (4, 3), (7, 5), (2, 4)] {
            let shares = (0..processes).flat_map(|rank| Processors(processes).share_of(rank, count));
            assert_eq!(shares.collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        }
        assert!(Alone.agree(true).unwrap() && !Alone.agree(false).unwrap());
    }
}
