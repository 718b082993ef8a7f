//! Why the operations of this crate exist: Candle's own have wrong or missing gradients on the CPU.
//!
//! When one of these tests fails, Candle has mended that operation, and ours may go.

use candle_core::{DType, Device, Result, Tensor, Var};
use spiccato_neurons::gradcheck::{assert_gradients, random};

#[test]
fn conv1d_has_a_wrong_weight_gradient_at_batch_sizes_above_one() -> Result<()> {
    let inputs = |batch| Ok::<_, candle_core::Error>([random(&[batch, 3, 8], 1)?, random(&[4, 3, 3], 2)?]);
    let convolve = |v: &[Tensor]| v[0].conv1d(&v[1], 1, 1, 1, 1);
    assert_gradients(&inputs(1)?, 1e-6, convolve)?;
    assert!(assert_gradients(&inputs(2)?, 1e-2, convolve).is_err());
    Ok(())
}

#[test]
fn conv_transpose1d_has_no_gradient() -> Result<()> {
    let (x, w) = (Var::from_tensor(&random(&[2, 3, 8], 1)?)?, random(&[3, 4, 3], 2)?);
    assert!(x.conv_transpose1d(&w, 0, 0, 1, 1, 1)?.sum_all()?.backward().is_err());
    Ok(())
}

#[test]
fn fused_norms_and_softmax_stop_gradients() -> Result<()> {
    let x = Var::from_tensor(&random(&[2, 3, 8], 1)?.to_dtype(DType::F32)?)?;
    let gain = Tensor::ones(8, DType::F32, &Device::Cpu)?;
    let outputs = [
        candle_nn::ops::rms_norm(&x, &gain, 1e-5)?,
        candle_nn::ops::layer_norm(&x, &gain, &gain, 1e-5)?,
        candle_nn::ops::softmax_last_dim(&x)?,
    ];
    for output in outputs {
        let silent = match output.sqr()?.sum_all()?.backward() {
            Ok(grads) => grads.get(&x).is_none(),
            Err(_) => true,
        };
        assert!(silent);
    }
    Ok(())
}
