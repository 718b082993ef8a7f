//! The weights of the built-in model of the [Spiccato](https://docs.rs/spiccato) audio codec, in a crate of their own because their
//! licence is not that of the code: CC BY-NC-SA 4.0. `default.md` beside them is the model card.
#![no_std]
#![forbid(unsafe_code)]

/// Content of the model file, in the form that `spiccato::Model::from_bytes` reads.
pub static DEFAULT: &[u8] = include_bytes!("../default.safetensors");
