"""PyTorch twin of Spiccato's network and prior: the same weights give the same events, features and bits.

The crate `spiccato` is the reference (codec/src/signal, codec/src/network, codec/src/entropy); format-spec.md has the
equations. Names of parameters are those of the tensors in a model file.
"""
