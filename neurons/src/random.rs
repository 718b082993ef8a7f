//! Random numbers by seed: ChaCha8, the same on every machine. Normal numbers by the Ziggurat method (Marsaglia & Tsang,
//! J Stat Softw 5(8), 2000), with layer, sign and place from separate bits of one draw (Doornik 2005).

use std::sync::LazyLock;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random {
    generator: ChaCha8Rng,
}

impl Random {
    /// The stream with number `stream` of a seed; streams are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self { generator }
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.generator.random()
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform among 0, 1 … count − 1; `count` is above 0.
    pub fn below(&mut self, count: usize) -> usize {
        self.generator.random_range(0..count)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        self.normal_of(&ZIGGURAT)
    }

    /// Fills `values` with standard normal numbers, the same as by as many calls of [`Random::normal`].
    pub fn fill_normal(&mut self, values: &mut [f64]) {
        let ziggurat = &*ZIGGURAT;
        values.iter_mut().for_each(|value| *value = self.normal_of(ziggurat));
    }

    /// `count` standard normal numbers.
    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        let mut values = vec![0.0; count];
        self.fill_normal(&mut values);
        values
    }

    #[inline]
    fn normal_of(&mut self, ziggurat: &Ziggurat) -> f64 {
        loop {
            let bits = self.generator.next_u64();
            let layer = bits as usize % LAYERS;
            // The upper 53 bits, as a number from −1 to 1.
            let place = (bits as i64 >> 11) as f64 * (1.0 / (1u64 << 52) as f64);
            let x = place * ziggurat.width[layer];
            if x.abs() < ziggurat.width[layer + 1] {
                return x;
            }
            // Once in a hundred times: outside the part of the layer that is all below the curve.
            if layer == 0 {
                return self.tail().copysign(x);
            }
            let (low, high) = (ziggurat.density[layer], ziggurat.density[layer + 1]);
            if low + (high - low) * self.uniform() < density(x) {
                return x;
            }
        }
    }

    /// Beyond [`EDGE`] (Marsaglia 1964).
    #[cold]
    fn tail(&mut self) -> f64 {
        loop {
            let x = -(1.0 - self.uniform()).ln() / EDGE;
            let y = -(1.0 - self.uniform()).ln();
            if 2.0 * y > x * x {
                return EDGE + x;
            }
        }
    }

    /// Brings `items` into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

const LAYERS: usize = 256;
/// Where the lowest layer's tail begins, and the area of every layer under exp(−x²/2), for 256 layers.
const EDGE: f64 = 3.654_152_885_361_009;
const AREA: f64 = 0.004_928_673_233_974_658;

/// Layers of equal area that cover the normal density, the lowest first, which holds the tail as well.
struct Ziggurat {
    /// Widths, from that of a rectangle as large as the lowest layer to 0 above the uppermost.
    width: [f64; LAYERS + 1],
    /// Density, without its constant, at the widths: the lower edge of each layer.
    density: [f64; LAYERS + 1],
}

static ZIGGURAT: LazyLock<Ziggurat> = LazyLock::new(|| {
    let mut width = [0.0; LAYERS + 1];
    (width[0], width[1]) = (AREA / density(EDGE), EDGE);
    for layer in 2..LAYERS {
        width[layer] = (-2.0 * (AREA / width[layer - 1] + density(width[layer - 1])).ln()).sqrt();
    }
    Ziggurat { width, density: width.map(density) }
});

fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_the_moments_of_the_distribution() {
        let values = Random::new(3, 0).normals(200_000);
        let moment = |power: i32| values.iter().map(|x| x.powi(power)).sum::<f64>() / values.len() as f64;
        for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (5, 0.0), (6, 15.0)] {
            let (value, bound) = (moment(power), 0.01 * [1.0, 1.0, 2.0, 3.0, 10.0, 40.0][power as usize - 1]);
            assert!((value - expected).abs() < bound, "moment {power}: {value}");
        }
    }

    /// Shares beyond x from tables of the normal distribution; the last two are where the tail's own method begins and
    /// within it.
    #[test]
    fn normal_numbers_fall_beyond_each_value_as_often_as_they_should() {
        let count = 2_000_000;
        let values = Random::new(5, 0).normals(count);
        for (x, share) in [
            (-1.0, 0.841_344_746),
            (0.0, 0.5),
            (0.5, 0.308_537_539),
            (1.0, 0.158_655_254),
            (2.0, 0.022_750_132),
            (3.0, 0.001_349_898),
            (EDGE, 0.000_129_016),
            (4.0, 0.000_031_671),
        ] {
            for sign in [1.0, -1.0] {
                let found = values.iter().filter(|v| sign * **v > x).count() as f64;
                let (mean, deviation) = (share * count as f64, (share * (1.0 - share) * count as f64).sqrt());
                assert!((found - mean).abs() < 4.0 * deviation, "beyond {x}: {found}, expected {mean} ± {deviation}");
            }
        }
    }

    #[test]
    fn the_layers_close_at_the_top_of_the_density() {
        let last = ZIGGURAT.width[LAYERS - 1];
        assert!((AREA / last + density(last) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_seed_and_stream_fix_the_numbers() {
        let draw = |seed, stream| Random::new(seed, stream).normals(8);
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }
}
