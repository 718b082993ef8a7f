#!/usr/bin/env python3
"""Values that the tests of `spiccato evaluate` expect, from other people's programs.

    pip install numpy scipy soundfile librosa==0.11.0 mir_eval==0.8.2 bjontegaard==1.3.0 matplotlib visqol-python==3.8.0
    python3 scripts/reference_scores.py

The signals are those of evaluation/src/fixture.rs.
"""
import librosa
import numpy as np
from scipy.signal import resample_poly

RATE = 24000


def notes(cents, phase, gain, noise):
    """Five notes of eight partials each, mistuned and with shifted phases, under noise."""
    out = np.zeros(3 * RATE)
    for time, pitch in [(0.2, 220.0), (0.7, 277.18), (1.1, 329.63), (1.6, 440.0), (2.2, 196.0)]:
        start = round(time * RATE)
        t = np.arange(len(out) - start) / RATE
        for h in range(1, 9):
            f = pitch * h * 2 ** (cents / 1200)
            out[start:] += gain * 0.2 / h * np.exp(-(1 + h) * t) * np.sin(2 * np.pi * f * t + phase * h)
    state, random = 1, np.empty(len(out))
    for n in range(len(out)):
        state = (state * 1664525 + 1013904223) % 2**32
        random[n] = state / 2**32 - 0.5
    return (out + noise * random).astype(np.float32).astype(np.float64)


def spectrum(x, window):
    return np.abs(librosa.stft(x, n_fft=window, hop_length=window // 4, pad_mode='constant'))


def log_mel(a, b, floor=3e-2):
    bank = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=80, fmin=30, fmax=12000, htk=True, norm=None)
    bank /= bank.sum(1, keepdims=True)
    return np.mean(np.abs(20 * np.log10((bank @ spectrum(a, 1024) + floor) / (bank @ spectrum(b, 1024) + floor))))


def multi_resolution(a, b, floor=3e-2):
    total = 0
    for window in (256, 512, 1024, 2048, 4096):
        p, q = spectrum(a, window), spectrum(b, window)
        total += np.linalg.norm(p - q) / np.linalg.norm(p) + np.mean(np.abs(np.log((p + floor) / (q + floor))))
    return total / 5


def si_sdr(a, b):
    target = a * (a @ b) / (a @ a)
    return 10 * np.log10((target @ target) / ((b - target) @ (b - target)))


def chroma(a, b):
    def energies(x):
        power = np.abs(librosa.stft(x, n_fft=4096, hop_length=1024, pad_mode='constant')) ** 2
        return librosa.feature.chroma_stft(S=power, sr=RATE, n_fft=4096, norm=None, tuning=0.0)

    a, b = energies(a), energies(b)
    energy = a.sum(0)
    sounds = energy > 1e-5 * energy.max()
    a, b = a[:, sounds], b[:, sounds]
    return np.mean(1 - (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))


def onsets(x):
    """SuperFlux (Böck & Widmer 2013) for 24 kHz, by SciPy's filters."""
    from scipy.ndimage import maximum_filter, maximum_filter1d, uniform_filter1d
    tones = 440 * 2 ** (np.arange(-200, 200) / 24)
    tones = tones[np.flatnonzero(tones >= 30)[0] - 1:]
    edges = np.unique(np.round(tones * 1024 / RATE).astype(int))
    edges = edges[edges < 512]
    bank = np.stack([np.interp(np.arange(513), e, (0, 1, 0)) for e in zip(edges, edges[1:], edges[2:])])
    bands = np.log10(1 + 2 * bank @ np.abs(librosa.stft(x, n_fft=1024, hop_length=120, pad_mode='constant')))
    loudest = maximum_filter(bands, (3, 1))
    flux = np.r_[0, 0, np.maximum(bands[:, 2:] - loudest[:, :-2], 0).sum(0)]
    inside = np.arange(len(flux)) * 120
    flux[(inside - 240 < 512) | (inside > len(x) - 512)] = 0  # a cut is no onset
    highest = maximum_filter1d(flux, 13, mode='constant', origin=-4)
    mean = uniform_filter1d(flux, 31, mode='constant', origin=15)
    found = np.flatnonzero((flux == highest) & (flux >= mean + 1.1))
    return found[np.r_[True, np.diff(found) > 6]] / 200


def visqol(a, b):
    from visqol import VisqolApi
    api = VisqolApi()
    api.create(mode='audio')
    return api.measure_from_arrays(resample_poly(a, 2, 1), resample_poly(b, 2, 1), sample_rate=48000).moslqo


def main():
    original, decoded = notes(0, 0, 1, 0), notes(8, 0.7, 0.8, 0.004)
    level = np.sqrt(np.mean(original**2))
    gain = 10 ** (-23 / 20) / level
    a, b = gain * original, gain * decoded
    print('log_mel_db', log_mel(a, b))
    print('multi_resolution', multi_resolution(a, b))
    print('si_sdr_db', si_sdr(a, b))
    print('level_db', abs(20 * np.log10(np.sqrt(np.mean(decoded**2)) / level)))
    print('onsets', onsets(a).tolist(), onsets(b).tolist())
    print('chroma', chroma(a, b))
    try:
        print('visqol', visqol(original, decoded))
    except ImportError:
        print('visqol: not installed')


if __name__ == '__main__':
    main()
