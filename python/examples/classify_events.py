"""Trains a small classifier on events alone: low notes against high ones, told apart by which neurons fire how often.

    python classify_events.py

NumPy is enough. The mean of the events over time is the input of a logistic regression; a spiking network would take
`x.dense()`, of shape (time, batch, neuron), instead.
"""

import numpy as np

import spiccato

codec, random = spiccato.load(), np.random.default_rng(0)


def example(high):
    """Half a second of a note with harmonics, below or above middle C, as the mean of its events over time."""
    hertz = 261.6 * 2 ** (random.uniform(0.2, 2.0) * (1 if high else -1))
    time = np.arange(12_000) / 24_000
    wav = sum(0.2 / k * np.sin(2 * np.pi * k * hertz * time) for k in range(1, 6)) * np.exp(-3 * time)
    wav += 0.003 * random.standard_normal(len(wav))
    return codec.encode(wav, 24_000, quality=0.3).dense().mean(axis=(0, 1))


labels = np.arange(160) % 2
inputs = np.stack([example(label) for label in labels])
train, test = slice(0, 120), slice(120, None)
weights, bias = np.zeros(inputs.shape[1]), 0.0
for _ in range(300):
    error = 1 / (1 + np.exp(-(inputs[train] @ weights + bias))) - labels[train]
    weights -= 5.0 * inputs[train].T @ error / len(error)
    bias -= 5.0 * error.mean()
right = ((inputs[test] @ weights + bias > 0) == labels[test]).mean()
print(f"{inputs.shape[1]} neurons; of {len(labels[test])} other notes, {right:.0%} are classified right")
