//! Processes that talk by MPI (MPI Forum, *MPI: A Message-Passing Interface Standard*), on one machine or on many.

use anyhow::{Context, Result, ensure};
use mpi::Threading;
use mpi::collective::CommunicatorCollectives;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::{Communicator, SimpleCommunicator};

use crate::processes::Processes;

/// Most bytes that a process sends at a time: counts and places in a message are 32-bit numbers.
const ROUND: usize = 16 << 20;

/// All processes that `mpirun` started.
pub struct Mpi {
    world: SimpleCommunicator,
    /// Ends MPI when it is dropped, after `world`.
    _universe: Universe,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mpi").field("rank", &self.rank()).field("count", &self.count()).finish()
    }
}

impl Mpi {
    /// Joins the processes that `mpirun` started; a process that was started without it is alone.
    ///
    /// # Errors
    /// If MPI can't be used from a program with threads, or has been started before.
    pub fn start() -> Result<Self> {
        let started = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, threading) = started.context("MPI has been started before")?;
        ensure!(threading >= Threading::Funneled, "this MPI can't be used from a program with threads");
        Ok(Self { world: universe.world(), _universe: universe })
    }
}

impl Processes for Mpi {
    fn rank(&self) -> usize {
        usize::try_from(self.world.rank()).unwrap_or(0)
    }

    fn count(&self) -> usize {
        usize::try_from(self.world.size()).unwrap_or(1)
    }

    fn exchange(&self, message: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let mut lengths = vec![0u64; self.count()];
        self.world.all_gather_into(&(message.len() as u64), &mut lengths[..]);
        let mut messages: Vec<Vec<u8>> = lengths.iter().map(|_| Vec::new()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        for start in (0..longest).step_by(ROUND) {
            let size = |length: u64| length.saturating_sub(start).min(ROUND as u64) as usize;
            let counts: Vec<i32> = lengths.iter().map(|&length| size(length) as i32).collect();
            let places: Vec<i32> =
                counts.iter().scan(0, |end, &count| Some(std::mem::replace(end, *end + count))).collect();
            let mut round = vec![0u8; counts.iter().map(|&count| count as usize).sum()];
            let from = (start as usize).min(message.len());
            let own = &message[from..from + size(message.len() as u64)];
            let mut partition = PartitionMut::new(&mut round[..], &counts[..], &places[..]);
            self.world.all_gather_varcount_into(own, &mut partition);
            let mut rest = &round[..];
            for (message, &count) in messages.iter_mut().zip(&counts) {
                let (part, others) = rest.split_at(count as usize);
                message.extend_from_slice(part);
                rest = others;
            }
        }
        Ok(messages)
    }
}
