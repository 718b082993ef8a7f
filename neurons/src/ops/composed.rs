//! The operations that matter most, put together from Candle's own: for devices that our kernels don't run on. All others
//! are computed on the CPU there, and copied.

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
    fn ill_fitting_shapes_are_refused() -> Result<()> {
        let (x, w) = (random(&[3, 4, 7], 1)?, random(&[7, 4], 2)?);
        assert!(linear(&x, &w, &random(&[2, 4], 3)?).is_err());
        assert!(linear(&x, &random(&[6, 4], 2)?, &random(&[1, 4], 3)?).is_err());
        Ok(())
    }
}
