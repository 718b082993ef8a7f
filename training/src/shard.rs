//! The result of one shard of a batch, and its form as bytes for other processes (all numbers little-endian).

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::bottleneck::Statistics;
use crate::optimiser::Gradients;

/// Means over the crops of a shard, a batch or some steps.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct StepReport {
    pub(crate) loss: f64,
    pub(crate) distortion_db: f64,
    pub(crate) events_per_frame: f64,
    pub(crate) bits_per_frame: f64,
    pub(crate) gradient_norm: f64,
}

impl StepReport {
    /// Adds `scale` times another report.
    pub(crate) fn add(&mut self, other: &Self, scale: f64) {
        self.loss += scale * other.loss;
        self.distortion_db += scale * other.distortion_db;
        self.events_per_frame += scale * other.events_per_frame;
        self.bits_per_frame += scale * other.bits_per_frame;
        self.gradient_norm += scale * other.gradient_norm;
    }
}

/// Gradients and figures of one shard.
#[derive(Debug, PartialEq)]
pub(crate) struct Shard {
    pub(crate) report: StepReport,
    pub(crate) gradients: Gradients,
    pub(crate) statistics: Vec<Statistics>,
    /// Quality of each crop.
    pub(crate) qualities: Vec<f32>,
    /// Information of a frame under the prior in bits, for each crop.
    pub(crate) bits_per_frame: Vec<f64>,
}

impl Shard {
    /// Appends the shard to a message.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let StepReport { loss, distortion_db, events_per_frame, bits_per_frame, gradient_norm } = self.report;
        for value in [loss, distortion_db, events_per_frame, bits_per_frame, gradient_norm] {
            out.extend(value.to_le_bytes());
        }
        write_count(out, self.gradients.len());
        for (name, gradient) in &self.gradients {
            write_count(out, name.len());
            out.extend(name.as_bytes());
            write_floats(out, gradient);
        }
        write_count(out, self.statistics.len());
        self.statistics.iter().flat_map(Statistics::parts).for_each(|part| write_floats(out, part));
        write_floats(out, &self.qualities);
        write_count(out, self.bits_per_frame.len());
        self.bits_per_frame.iter().for_each(|bits| out.extend(bits.to_le_bytes()));
    }

    /// Takes a shard from the beginning of a message.
    ///
    /// # Errors
    /// If the message ends too early or is no shard.
    pub(crate) fn read(message: &mut &[u8]) -> Result<Self> {
        let mut value = || Ok::<f64, anyhow::Error>(f64::from_le_bytes(take(message)?));
        let report = StepReport {
            loss: value()?,
            distortion_db: value()?,
            events_per_frame: value()?,
            bits_per_frame: value()?,
            gradient_norm: value()?,
        };
        let mut gradients = BTreeMap::new();
        for _ in 0..read_count(message)? {
            let length = read_count(message)?;
            let name = String::from_utf8(split(message, length)?.to_vec()).context(BROKEN)?;
            gradients.insert(name, read_floats(message)?);
        }
        let mut statistics = Vec::new();
        for _ in 0..read_count(message)? {
            let parts = [read_floats(message)?, read_floats(message)?, read_floats(message)?];
            statistics.push(Statistics::from_parts(parts));
        }
        let qualities = read_floats(message)?;
        let mut bits_per_frame = Vec::new();
        for _ in 0..read_count(message)? {
            bits_per_frame.push(f64::from_le_bytes(take(message)?));
        }
        Ok(Self { report, gradients, statistics, qualities, bits_per_frame })
    }
}

const BROKEN: &str = "a message from another process is incomplete";

fn write_count(out: &mut Vec<u8>, count: usize) {
    out.extend((count as u64).to_le_bytes());
}

fn write_floats(out: &mut Vec<u8>, values: &[f32]) {
    write_count(out, values.len());
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn split<'a>(message: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (head, rest) = message.split_at_checked(length).context(BROKEN)?;
    *message = rest;
    Ok(head)
}

fn take<const N: usize>(message: &mut &[u8]) -> Result<[u8; N]> {
    split(message, N)?.first_chunk().copied().context(BROKEN)
}

fn read_count(message: &mut &[u8]) -> Result<usize> {
    usize::try_from(u64::from_le_bytes(take(message)?)).context(BROKEN)
}

fn read_floats(message: &mut &[u8]) -> Result<Vec<f32>> {
    let length = read_count(message)?.checked_mul(4).context(BROKEN)?;
    Ok(split(message, length)?.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_survive_the_way_and_cut_messages_are_refused() {
        let shard = |loss| Shard {
            report: StepReport { loss, bits_per_frame: 0.1, ..StepReport::default() },
            gradients: BTreeMap::from([("a".to_owned(), vec![1.5, -0.0]), ("b.weight".to_owned(), vec![])]),
            statistics: vec![Statistics::from_parts([vec![1.0], vec![2.0, f32::MIN_POSITIVE], vec![]])],
            qualities: vec![0.25],
            bits_per_frame: vec![1.0 / 3.0],
        };
        let shards = [shard(1.0), shard(2.0)];
        let mut message = Vec::new();
        shards.iter().for_each(|shard| shard.write(&mut message));
        let mut rest = &message[..];
        let read = [Shard::read(&mut rest).unwrap(), Shard::read(&mut rest).unwrap()];
        assert!(rest.is_empty() && read == shards);
        for length in 0..message.len() / 2 {
            assert!(Shard::read(&mut &message[..length]).is_err(), "{length}");
        }
        assert!(Shard::read(&mut &[0xff; 200][..]).is_err(), "absurd counts take no memory");
    }
}
