//! Rice codes of the runs of silence: the low `k` bits of a run as they are, the rest in unary. Optimal for geometric
//! runs up to the choice of `k` (Rice, "Some practical universal noiseless coding techniques", JPL 79-22, 1979).

use super::bits::{BitReader, BitWriter};
use super::{Columns, EventMatrix, Storage, varint};
use crate::{Error, Result};

/// First bytes from this value on mean one parameter per neuron.
const PER_NEURON: u8 = 32;
/// Largest parameter of the counts of events per neuron.
const MAX_COUNT_PARAMETER: u8 = 15;

/// Rice-coded runs, with one parameter for the matrix or with one per neuron that follows from its number of events,
/// whichever is smaller.
#[derive(Debug)]
pub struct Rice;

impl Storage for Rice {
    fn name(&self) -> &'static str {
        "rice"
    }

    fn id(&self) -> u8 {
        10
    }

    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()> {
        let columns = events.columns();
        let (mut whole, mut by_neuron) = (Vec::new(), Vec::new());
        encode_whole(&columns, events.events(), &mut whole);
        encode_by_neuron(&columns, &mut by_neuron);
        out.extend(if by_neuron.len() < whole.len() { by_neuron } else { whole });
        Ok(())
    }

    fn decode(&self, bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix> {
        let (&mode, bytes) = bytes.split_first().ok_or_else(|| Error::malformed("rice: no bytes"))?;
        let positions = match mode {
            0..PER_NEURON => decode_whole(bytes, mode.into(), u64::from(frames) * u64::from(neurons))?,
            _ if mode - PER_NEURON <= MAX_COUNT_PARAMETER => {
                decode_by_neuron(bytes, (mode - PER_NEURON).into(), frames, neurons)?
            }
            _ => return Err(Error::malformed(format!("rice: mode {mode} is reserved"))),
        };
        EventMatrix::from_neuron_positions(frames, neurons, positions.into_iter().map(Ok))
    }
}

/// One parameter for the runs through all neurons' cells in turn.
fn encode_whole(columns: &Columns, events: u32, out: &mut Vec<u8>) {
    let runs: Vec<u64> = columns
        .positions()
        .scan(0, |next, position| {
            let run = position - *next;
            *next = position + 1;
            Some(run)
        })
        .collect();
    let parameter = best_parameter(&runs, PER_NEURON - 1);
    out.push(parameter);
    varint::write(events, out);
    let mut bits = BitWriter::new(out);
    runs.iter().for_each(|&run| write(run, parameter.into(), &mut bits));
    bits.finish();
}

fn decode_whole(mut bytes: &[u8], parameter: u32, cells: u64) -> Result<Vec<u64>> {
    let events = varint::read(&mut bytes)?;
    if u64::from(events) > cells {
        return Err(Error::malformed(format!("rice: {events} events in {cells} cells")));
    }
    let mut bits = BitReader::new(bytes);
    let mut positions = Vec::new();
    let mut next = 0u64;
    for _ in 0..events {
        let position = next + read(parameter, &mut bits)?;
        next = position + 1;
        positions.push(position);
    }
    bits.finish()?;
    Ok(positions)
}

/// For every neuron the number of its events and their runs, which begin anew.
fn encode_by_neuron(columns: &Columns, out: &mut Vec<u8>) {
    let counts: Vec<u64> = columns.iter().map(|column| column.len() as u64).collect();
    let parameter = best_parameter(&counts, MAX_COUNT_PARAMETER);
    out.push(PER_NEURON + parameter);
    let mut bits = BitWriter::new(out);
    for (column, &count) in columns.iter().zip(&counts) {
        write(count, parameter.into(), &mut bits);
        let parameter = run_parameter(columns.frames(), count);
        Columns::runs(column).for_each(|run| write(run.into(), parameter, &mut bits));
    }
    bits.finish();
}

fn decode_by_neuron(bytes: &[u8], parameter: u32, frames: u32, neurons: u16) -> Result<Vec<u64>> {
    let mut bits = BitReader::new(bytes);
    let mut positions = Vec::new();
    for neuron in 0..u64::from(neurons) {
        let count = read(parameter, &mut bits)?;
        if count > frames.into() {
            return Err(Error::malformed(format!("rice: {count} events of a neuron in {frames} frames")));
        }
        let parameter = run_parameter(frames, count);
        let mut next = 0;
        for _ in 0..count {
            let frame = next + read(parameter, &mut bits)?;
            next = frame + 1;
            if frame >= frames.into() {
                return Err(Error::malformed(format!("rice: frame {frame} of {frames}")));
            }
            positions.push(neuron * u64::from(frames) + frame);
        }
    }
    bits.finish()?;
    Ok(positions)
}

/// Parameter for the runs of a neuron with `count` events: the binary logarithm of the mean distance times ln 2,
/// rounded down, at least 0.
fn run_parameter(frames: u32, count: u64) -> u32 {
    (u64::from(frames) * 177 / (256 * count.max(1))).max(1).ilog2()
}

/// The parameter up to `max` that takes the fewest bits.
pub(crate) fn best_parameter(values: &[u64], max: u8) -> u8 {
    let bits = |parameter: u8| values.iter().map(|value| (value >> parameter) + 1 + u64::from(parameter)).sum::<u64>();
    (0..=max).min_by_key(|&parameter| bits(parameter)).unwrap_or(0)
}

/// Appends a value: the part above `parameter` bits in unary, then those bits.
pub(crate) fn write(value: u64, parameter: u32, bits: &mut BitWriter) {
    bits.unary(value >> parameter);
    bits.bits(value, parameter);
}

/// Reads a value that [`write`] appended.
pub(crate) fn read(parameter: u32, bits: &mut BitReader) -> Result<u64> {
    let high = bits.unary()?;
    Ok(high << parameter | bits.bits(parameter)?)
}

#[cfg(test)]
mod tests {
    use super::super::test_events;
    use super::*;

    #[test]
    fn more_events_than_cells_are_refused() {
        let mut whole = vec![0];
        varint::write(64, &mut whole);
        whole.extend([0xff; 100]);
        assert!(Rice.decode(&whole, 7, 9).unwrap_err().to_string().contains("64 events in 63 cells"));
        let mut by_neuron = vec![PER_NEURON];
        let mut bits = BitWriter::new(&mut by_neuron);
        write(8, 0, &mut bits);
        bits.finish();
        let refused = Rice.decode(&by_neuron, 7, 9).unwrap_err().to_string();
        assert!(refused.contains("8 events of a neuron in 7 frames"), "{refused}");
    }

    #[test]
    fn parameters_follow_the_mean_run() {
        // ln 2 times the mean distance: 0.69 -> 0, 1.38 -> 0, 2.77 -> 1, 5.5 -> 2, 265 -> 8; no events: the longest
        let expected = [(384, 0), (192, 0), (96, 1), (48, 2), (1, 8), (0, 8)];
        expected.iter().for_each(|&(count, parameter)| assert_eq!(run_parameter(384, count), parameter, "{count}"));
    }

    #[test]
    fn code_of_a_value() {
        let mut bytes = Vec::new();
        let mut writer = BitWriter::new(&mut bytes);
        write(0b1101, 2, &mut writer);
        writer.finish();
        assert_eq!(bytes, [0b0001_1000]); // three zeros, a one, then 1 and 0
        assert_eq!(read(2, &mut BitReader::new(&bytes)).unwrap(), 0b1101);
    }

    /// Neurons of unequal rates need a parameter each; equal rates don't. Both must come close to the entropy.
    #[test]
    fn length_is_close_to_the_static_entropy() {
        let (uneven, even) = (test_events::uneven(384, 512, 3), test_events::even(384, 512, 0.02, 4));
        for (events, by_neuron) in [(uneven, true), (even, false)] {
            let mut bytes = Vec::new();
            Rice.encode(&events, &mut bytes).unwrap();
            assert_eq!(bytes[0] >= PER_NEURON, by_neuron);
            // the entropy does not count the probabilities themselves: half a log2(frames) per neuron, the usual price
            let entropy = events.statistics(1.0).entropy_bits + 512.0 * 384f64.log2() / 2.0;
            let ratio = bytes.len() as f64 * 8.0 / entropy;
            assert!((0.7..1.1).contains(&ratio), "{ratio}");
        }
    }
}
