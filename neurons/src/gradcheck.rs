//! Gradients against central finite differences, in `f64`: the test that every differentiable operation has to pass, at
//! batch sizes above 1 and ragged shapes.

use candle_core::{Device, Result, Tensor, Var, bail};

/// A deterministic `f64` tensor with values between −1 and 1.
///
/// # Errors
/// If the tensor can't be made.
pub fn random(dims: &[usize], seed: u64) -> Result<Tensor> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    let values: Vec<f64> = (0..dims.iter().product())
        .map(|_| {
            // xorshift64* (Marsaglia 2003, Vigna 2016)
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect();
    Tensor::from_vec(values, dims, &Device::Cpu)
}

/// Checks the gradients of `function` at `inputs` (all `f64`): of the sum of its output under random weights, for every
/// element of every input, to within `tolerance` relative to the largest gradient.
///
/// # Errors
/// If a gradient is missing or off, naming the input, the element and both values.
pub fn assert_gradients(
    inputs: &[Tensor],
    tolerance: f64,
    function: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    const STEP: f64 = 1e-5;
    let variables = inputs.iter().map(Var::from_tensor).collect::<Result<Vec<_>>>()?;
    let tracked: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let output = function(&tracked)?;
    let weight = random(output.dims(), 99)?;
    let objective =
        |arguments: &[Tensor]| -> Result<f64> { (function(arguments)? * &weight)?.sum_all()?.to_scalar::<f64>() };
    let grads = (output * &weight)?.sum_all()?.backward()?;
    for (which, variable) in variables.iter().enumerate() {
        let Some(analytic) = grads.get(variable) else { bail!("input {which} has no gradient") };
        let analytic = analytic.flatten_all()?.to_vec1::<f64>()?;
        let scale = analytic.iter().fold(1e-3, |m: f64, g| m.max(g.abs()));
        let values = inputs[which].flatten_all()?.to_vec1::<f64>()?;
        for (element, &analytic) in analytic.iter().enumerate() {
            let nudged = |by: f64| -> Result<f64> {
                let mut values = values.clone();
                values[element] += by;
                let mut arguments = inputs.to_vec();
                arguments[which] = Tensor::from_vec(values, inputs[which].shape(), &Device::Cpu)?;
                objective(&arguments)
            };
            let numeric = (nudged(STEP)? - nudged(-STEP)?) / (2.0 * STEP);
            if (analytic - numeric).abs() > tolerance * scale {
                bail!("input {which}, element {element}: gradient {analytic}, finite difference {numeric}");
            }
        }
    }
    Ok(())
}
