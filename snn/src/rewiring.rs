//! DEEP R and soft-DEEP R (Bellec, Kappel, Maass & Legenstein, ICLR 2018) as a wrapper around any optimiser.
//!
//! Weight k is s_k·θ_k where θ_k > 0 and 0 elsewhere, with a sign s_k that never changes. The inner optimiser steps θ; then
//! active connections get θ ← θ − η·l1 + √(2ηT)·ν with ν standard normal, and those that fall to 0 go dormant.
//! - DEEP R (algorithm 1 of the paper): as many dormant ones, drawn at random, become active at once.
//! - soft-DEEP R (algorithm 2): dormant θ diffuse below 0, down to a floor, and become active when they come above. The
//!   floor −(1 − p)·T / (p·l1) makes the share of active ones p on average where nothing is to be learned.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};

use crate::learning_rule::Optimize;
use crate::variables::{Variables, set_values, values};
use spiccato_neurons::Random;

/// Where a new connection starts.
const BIRTH: f64 = 1e-12;

/// The random walk of the parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Walk {
    /// Learning rate η of noise and l1 norm, that of the optimiser.
    pub rate: f64,
    /// Strength of the l1 norm.
    pub l1: f64,
    /// Temperature T.
    pub temperature: f64,
}

impl Walk {
    /// Where dormant parameters stop in the soft form, for this share of active ones.
    fn floor(self, share: f64) -> f64 {
        -(1.0 - share) * self.temperature / (share * self.l1)
    }
}

/// Which connections form when some are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formation {
    /// DEEP R: as many as were lost.
    Constant,
    /// soft-DEEP R: those whose parameter comes above 0.
    Soft,
}

#[derive(Debug)]
struct Matrix {
    sign: Vec<f64>,
    theta: Vec<f64>,
    /// Connections asked for.
    connections: usize,
}

/// An optimiser that keeps some of the variables sparse.
#[derive(Debug)]
pub struct DeepRewiring<O> {
    inner: O,
    walk: Walk,
    formation: Formation,
    matrices: BTreeMap<String, Matrix>,
    /// What the inner optimiser sees: θ in place of the sparse weights.
    parameters: Variables,
    random: Random,
}

impl<O: Optimize> DeepRewiring<O> {
    /// Makes the variables with these names sparse: of each, the given share of the connections stays, drawn at random, with
    /// the size and the sign of their weights; the others are dormant.
    ///
    /// # Errors
    /// If a share is not one, or the values can't be read.
    pub fn new(
        inner: O,
        variables: &Variables,
        connectivity: &[(&str, f64)],
        walk: Walk,
        formation: Formation,
        mut random: Random,
    ) -> Result<Self> {
        let mut parameters = Variables::default();
        let mut matrices = BTreeMap::new();
        for (name, variable) in variables.iter() {
            let Some((_, share)) = connectivity.iter().find(|(sparse, _)| *sparse == name) else {
                parameters.add(name, variable)?; // shares the values
                continue;
            };
            ensure!((0.0..=1.0).contains(share), "the connectivity of '{name}' is {share}, not a share");
            let weights = values(variable)?;
            let connections = (share * weights.len() as f64).round() as usize;
            let mut order: Vec<usize> = (0..weights.len()).collect();
            random.shuffle(&mut order);
            let mut theta = match formation {
                Formation::Constant => vec![0.0; weights.len()],
                // As they are distributed after a long walk.
                Formation::Soft => weights.iter().map(|_| walk.floor(*share) * random.uniform()).collect(),
            };
            for &k in &order[..connections] {
                theta[k] = weights[k].abs().max(BIRTH);
            }
            let sign = weights.iter().map(|w| if *w < 0.0 { -1.0 } else { 1.0 }).collect();
            let matrix = Matrix { sign, theta, connections };
            set_values(variable, &matrix.weights())?;
            parameters.add(name, &Tensor::from_slice(&matrix.theta, variable.shape(), &Device::Cpu)?)?;
            matrices.insert(name.to_owned(), matrix);
        }
        Ok(Self { inner, walk, formation, matrices, parameters, random })
    }

    /// Active connections of each sparse variable, and how many were asked for.
    pub fn connections(&self) -> impl Iterator<Item = (usize, usize)> {
        self.matrices.values().map(|matrix| (matrix.active(), matrix.connections))
    }

    /// Which connections are active, over all sparse variables.
    pub fn mask(&self) -> Vec<bool> {
        self.matrices.values().flat_map(|matrix| matrix.theta.iter().map(|theta| *theta > 0.0)).collect()
    }
}

impl<O: Optimize> Optimize for DeepRewiring<O> {
    fn step(&mut self, variables: &Variables, gradients: &GradStore) -> Result<()> {
        let mut by_parameter = GradStore::default();
        for ((name, variable), (_, parameter)) in variables.iter().zip(self.parameters.iter()) {
            let Some(gradient) = gradients.get(variable) else { continue };
            let gradient = match self.matrices.get(name) {
                // ∂L/∂θ of all connections, dormant ones too: moments of the optimiser see the whole of it.
                Some(matrix) => {
                    let by_theta = values(gradient)?.iter().zip(&matrix.sign).map(|(g, s)| g * s).collect();
                    Tensor::from_vec(by_theta, variable.shape(), &Device::Cpu)?
                }
                None => gradient.clone(),
            };
            by_parameter.insert(parameter, gradient);
        }
        self.inner.step(&self.parameters, &by_parameter)?;
        for (name, matrix) in &mut self.matrices {
            let parameter = self.parameters.get(name)?;
            let before = std::mem::replace(&mut matrix.theta, values(parameter)?);
            matrix.rewire(&before, self.walk, self.formation, &mut self.random);
            set_values(parameter, &matrix.theta)?;
            set_values(variables.get(name)?, &matrix.weights())?;
        }
        Ok(())
    }

    /// That of the walk too.
    fn set_rate(&mut self, rate: f64) {
        self.inner.set_rate(rate);
        self.walk.rate = rate;
    }

    fn state(&self) -> Result<HashMap<String, Tensor>> {
        let mut tensors = self.inner.state()?;
        for (name, matrix) in &self.matrices {
            tensors.insert(format!("{name}.theta"), Tensor::new(&matrix.theta[..], &Device::Cpu)?);
            tensors.insert(format!("{name}.sign"), Tensor::new(&matrix.sign[..], &Device::Cpu)?);
        }
        Ok(tensors)
    }

    fn restore(&mut self, variables: &Variables, state: &HashMap<String, Tensor>) -> Result<()> {
        self.inner.restore(&self.parameters, state)?;
        for (name, matrix) in &mut self.matrices {
            let entry = |kind: &str| -> Result<Vec<f64>> {
                let entry = state.get(&format!("{name}.{kind}"));
                let entry = values(entry.with_context(|| format!("there is no {kind} of '{name}'"))?)?;
                let expected = matrix.theta.len();
                ensure!(entry.len() == expected, "{name}.{kind} has {} values, not {expected}", entry.len());
                Ok(entry)
            };
            (matrix.theta, matrix.sign) = (entry("theta")?, entry("sign")?);
            set_values(self.parameters.get(name)?, &matrix.theta)?;
            set_values(variables.get(name)?, &matrix.weights())?;
        }
        Ok(())
    }

    fn reseed(&mut self, random: Random) {
        self.random = random;
    }
}

impl Matrix {
    fn weights(&self) -> Vec<f64> {
        self.theta.iter().zip(&self.sign).map(|(theta, sign)| if *theta > 0.0 { sign * theta } else { 0.0 }).collect()
    }

    fn active(&self) -> usize {
        self.theta.iter().filter(|theta| **theta > 0.0).count()
    }

    /// Completes a step: `before` are the parameters before the inner optimiser's.
    fn rewire(&mut self, before: &[f64], walk: Walk, formation: Formation, random: &mut Random) {
        let Walk { rate, l1, temperature } = walk;
        let noise = (2.0 * rate * temperature).sqrt();
        let share = self.connections as f64 / self.theta.len().max(1) as f64;
        let floor = walk.floor(share);
        for (theta, &before) in self.theta.iter_mut().zip(before) {
            if before > 0.0 {
                *theta += noise * random.normal() - rate * l1;
            } else {
                // No step of the optimiser connects: momentum would, long after the gradient that gave it.
                *theta = before;
                if formation == Formation::Soft {
                    *theta = (*theta + noise * random.normal()).max(floor);
                }
            }
        }
        if formation == Formation::Constant {
            self.theta.iter_mut().for_each(|theta| *theta = theta.max(0.0));
            for _ in self.active()..self.connections {
                // At least one is dormant here, and with few connections most are.
                let born = loop {
                    let k = random.below(self.theta.len());
                    if self.theta[k] == 0.0 {
                        break k;
                    }
                };
                self.theta[born] = BIRTH;
            }
        }
    }
}

/// The control: connections drawn once, that then stay where they are.
#[derive(Debug)]
pub struct FixedMask<O> {
    inner: O,
    masks: BTreeMap<String, Tensor>,
}

impl<O: Optimize> FixedMask<O> {
    /// As [`DeepRewiring::new`].
    ///
    /// # Errors
    /// If a variable has no such name.
    pub fn new(inner: O, variables: &Variables, connectivity: &[(&str, f64)], random: &mut Random) -> Result<Self> {
        let mut masks = BTreeMap::new();
        for (name, share) in connectivity {
            let variable = variables.get(name)?;
            let count = variable.elem_count();
            let connections = (share * count as f64).round() as usize;
            let mut mask: Vec<f32> = (0..count).map(|k| if k < connections { 1.0 } else { 0.0 }).collect();
            random.shuffle(&mut mask);
            let mask = Tensor::from_vec(mask, variable.shape(), &Device::Cpu)?;
            variable.set(&(variable.as_tensor() * &mask)?)?;
            masks.insert((*name).to_owned(), mask);
        }
        Ok(Self { inner, masks })
    }
}

impl<O: Optimize> Optimize for FixedMask<O> {
    fn step(&mut self, variables: &Variables, gradients: &GradStore) -> Result<()> {
        self.inner.step(variables, gradients)?;
        for (name, mask) in &self.masks {
            let variable = variables.get(name)?;
            variable.set(&(variable.as_tensor() * mask)?)?;
        }
        Ok(())
    }

    fn set_rate(&mut self, rate: f64) {
        self.inner.set_rate(rate);
    }

    fn state(&self) -> Result<HashMap<String, Tensor>> {
        self.inner.state()
    }

    fn restore(&mut self, variables: &Variables, state: &HashMap<String, Tensor>) -> Result<()> {
        self.inner.restore(variables, state)
    }

    fn reseed(&mut self, random: Random) {
        self.inner.reseed(random);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{Method, Optimizer};

    const WALK: Walk = Walk { rate: 0.01, l1: 1.0, temperature: 0.1 };

    fn matrix(rows: usize, columns: usize) -> Result<Variables> {
        let mut variables = Variables::default();
        variables.add_normal("w", &[rows, columns], 0.1, &mut Random::new(1, 0))?;
        Ok(variables)
    }

    /// One step against a random gradient that grows with `scale`.
    fn step(optimizer: &mut impl Optimize, variables: &Variables, scale: f64, random: &mut Random) -> Result<()> {
        let w = variables.get("w")?;
        let gradient = (0..w.elem_count()).map(|_| (scale * random.normal()) as f32).collect();
        let mut store = GradStore::default();
        store.insert(w, Tensor::from_vec(gradient, w.shape(), &Device::Cpu)?);
        optimizer.step(variables, &store)
    }

    #[test]
    fn the_number_of_connections_and_the_signs_never_change() -> Result<()> {
        for method in [Method::Sgd { momentum: 0.9 }, Method::Adam, Method::AdamW { decay: 0.1 }] {
            for share in [0.0, 0.004, 0.3, 0.97, 1.0] {
                let variables = matrix(17, 31)?;
                let signs: Vec<f64> = values(variables.get("w")?)?.iter().map(|w| w.signum()).collect();
                let inner = Optimizer::new(method, 0.03);
                let random = Random::new(2, 0);
                let wrap = &[("w", share)];
                let mut optimizer = DeepRewiring::new(inner, &variables, wrap, WALK, Formation::Constant, random)?;
                let first = optimizer.mask();
                let expected = (share * 527.0f64).round() as usize;
                let mut random = Random::new(3, 0);
                for _ in 0..40 {
                    step(&mut optimizer, &variables, 1.0, &mut random)?;
                    assert_eq!(optimizer.connections().collect::<Vec<_>>(), [(expected, expected)], "{method:?}");
                    let weights = values(variables.get("w")?)?;
                    let active = optimizer.mask();
                    for ((w, sign), active) in weights.iter().zip(&signs).zip(active) {
                        assert!(if active { w * sign > 0.0 } else { *w == 0.0 }, "{w} {sign} {active}");
                    }
                }
                assert_eq!(optimizer.mask() != first, share > 0.0 && share < 1.0, "{share}");
            }
        }
        Ok(())
    }

    #[test]
    fn without_a_gradient_the_soft_form_comes_to_the_share_asked_for() -> Result<()> {
        for share in [0.1, 0.4] {
            let variables = matrix(60, 50)?;
            let inner = Optimizer::new(Method::Sgd { momentum: 0.0 }, 1.0);
            let random = Random::new(4, 0);
            let wrap = &[("w", share)];
            let walk = Walk { rate: 0.003, l1: 1.0, temperature: 0.1 };
            let mut optimizer = DeepRewiring::new(inner, &variables, wrap, walk, Formation::Soft, random)?;
            let mut random = Random::new(5, 0);
            let mut mean = 0.0;
            for t in 0..1500 {
                step(&mut optimizer, &variables, 0.0, &mut random)?;
                let active: usize = optimizer.connections().map(|(active, _)| active).sum();
                mean += if t < 700 { 0.0 } else { active as f64 / 3000.0 / 800.0 };
            }
            // The walk's finite steps stand out over the floor a little.
            assert!((mean / share - 1.0).abs() < 0.15, "{mean} instead of {share}");
        }
        Ok(())
    }

    #[test]
    fn a_fixed_mask_stays() -> Result<()> {
        let variables = matrix(10, 10)?;
        let mut optimizer =
            FixedMask::new(Optimizer::new(Method::Adam, 0.01), &variables, &[("w", 0.3)], &mut Random::new(6, 0))?;
        let active = || -> Result<Vec<bool>> { Ok(values(variables.get("w")?)?.iter().map(|w| *w != 0.0).collect()) };
        let first = active()?;
        assert_eq!(first.iter().filter(|active| **active).count(), 30);
        for _ in 0..5 {
            step(&mut optimizer, &variables, 1.0, &mut Random::new(7, 0))?;
            assert_eq!(active()?, first);
        }
        Ok(())
    }
}
