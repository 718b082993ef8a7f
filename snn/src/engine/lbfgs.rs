//! Limited-memory BFGS (Nocedal 1980; Liu & Nocedal 1989) with a backtracking line search.

use std::collections::VecDeque;

/// What minimisation came to.
#[derive(Debug, Clone)]
pub struct Minimum {
    /// Where.
    pub point: Vec<f64>,
    /// The value there.
    pub value: f64,
}

const MEMORY: usize = 10;

/// Minimises a function that gives its value and gradient, from `start`, in at most `iterations` steps. Ends early where the
/// gradient is below `tolerance` everywhere or no step goes down.
pub fn minimize(
    mut function: impl FnMut(&[f64]) -> (f64, Vec<f64>),
    start: Vec<f64>,
    iterations: usize,
    tolerance: f64,
) -> Minimum {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut point = start;
    let (mut value, mut gradient) = function(&point);
    // Steps and differences of gradients, the latest last.
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    for _ in 0..iterations {
        if gradient.iter().all(|g| g.abs() < tolerance) {
            break;
        }
        // Two loops: the inverse Hessian's estimate times the gradient.
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut shares = Vec::with_capacity(pairs.len());
        for (s, y) in pairs.iter().rev() {
            let share = dot(s, &direction) / dot(s, y);
            direction.iter_mut().zip(y).for_each(|(d, y)| *d -= share * y);
            shares.push(share);
        }
        let scale = match pairs.back() {
            Some((s, y)) => dot(s, y) / dot(y, y),
            None => 1.0 / dot(&gradient, &gradient).sqrt().max(1.0),
        };
        direction.iter_mut().for_each(|d| *d *= scale);
        for ((s, y), share) in pairs.iter().zip(shares.iter().rev()) {
            let correction = share - dot(y, &direction) / dot(s, y);
            direction.iter_mut().zip(s).for_each(|(d, s)| *d += correction * s);
        }
        let slope = dot(&gradient, &direction);
        if slope >= 0.0 {
            break;
        }
        let mut length = 1.0;
        let next = loop {
            let candidate: Vec<f64> = point.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let (candidate_value, candidate_gradient) = function(&candidate);
            if candidate_value <= value + 1e-4 * length * slope {
                break Some((candidate, candidate_value, candidate_gradient));
            }
            length *= 0.4;
            if length < 1e-8 {
                break None;
            }
        };
        let Some((new_point, new_value, new_gradient)) = next else { break };
        let step: Vec<f64> = new_point.iter().zip(&point).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = new_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        (point, value, gradient) = (new_point, new_value, new_gradient);
        if dot(&step, &change) > 1e-12 * dot(&change, &change) {
            pairs.push_back((step, change));
            if pairs.len() > MEMORY {
                pairs.pop_front();
            }
        }
    }
    Minimum { point, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley in ten dimensions; its minimum is 0 at (1, …, 1).
    #[test]
    fn the_end_of_the_curved_valley_is_found() {
        let mut calls = 0;
        let rosenbrock = |x: &[f64]| {
            calls += 1;
            let (mut value, mut gradient) = (0.0, vec![0.0; x.len()]);
            for i in 0..x.len() - 1 {
                let (a, b) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
                value += 100.0 * a * a + b * b;
                gradient[i] += -400.0 * a * x[i] - 2.0 * b;
                gradient[i + 1] += 200.0 * a;
            }
            (value, gradient)
        };
        let start = (0..10).map(|i| if i % 2 == 0 { -1.2 } else { 1.0 }).collect();
        let minimum = minimize(rosenbrock, start, 500, 1e-9);
        // There is a second minimum near (−1, 1, …, 1) in ten dimensions, of value 3.99: not from here.
        assert!(minimum.value < 1e-12, "{minimum:?}");
        assert!(minimum.point.iter().all(|x| (x - 1.0).abs() < 1e-5));
        assert!(calls < 400, "{calls}");
    }
}
