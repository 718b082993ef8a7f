//! Spiking neurons: dynamics as pure functions on slices, surrogate gradients, and differentiable Candle operations.
