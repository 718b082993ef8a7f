"""What the tests share: sounds, the codec, the program to compare with, and the test data of the repository."""

import os
import pathlib
import subprocess
import wave

import numpy as np
import pytest

import spiccato

TESTDATA = pathlib.Path(__file__).parents[2] / "testdata"


@pytest.fixture(scope="session")
def codec():
    return spiccato.load()


def notes(seconds, sr, channels=1, seed=0):
    """Decaying tones in the range of a piano, as 16-bit steps of float32, shape (channels, n)."""
    random = np.random.default_rng(seed)
    n = round(seconds * sr)
    time = np.arange(n) / sr
    sound = np.zeros((channels, n))
    for start in np.arange(0.0, seconds, 0.3):
        hertz = 440.0 * 2.0 ** ((random.integers(40, 88) - 69) / 12)
        after = np.maximum(time - start, 0.0)
        tone = np.sin(2 * np.pi * hertz * after) * np.exp(-3.0 * after) * (time >= start)
        sound += random.uniform(0.03, 0.15, (channels, 1)) * tone
    return (np.round(sound * 32768) / 32768).astype(np.float32)


@pytest.fixture(scope="session")
def program():
    """Runs the program of the same build, named by SPICCATO_PROGRAM."""
    path = os.environ.get("SPICCATO_PROGRAM")
    if not path:
        pytest.skip("SPICCATO_PROGRAM names no program to compare with")
    return lambda *arguments: subprocess.run([path, *map(str, arguments)], check=True, capture_output=True).stdout


def write_wav(path, sound, sr):
    """A WAV file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.shape[0])
        file.setsampwidth(2)
        file.setframerate(sr)
        file.writeframes((sound.T * 32768).astype("<i2").tobytes())
