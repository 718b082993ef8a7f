//! The training clips of all sources, and which of them are decoded at a step: all of them or, in a bounded cache,
//! those whose turn it is.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;

use super::clip::Clip;
use super::decoder::{Failure, Opener, decode};
use super::pool::Pool;
use super::rotation::Rotation;

/// The training clips of one source.
#[derive(Debug)]
struct Part {
    weight: f64,
    clips: Vec<Clip>,
    rotation: Rotation,
}

/// The training clips of all sources.
pub(super) struct Residents {
    parts: Vec<Part>,
    /// Whether clips come and go; otherwise all are decoded already.
    bounded: bool,
    opener: Arc<Opener>,
    state: Mutex<State>,
}

/// Content of a bounded cache.
#[derive(Debug, Default)]
struct State {
    /// Number of the turn of each part.
    turns: Vec<u64>,
    next: Option<Background>,
}

/// Decoding of the next groups while the current ones are trained on.
#[derive(Debug)]
struct Background {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// The room for training clips and how fast they are used up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes; unlimited if `None`.
    pub(super) bytes: Option<u64>,
    pub(super) seed: u64,
    /// Samples that a step draws from all sources.
    pub(super) samples_per_step: f64,
}

impl Residents {
    /// Clips of sources with their weights.
    ///
    /// # Errors
    /// If a clip is too long for the room.
    pub(super) fn new(sources: Vec<(f64, Vec<Clip>)>, room: Room, opener: Arc<Opener>) -> Result<Self> {
        let bytes = |clips: &[Clip]| clips.iter().map(Clip::bytes).sum::<u64>();
        let weights: f64 = sources.iter().map(|(weight, _)| weight).sum();
        let scarce = room.bytes.filter(|&room| sources.iter().map(|(_, clips)| bytes(clips)).sum::<u64>() > room);
        let part = |(weight, clips): (f64, Vec<Clip>)| {
            let share = weight / weights;
            let own = scarce.map_or(u64::MAX, |room| (room as f64 * share) as u64);
            // Two groups lie there at a time: one to draw from, the next being decoded.
            let group = if bytes(&clips) <= own { u64::MAX } else { own / 2 };
            if let Some(long) = clips.iter().filter(|clip| clip.bytes() > group).max_by_key(|clip| clip.bytes()) {
                let needed = 2.0 * long.bytes() as f64 / share / 1e9;
                bail!("the cache is too small for {}: it needs at least {needed:.2} GB", long.audio.name().display());
            }
            let rotation = Rotation::new(&clips, group, room.samples_per_step * share, room.seed);
            Ok(Part { weight: share, clips, rotation })
        };
        let parts = sources.into_iter().map(part).collect::<Result<_>>()?;
        Ok(Self { parts, bounded: room.bytes.is_some(), opener, state: Mutex::default() })
    }

    /// All clips.
    pub(super) fn clips(&self) -> impl Iterator<Item = &Clip> {
        self.parts.iter().flat_map(|part| &part.clips)
    }

    /// The clips that a step may draw from, decoded: a pool for each source.
    pub(super) fn pools(&self, step: u64) -> Result<Vec<Pool<'_>>> {
        let turns: Vec<u64> = self.parts.iter().map(|part| part.rotation.turn(step)).collect();
        if self.bounded {
            self.turn_to(&turns)?;
        }
        let pools = self.parts.iter().zip(&turns).map(|(part, &turn)| {
            Pool::new(part.weight, part.rotation.group(turn).iter().map(|&i| &part.clips[i]).collect())
        });
        Ok(pools.collect())
    }

    /// Decodes the groups of these turns, removes those whose turn is over, and begins to decode the next.
    fn turn_to(&self, turns: &[u64]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.turns == turns {
            return Ok(());
        }
        if let Some(next) = state.next.take() {
            let _ = next.thread.join(); // what it could not decode is decoded below, or fails there
        }
        let at = |ahead: u64| -> Vec<&Clip> {
            let parts = self.parts.iter().zip(turns);
            parts.flat_map(|(part, turn)| part.rotation.group(turn + ahead).iter().map(|&i| &part.clips[i])).collect()
        };
        let (current, next) = (at(0), at(1));
        let kept: BTreeSet<&Path> = current.iter().chain(&next).map(|clip| clip.path.as_path()).collect();
        for clip in self.clips().filter(|clip| !kept.contains(clip.path.as_path())) {
            remove(&clip.path)?;
        }
        current.into_par_iter().try_for_each(|clip| make_resident(clip, &*self.opener))?;
        state.next = Some(Background::decode(next.into_iter().cloned().collect(), Arc::clone(&self.opener)));
        state.turns = turns.to_vec();
        Ok(())
    }
}

impl Drop for Residents {
    /// Waits for the clip that is being decoded, so that no half of a file stays.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = state.next.take() {
            next.stop.store(true, Ordering::Relaxed);
            let _ = next.thread.join();
        }
    }
}

impl Background {
    fn decode(clips: Vec<Clip>, opener: Arc<Opener>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for clip in clips {
                // A failure comes up again when it is the clip's turn.
                if asked.load(Ordering::Relaxed) || make_resident(&clip, &*opener).is_err() {
                    return;
                }
            }
        });
        Self { stop, thread }
    }
}

/// Decodes a clip unless it is there.
pub(super) fn make_resident(clip: &Clip, opener: &Opener) -> Result<()> {
    if clip.is_decoded() {
        return Ok(());
    }
    match decode(&clip.audio, opener, Some(&clip.path)) {
        Ok(_) => Ok(()),
        Err(Failure::Source(reason)) => Err(reason.context("the file could be decoded before")),
        Err(Failure::Target(reason)) => Err(reason.context("the decoded audio can't be kept")),
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}
