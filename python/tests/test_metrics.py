"""Metrics against a second implementation, and their edges."""

import math

import numpy as np
import pytest
from conftest import notes

from spiccato import metrics


def log_mel(a, b):
    """The log-mel distance in NumPy: 80 triangles of unit sum on the mel scale, over magnitudes of 1024 samples."""
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([30, 12_000]) / 700)), 82) / 2595) - 1)
    hertz = np.arange(513) * 24_000 / 1024
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bank = np.clip(np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)), 0, None)
    bank /= np.maximum(bank.sum(axis=1, keepdims=True), 1e-9)

    def spectra(x):
        padded = np.pad(x * 10 ** (-23 / 20) / level, (512, 1024))
        windows = np.lib.stride_tricks.sliding_window_view(padded, 1024)[::256][: (len(x) + 256) // 256]
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
        return np.abs(np.fft.rfft(windows * window)) @ bank.T + 3e-2

    level = np.sqrt(np.mean(a**2))
    return np.mean(np.abs(20 * np.log10(spectra(a) / spectra(b))))


def test_log_mel_is_that_of_a_second_implementation():
    a = notes(2.0, 24_000)[0].astype(np.float64)
    b = a + 0.01 * np.random.default_rng(1).standard_normal(len(a))
    assert metrics.log_mel(a, b, 24_000) == pytest.approx(log_mel(a, b), abs=1e-4)
    assert metrics.log_mel(a, b, 24_000) > 1.0


def test_all_holds_what_the_others_give():
    a = notes(2.0, 44_100, 2)
    b = 0.9 * a + 0.005 * np.random.default_rng(1).standard_normal(a.shape).astype(np.float32)
    scores = metrics.all(a, b, 44_100)
    assert scores["log_mel_db"] == metrics.log_mel(a.T, b.T, 44_100, axis=0)
    assert scores["visqol"] == metrics.visqol(a, b, 44_100)
    assert 1.0 < scores["visqol"] < 4.73 and len(scores) == 9


def test_what_is_not_defined_is_nan():
    silence = np.zeros(24_000, np.float32)
    assert math.isnan(metrics.log_mel(silence, silence, 24_000))
    assert all(map(math.isnan, metrics.all(silence, silence, 24_000).values()))
    assert math.isnan(metrics.visqol([0.1, 0.2], [0.1, 0.2], 24_000))
    with pytest.raises(ValueError, match="sample 1 of the decoded signal is NaN"):
        metrics.log_mel([0.1, 0.2], [0.1, float("nan")], 24_000)
