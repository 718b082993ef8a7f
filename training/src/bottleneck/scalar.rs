//! Finite scalar quantisation (Mentzer, Minnen, Agustsson & Tschannen, *Finite Scalar Quantization: VQ-VAE Made
//! Simple*, 2023, section 3.1): each latent is bounded by tanh and rounded, the gradient passes the rounding as it is.

use candle_core::{Result, Tensor};

/// Latents rounded to `levels` equally spaced values from −1 to 1; `levels` is odd.
pub(super) fn round(latents: &Tensor, levels: usize) -> Result<Tensor> {
    let half = (levels / 2) as f64;
    let bounded = latents.tanh()?;
    let rounded = ((&bounded * half)?.round()? / half)?;
    // rounded in value, bounded in gradient
    &bounded + (rounded - &bounded)?.detach()
}
