//! Images as spikes over time: (batch, time, pixels), 0 or 1.

use anyhow::Result;
use candle_core::{Device, Tensor};

use crate::images::Images;
use spiccato_neurons::Random;

/// Latency code: each pixel of at least an eighth of full ink fires once, the darkest in the first step, the faintest in the
/// last.
///
/// # Errors
/// If the tensor can't be made.
pub fn latency(images: &Images, indices: &[usize], steps: usize) -> Result<Tensor> {
    const FAINTEST: u8 = 32;
    let size = images.side * images.side;
    encode(images, indices, steps, |pixel, intensity, spikes| {
        if intensity >= FAINTEST {
            let wait = f64::from(255 - intensity) / f64::from(255 - FAINTEST);
            let step = (wait * (steps - 1) as f64).round() as usize;
            spikes[step * size + pixel] = 1.0;
        }
    })
}

/// Poisson code: in each step a pixel fires with a probability of its intensity times `rate`.
///
/// # Errors
/// If the tensor can't be made.
pub fn poisson(images: &Images, indices: &[usize], steps: usize, rate: f64, random: &mut Random) -> Result<Tensor> {
    let size = images.side * images.side;
    encode(images, indices, steps, |pixel, intensity, spikes| {
        let probability = rate * f64::from(intensity) / 255.0;
        if probability > 0.0 {
            for row in spikes.chunks_exact_mut(size) {
                row[pixel] = if random.chance(probability) { 1.0 } else { 0.0 };
            }
        }
    })
}

/// Threshold crossing: pixels are read one a step, and grey values in between the extremes are thresholds. Inputs fire when
/// the value of the pixel before was below theirs and the pixel's is not; as many others, after them, when it was not and
/// is: (batch, pixels, 2·thresholds). Before the first pixel the value is 0.
///
/// # Errors
/// If the tensor can't be made.
pub fn threshold_crossing(images: &Images, indices: &[usize], thresholds: usize) -> Result<Tensor> {
    let size = images.side * images.side;
    let above = |intensity: u8, threshold: usize| usize::from(intensity) * (thresholds + 1) >= 255 * (threshold + 1);
    let mut spikes = vec![0.0f32; indices.len() * size * 2 * thresholds];
    let mut steps = spikes.chunks_exact_mut(2 * thresholds);
    for &index in indices {
        let mut before = 0;
        for (&intensity, step) in images.pixels(index).iter().zip(&mut steps) {
            for threshold in 0..thresholds {
                match (above(before, threshold), above(intensity, threshold)) {
                    (false, true) => step[threshold] = 1.0,
                    (true, false) => step[thresholds + threshold] = 1.0,
                    _ => {}
                }
            }
            before = intensity;
        }
    }
    Ok(Tensor::from_vec(spikes, (indices.len(), size, 2 * thresholds), &Device::Cpu)?)
}

/// Calls `fire` for each pixel of each image with its intensity and the spikes (time, pixels) of that image.
fn encode(
    images: &Images,
    indices: &[usize],
    steps: usize,
    mut fire: impl FnMut(usize, u8, &mut [f32]),
) -> Result<Tensor> {
    let size = images.side * images.side;
    let mut spikes = vec![0.0f32; indices.len() * steps * size];
    for (&index, spikes) in indices.iter().zip(spikes.chunks_exact_mut(steps * size)) {
        images.pixels(index).iter().enumerate().for_each(|(pixel, &intensity)| fire(pixel, intensity, spikes));
    }
    Ok(Tensor::from_vec(spikes, (indices.len(), steps, size), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Split;

    const SIDE: usize = 10;

    #[test]
    fn latencies_fall_with_intensity() -> Result<()> {
        let images = Split::drawn(8, 1, SIDE, 1).train;
        let spikes = latency(&images, &[7, 2], 25)?.to_vec3::<f32>()?;
        for (item, index) in spikes.iter().zip([7, 2]) {
            for (pixel, &intensity) in images.pixels(index).iter().enumerate() {
                let times: Vec<usize> = (0..25).filter(|&t| item[t][pixel] == 1.0).collect();
                let expected = (f64::from(255 - intensity) / 223.0 * 24.0).round() as usize;
                assert_eq!(times, if intensity < 32 { vec![] } else { vec![expected] });
            }
        }
        Ok(())
    }

    #[test]
    fn pixels_come_back_from_the_thresholds_that_they_cross() -> Result<()> {
        let images = Split::drawn(5, 1, SIDE, 1).train;
        let spikes = threshold_crossing(&images, &[4, 1], 254)?.to_vec3::<f32>()?;
        for (item, index) in spikes.iter().zip([4, 1]) {
            let mut value = 0.0;
            for (step, &intensity) in item.iter().zip(images.pixels(index)) {
                value += step[..254].iter().sum::<f32>() - step[254..].iter().sum::<f32>();
                // There is no threshold between 254 and 255 but that of 255.
                assert_eq!(value, f32::from(intensity.min(254)), "{intensity}");
            }
        }
        Ok(())
    }

    #[test]
    fn rates_are_proportional_to_intensity() -> Result<()> {
        let images = Split::drawn(4, 1, SIDE, 1).train;
        let steps = 4000;
        let counts = poisson(&images, &[3], steps, 0.2, &mut Random::new(1, 0))?.sum(1)?.to_vec2::<f32>()?;
        for (count, &intensity) in counts[0].iter().zip(images.pixels(3)) {
            let expected = steps as f64 * 0.2 * f64::from(intensity) / 255.0;
            assert!((f64::from(*count) - expected).abs() <= 4.0 * expected.sqrt(), "{count} instead of {expected}");
        }
        Ok(())
    }
}
