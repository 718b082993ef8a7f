//! The operations of the codec's network and prior, composed of Candle's own: for devices that our kernels don't run on.
//! All other operations are computed on the CPU there, with copies to it and back.

use candle_core::{D, Result, Tensor, bail};

/// As [`linear`](super::linear()).
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let ((inputs, outputs), groups) = (weight.dims2()?, bias.dim(0)?);
    let mut dims = x.dims().to_vec();
    if dims.pop() != Some(inputs) || !(groups == 1 || dims.first() == Some(&groups)) {
        bail!("linear: x {:?}, weight {:?} and bias {:?} don't fit", x.shape(), weight.shape(), bias.shape());
    }
    dims.push(outputs);
    // One plain product of matrices for all rows.
    let y = x.reshape(((), inputs))?.matmul(weight)?;
    y.reshape((groups, (), outputs))?.broadcast_add(&bias.unsqueeze(1)?)?.reshape(dims)
}

/// As [`rms_norm`](super::rms_norm).
pub(super) fn rms_norm(x: &Tensor, gain: &Tensor, epsilon: f64) -> Result<Tensor> {
    let root = (x.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
    x.broadcast_div(&root)?.broadcast_mul(gain)
}

/// As [`sigmoid`](super::sigmoid): by way of tanh, which doesn't overflow.
pub(super) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    (x * 0.5)?.tanh()?.affine(0.5, 0.5)
}

/// As [`temporal_convolution`](super::temporal_convolution).
pub(super) fn temporal_convolution(x: &Tensor, weight: &Tensor, dilation: usize) -> Result<Tensor> {
    let (time, taps) = (x.dim(1)?, weight.dim(0)?);
    let reach = taps / 2 * dilation;
    let padded = x.pad_with_zeros(1, reach, reach)?;
    let mut sum = padded.narrow(1, 0, time)?.broadcast_mul(&weight.get(0)?)?;
    for tap in 1..taps {
        sum = (sum + padded.narrow(1, tap * dilation, time)?.broadcast_mul(&weight.get(tap)?)?)?;
    }
    Ok(sum)
}

/// As [`spike`](super::spike) with a triangular surrogate: the gradient comes through a product that is zero in value.
pub(super) fn triangular_spike(potential: &Tensor, threshold: f64, height: f64, width: f64) -> Result<Tensor> {
    let distance = (potential - threshold)?;
    let fired = distance.gt(0.0)?.to_dtype(potential.dtype())?;
    let derivative = (distance.detach().abs()? * (-height / width))?.affine(1.0, height)?.relu()?.detach();
    let through = (distance * derivative)?;
    fired + (&through - through.detach())?
}

/// As [`leaky_scan`](super::leaky_scan), as a product with the matrix of impulse responses of each channel, a^(t − s) for
/// s ≤ t: (channels, time, time), so for sequences of some hundred steps.
pub(super) fn leaky_scan(input: &Tensor, decay: &Tensor, initial: &Tensor) -> Result<Tensor> {
    let (_, time, channels) = input.dims3()?;
    let (device, dtype) = (input.device(), input.dtype());
    let steps = Tensor::arange(0u32, time as u32, device)?.to_dtype(dtype)?;
    let distance = steps.unsqueeze(1)?.broadcast_sub(&steps.unsqueeze(0)?)?;
    let past = distance.ge(0.0)?.to_dtype(dtype)?;
    let log_decay = decay.log()?.reshape((channels, 1, 1))?;
    let powers = distance.relu()?.unsqueeze(0)?.broadcast_mul(&log_decay)?.exp()?;
    let responses = powers.broadcast_mul(&past.unsqueeze(0)?)?;
    let gain = decay.sqr()?.affine(-1.0, 1.0)?.sqrt()?;
    let driven = input.broadcast_mul(&gain)?.permute((2, 1, 0))?.contiguous()?;
    let scanned = responses.matmul(&driven)?.permute((2, 1, 0))?;
    // What is left of the initial state: a^(t + 1).
    let fading = (steps + 1.0)?.unsqueeze(1)?.broadcast_mul(&decay.log()?.unsqueeze(0)?)?.exp()?;
    scanned + initial.unsqueeze(1)?.broadcast_mul(&fading.unsqueeze(0)?)?
}

/// As [`information`](super::information).
pub(super) fn information(logits: &Tensor, events: &Tensor) -> Result<Tensor> {
    // ln(1 + e^ℓ) = max(ℓ, 0) + ln(1 + e^−|ℓ|)
    let softplus = (logits.relu()? + (logits.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
    softplus - (logits * events)?
}

/// As [`lookup`](super::lookup), as a sum over the entries, so for small tables. An index out of range gives zero.
pub(super) fn lookup(table: &Tensor, index: &Tensor) -> Result<Tensor> {
    let mut sum = index.zeros_like()?;
    for entry in 0..table.dim(0)? {
        let chosen = index.eq(entry as f64)?.to_dtype(table.dtype())?;
        sum = (sum + chosen.broadcast_mul(&table.get(entry)?)?)?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::random;
    use crate::ops;
    use candle_core::Var;

    /// Both forms must give the same values and the same gradients.
    fn assert_equal(
        inputs: &[Tensor],
        kernel: impl Fn(&[Var]) -> Result<Tensor>,
        composed: impl Fn(&[Var]) -> Result<Tensor>,
    ) -> Result<()> {
        let variables: Vec<Var> = inputs.iter().map(Var::from_tensor).collect::<Result<_>>()?;
        let far = |a: &Tensor, b: &Tensor| (a - b)?.abs()?.max_all()?.to_scalar::<f64>();
        let (y, z) = (kernel(&variables)?, composed(&variables)?);
        assert_eq!(y.dims(), z.dims());
        assert!(far(&y, &z)? < 1e-10);
        let weight = random(y.dims(), 99)?;
        let (dy, dz) = ((y * &weight)?.sum_all()?.backward()?, (z * &weight)?.sum_all()?.backward()?);
        for variable in &variables {
            assert!(far(dy.get(variable).unwrap(), dz.get(variable).unwrap())? < 1e-9);
        }
        Ok(())
    }

    #[test]
    fn values_and_gradients_are_those_of_the_kernels() -> Result<()> {
        let x = random(&[3, 11, 6], 1)?;
        for groups in [1, 3] {
            let inputs = [x.clone(), random(&[6, 4], 2)?, random(&[groups, 4], 3)?];
            assert_equal(&inputs, |v| ops::linear(&v[0], &v[1], &v[2]), |v| linear(&v[0], &v[1], &v[2]))?;
        }
        let flat = [random(&[5, 6], 4)?, random(&[6, 4], 5)?, random(&[1, 4], 6)?];
        assert_equal(&flat, |v| ops::linear(&v[0], &v[1], &v[2]), |v| linear(&v[0], &v[1], &v[2]))?;
        let inputs = [x.clone(), random(&[6], 7)?];
        assert_equal(&inputs, |v| ops::rms_norm(&v[0], &v[1]), |v| rms_norm(&v[0], &v[1], 1e-5))?;
        assert_equal(std::slice::from_ref(&x), |v| ops::sigmoid(&v[0]), |v| sigmoid(&v[0]))?;
        for (taps, dilation) in [(1, 1), (3, 2), (7, 4)] {
            let inputs = [x.clone(), random(&[taps, 6], 8)?];
            let both = |v: &[Var], f: fn(&Tensor, &Tensor, usize) -> Result<Tensor>| f(&v[0], &v[1], dilation);
            assert_equal(&inputs, |v| both(v, ops::temporal_convolution), |v| both(v, temporal_convolution))?;
        }
        Ok(())
    }

    #[test]
    fn events_traces_and_information_are_those_of_the_kernels() -> Result<()> {
        let x = random(&[3, 23, 6], 1)?;
        let neuron = crate::dynamics::ThresholdNeuron { threshold: 0.2 };
        let surrogate = crate::Surrogate::Triangular { height: 0.5, width: 2.0 };
        let potential = [(&x * 2.0)?];
        let kernel = |v: &[Var]| ops::spike(&v[0], neuron, surrogate);
        assert_equal(&potential, kernel, |v| triangular_spike(&v[0], 0.2, 0.5, 2.0))?;
        let decay = random(&[6], 2)?.affine(0.3, 0.6)?;
        let initial = random(&[3, 6], 3)?;
        let inputs = [x.clone(), decay];
        let kernel = |v: &[Var]| ops::leaky_scan(&v[0], &v[1], Some(&initial));
        assert_equal(&inputs, kernel, |v| leaky_scan(&v[0], &v[1], &initial))?;
        let events = (&x * 3.0)?.gt(0.5)?.to_dtype(candle_core::DType::F64)?;
        let inputs = [(random(&[3, 23, 6], 4)? * 8.0)?, events.clone()];
        assert_equal(&inputs, |v| ops::information(&v[0], &v[1]), |v| information(&v[0], &v[1]))?;
        let index = events.broadcast_mul(&Tensor::new(&[0.0f64, 1.0, 2.0, 3.0, 2.0, 1.0], x.device())?)?;
        let table = [random(&[4, 6], 5)?];
        assert_equal(&table, |v| ops::lookup(&v[0], &index), |v| lookup(&v[0], &index))
    }

    #[test]
    fn ill_fitting_shapes_are_refused() -> Result<()> {
        let (x, w) = (random(&[3, 4, 7], 1)?, random(&[7, 4], 2)?);
        assert!(linear(&x, &w, &random(&[2, 4], 3)?).is_err());
        assert!(linear(&x, &random(&[6, 4], 2)?, &random(&[1, 4], 3)?).is_err());
        Ok(())
    }
}
