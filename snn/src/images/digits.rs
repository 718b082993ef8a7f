//! Digits drawn from strokes under random distortions: enough variety that a classifier has to learn something, and no data
//! needed.

use super::{CLASSES, Images};
use spiccato_neurons::Random;

/// The pen's path for each digit in the unit square, y downwards.
const PATHS: [&[(f64, f64)]; CLASSES] = [
    &[(0.5, 0.1), (0.3, 0.2), (0.23, 0.5), (0.3, 0.8), (0.5, 0.9), (0.7, 0.8), (0.77, 0.5), (0.7, 0.2), (0.5, 0.1)],
    &[(0.35, 0.27), (0.54, 0.1), (0.54, 0.9)],
    &[(0.25, 0.3), (0.35, 0.12), (0.62, 0.1), (0.75, 0.28), (0.63, 0.52), (0.25, 0.9), (0.78, 0.9)],
    &[(0.25, 0.15), (0.6, 0.1), (0.73, 0.28), (0.45, 0.47), (0.75, 0.65), (0.62, 0.88), (0.25, 0.87)],
    &[(0.65, 0.9), (0.65, 0.1), (0.2, 0.65), (0.82, 0.65)],
    &[(0.75, 0.1), (0.32, 0.1), (0.28, 0.45), (0.6, 0.42), (0.75, 0.65), (0.6, 0.9), (0.25, 0.85)],
    &[(0.65, 0.1), (0.38, 0.35), (0.27, 0.65), (0.4, 0.9), (0.65, 0.87), (0.72, 0.65), (0.55, 0.5), (0.32, 0.6)],
    &[(0.22, 0.1), (0.78, 0.1), (0.45, 0.9)],
    &[
        (0.5, 0.48),
        (0.28, 0.3),
        (0.5, 0.1),
        (0.72, 0.3),
        (0.5, 0.48),
        (0.25, 0.7),
        (0.5, 0.9),
        (0.75, 0.7),
        (0.5, 0.48),
    ],
    &[(0.7, 0.35), (0.5, 0.5), (0.3, 0.35), (0.42, 0.12), (0.65, 0.12), (0.7, 0.35), (0.65, 0.9)],
];

/// `count` images, the classes in turn.
pub(super) fn draw(count: usize, side: usize, random: &mut Random) -> Images {
    let labels: Vec<u8> = (0..count).map(|i| (i % CLASSES) as u8).collect();
    let pixels = labels.iter().flat_map(|&label| image(PATHS[usize::from(label)], side, random)).collect();
    Images { side, pixels, labels }
}

/// Turned, sheared, scaled and moved, every corner of the path jittered, with a pen of random width.
fn image(path: &[(f64, f64)], side: usize, random: &mut Random) -> Vec<u8> {
    let (sine, cosine) = random.between(-0.25, 0.25).sin_cos();
    let (width, height) = (random.between(0.7, 1.0), random.between(0.75, 1.0));
    let shear = random.between(-0.25, 0.25);
    let (right, down) = (random.between(-0.08, 0.08), random.between(-0.08, 0.08));
    let corners: Vec<(f64, f64)> = path
        .iter()
        .map(|&(x, y)| {
            let y = (y - 0.5) * height + 0.02 * random.normal();
            let x = (x - 0.5) * width + shear * y + 0.02 * random.normal();
            (0.5 + cosine * x - sine * y + right, 0.5 + sine * x + cosine * y + down)
        })
        .collect();
    let pen = random.between(0.03, 0.06);
    let blur = 1.0 / side as f64;
    let centre = |i: usize| (i as f64 + 0.5) / side as f64;
    let mut pixels = Vec::with_capacity(side * side);
    for row in 0..side {
        for column in 0..side {
            let point = (centre(column), centre(row));
            let distance =
                corners.windows(2).map(|ends| distance(point, ends[0], ends[1])).fold(f64::INFINITY, f64::min);
            pixels.push((255.0 * (0.5 + (pen - distance) / blur).clamp(0.0, 1.0)) as u8);
        }
    }
    pixels
}

/// Distance of a point from the line between two others.
fn distance(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (px, py) = (point.0 - from.0, point.1 - from.1);
    let along = ((px * dx + py * dy) / (dx * dx + dy * dy).max(1e-12)).clamp(0.0, 1.0);
    (px - along * dx).hypot(py - along * dy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Split;

    /// The nearest mean image of a class tells many of the digits apart, but not all.
    #[test]
    fn classes_differ_and_overlap() {
        let Split { train, test } = Split::drawn(500, 200, 14, 1);
        let size = train.side * train.side;
        let mut means = vec![vec![0.0; size]; CLASSES];
        for i in 0..train.len() {
            let mean = &mut means[usize::from(train.labels[i])];
            mean.iter_mut().zip(train.pixels(i)).for_each(|(m, &p)| *m += f64::from(p) / 50.0);
        }
        let far = |mean: &[f64], image: &[u8]| -> f64 {
            mean.iter().zip(image).map(|(m, &p)| (m - f64::from(p)) * (m - f64::from(p))).sum()
        };
        let nearest = |image: &[u8]| {
            let all = means.iter().enumerate().map(|(class, mean)| (far(mean, image), class));
            all.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1
        };
        let right = (0..test.len()).filter(|&i| nearest(test.pixels(i)) == usize::from(test.labels[i])).count();
        assert!((100..190).contains(&right), "{right} of 200");
    }

    #[test]
    fn a_seed_fixes_the_images() {
        assert_eq!(Split::drawn(20, 10, 12, 5).train, Split::drawn(20, 10, 12, 5).train);
        assert_ne!(Split::drawn(20, 10, 12, 5).train, Split::drawn(20, 10, 12, 6).train);
    }
}
