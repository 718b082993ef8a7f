//! Logistic regression on standardised values, what spiking classifiers of tables are held against.

use anyhow::Result;
use candle_core::{D, DType, Device, Tensor};
use spiccato_neurons::ops::linear;

use super::table::Table;
use spiccato_snn::classification::cross_entropy;
use spiccato_snn::learning_rule::{Backpropagation, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::variables::Variables;

const STEPS: usize = 300;
const RATE: f64 = 0.1;
/// Weight decay, about as strong as the usual prior of variance 1.
const DECAY: f64 = 0.01;

/// Number of the rows `test` that a regression on the rows `train` classifies right.
pub(super) fn right(table: &Table, train: &[usize], test: &[usize]) -> Result<usize> {
    let width = table.values(0).len();
    let moments: Vec<(f64, f64)> = (0..width)
        .map(|column| {
            let values = || train.iter().map(|&row| table.values(row)[column]);
            let mean = values().sum::<f64>() / train.len() as f64;
            let variance = values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / train.len() as f64;
            (mean, variance.sqrt().max(1e-9))
        })
        .collect();
    let standardised = |rows: &[usize]| -> Result<Tensor> {
        let row = |&row: &usize| table.values(row).iter().zip(&moments).map(|(x, (mean, sd))| ((x - mean) / sd) as f32);
        Ok(Tensor::from_vec(rows.iter().flat_map(row).collect(), (rows.len(), width), &Device::Cpu)?)
    };
    let labels = |rows: &[usize]| -> Result<Tensor> {
        let classes: Vec<u32> = rows.iter().map(|&row| table.class(row) as u32).collect();
        Ok(Tensor::new(classes, &Device::Cpu)?)
    };
    let mut variables = Variables::default();
    let weight = variables.add("weight", &Tensor::zeros((width, table.classes()), DType::F32, &Device::Cpu)?)?;
    let bias = variables.add("bias", &Tensor::zeros((1, table.classes()), DType::F32, &Device::Cpu)?)?;
    let (x, y) = (standardised(train)?, labels(train)?);
    let mut rule = Backpropagation(|_: &()| cross_entropy(&linear(&x, &weight, &bias)?, &y));
    let mut optimizer = Optimizer::new(Method::AdamW { decay: DECAY }, RATE);
    for _ in 0..STEPS {
        train_step(&mut rule, &mut optimizer, &variables, &())?;
    }
    let answers = linear(&standardised(test)?, &weight, &bias)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
    Ok(answers.into_iter().zip(test).filter(|(answer, row)| *answer as usize == table.class(**row)).count())
}
