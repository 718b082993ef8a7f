//! The mean of the gradients over all shards of a batch.
//!
//! Several processes share the work as in a reduce-scatter followed by an all-gather (Rabenseifner, "Optimization of
//! collective reduction operations", 2004): each sums one slice of all gradients, and the sums are exchanged, so that the
//! traffic of a process hardly depends on how many there are. Every slice is summed over the shards in their order, so
//! that the result is that of one process to the bit.

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use crate::optimiser::{Gradients, TensorGradients};
use crate::processes::Processes;

/// Names and lengths of the gradients, in their order.
pub(crate) type Layout = Vec<(String, usize)>;

const BROKEN: &str = "the processes train different models";

/// Mean over `shards` shards, of which `own` are those of this process.
pub(crate) fn mean(
    own: Vec<Gradients>,
    layout: &Layout,
    shards: usize,
    processes: &dyn Processes,
) -> Result<Gradients> {
    let scale = 1.0 / shards as f32;
    if processes.count() <= 1 {
        return mean_of_own(own, scale);
    }
    let flat = own.iter().map(|gradients| flattened(gradients, layout)).collect::<Result<Vec<_>>>()?;
    let total: usize = layout.iter().map(|(_, length)| length).sum();
    let slice = |rank: usize| processes.share_of(rank, total);
    let message = |rank| flat.iter().map(|values| bytes(&values[slice(rank)])).collect::<Vec<_>>().concat();
    let received = processes.distribute((0..processes.count()).map(message).collect())?;
    let length = slice(processes.rank()).len();
    let mut sum = vec![0.0f32; length];
    let mut added = 0;
    for message in received {
        let values = floats(&message)?;
        for values in values.chunks_exact(length.max(1)) {
            for (sum, value) in sum.iter_mut().zip(values) {
                // The first is no addition to zero: that would turn −0 into 0.
                *sum = if added == 0 { value * scale } else { *sum + value * scale };
            }
            added += 1;
        }
    }
    ensure!(added == shards || length == 0, BROKEN);
    let mut all = Vec::with_capacity(total);
    for message in processes.exchange(bytes(&sum))? {
        all.extend(floats(&message)?);
    }
    unflattened(&all, layout)
}

/// Mean over the shards of one process, where the gradients are.
pub(crate) fn mean_of_tensors(shards: Vec<TensorGradients>) -> Result<TensorGradients> {
    let scale = 1.0 / shards.len().max(1) as f64;
    let mut shards = shards.into_iter();
    let mut sum = shards.next().unwrap_or_default();
    for shard in shards {
        for (name, total) in &mut sum {
            let gradient = shard.get(name).with_context(|| format!("a shard lacks the gradient of {name}"))?;
            *total = (&*total + gradient)?;
        }
    }
    sum.into_iter().map(|(name, total)| Ok((name, (total * scale)?))).collect()
}

/// Mean over the shards, in their order.
fn mean_of_own(mut shards: Vec<Gradients>, scale: f32) -> Result<Gradients> {
    if shards.is_empty() {
        return Ok(Gradients::new());
    }
    let mut sum = shards.remove(0);
    sum.par_iter_mut().try_for_each(|(name, total)| -> Result<()> {
        total.iter_mut().for_each(|t| *t *= scale);
        for shard in &shards {
            let gradient = shard.get(name).with_context(|| format!("a shard lacks the gradient of {name}"))?;
            total.iter_mut().zip(gradient).for_each(|(t, g)| *t += g * scale);
        }
        Ok(())
    })?;
    Ok(sum)
}

fn flattened(gradients: &Gradients, layout: &Layout) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(layout.iter().map(|(_, length)| length).sum());
    for (name, length) in layout {
        let gradient = gradients.get(name).with_context(|| format!("a shard lacks the gradient of {name}"))?;
        ensure!(gradient.len() == *length, "the gradient of {name} has {} values, not {length}", gradient.len());
        values.extend_from_slice(gradient);
    }
    Ok(values)
}

fn unflattened(values: &[f32], layout: &Layout) -> Result<Gradients> {
    let mut rest = values;
    let mut gradients = Gradients::new();
    for (name, length) in layout {
        let (gradient, others) = rest.split_at_checked(*length).context(BROKEN)?;
        gradients.insert(name.clone(), gradient.to_vec());
        rest = others;
    }
    ensure!(rest.is_empty(), BROKEN);
    Ok(gradients)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; 4 * values.len()];
    bytes.as_chunks_mut::<4>().0.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = value.to_le_bytes());
    bytes
}

fn floats(bytes: &[u8]) -> Result<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    ensure!(rest.is_empty(), BROKEN);
    Ok(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::Alone;
    use candle_core::{Device, Tensor};
    use spiccato_neurons::Random;
    use std::sync::{Arc, Barrier, Mutex};

    /// A process in a thread: messages go through a table (from, to).
    struct Thread {
        rank: usize,
        count: usize,
        table: Arc<Mutex<Vec<Vec<u8>>>>,
        barrier: Arc<Barrier>,
    }

    impl Processes for Thread {
        fn rank(&self) -> usize {
            self.rank
        }

        fn count(&self) -> usize {
            self.count
        }

        fn exchange(&self, message: Vec<u8>) -> Result<Vec<Vec<u8>>> {
            self.distribute(vec![message; self.count])
        }

        fn distribute(&self, messages: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
            for (to, message) in messages.into_iter().enumerate() {
                self.table.lock().unwrap()[self.rank * self.count + to] = message;
            }
            self.barrier.wait();
            let table = self.table.lock().unwrap();
            let received = (0..self.count).map(|from| table[from * self.count + self.rank].clone()).collect();
            drop(table);
            self.barrier.wait();
            Ok(received)
        }
    }

    #[test]
    fn the_mean_of_tensors_is_that_of_slices() {
        let values = [[1.0f32, -2.0, 0.5], [3.0, 4.0, -0.25]];
        let slices: Vec<Gradients> = values.iter().map(|v| [("a".to_owned(), v.to_vec())].into()).collect();
        let tensors = values.iter().map(|v| [("a".to_owned(), Tensor::new(v, &Device::Cpu).unwrap())].into()).collect();
        let found = mean_of_tensors(tensors).unwrap()["a"].to_vec1::<f32>().unwrap();
        assert_eq!(found, mean_of_own(slices, 0.5).unwrap()["a"]);
        assert_eq!(found, [2.0, 1.0, 0.125]);
        let uneven = ["a", "b"].map(|name| [(name.to_owned(), Tensor::new(1.0f32, &Device::Cpu).unwrap())].into());
        assert!(mean_of_tensors(uneven.into()).is_err());
    }

    #[test]
    fn any_number_of_processes_finds_the_same_mean_to_the_bit() {
        const SHARDS: usize = 5;
        let layout: Layout = vec![("a".to_owned(), 3), ("b.weight".to_owned(), 40), ("c".to_owned(), 0)];
        let mut random = Random::new(4, 0);
        let shards: Vec<Gradients> = (0..SHARDS)
            .map(|_| {
                let values = |length: usize, random: &mut Random| {
                    (0..length).map(|_| (random.normal() * 10f64.powf(random.between(-9.0, 3.0))) as f32).collect()
                };
                layout.iter().map(|(name, length)| (name.clone(), values(*length, &mut random))).collect()
            })
            .collect();
        let bits = |gradients: Gradients| -> Vec<(String, Vec<u32>)> {
            gradients.into_iter().map(|(name, g)| (name, g.into_iter().map(f32::to_bits).collect())).collect()
        };
        let alone = bits(mean(shards.clone(), &layout, SHARDS, &Alone).unwrap());
        for count in [2, 3, 7] {
            let table = Arc::new(Mutex::new(vec![Vec::new(); count * count]));
            let barrier = Arc::new(Barrier::new(count));
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..count)
                    .map(|rank| {
                        let process = Thread { rank, count, table: Arc::clone(&table), barrier: Arc::clone(&barrier) };
                        let own = shards[process.share_of(rank, SHARDS)].to_vec();
                        let layout = &layout;
                        scope.spawn(move || mean(own, layout, SHARDS, &process).unwrap())
                    })
                    .collect();
                for thread in threads {
                    assert_eq!(bits(thread.join().unwrap()), alone, "{count} processes");
                }
            });
        }
    }
}
