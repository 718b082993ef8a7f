"""Shapes, lengths, events, files and errors."""

import pickle

import numpy as np
import pytest
from conftest import TESTDATA, notes

import spiccato


@pytest.mark.parametrize("sr", [8_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_length_rate_and_channels_come_back(codec, sr, channels):
    n = round(0.7 * sr) + 13
    sound = notes(n / sr, sr, channels)
    x = codec.encode(sound, sr, quality=0.2)
    assert (x.samples, x.sr, x.channels) == (n, sr, channels)
    samples, rate = codec.decode(x)
    assert (samples.shape, samples.dtype, rate) == ((n,) if channels == 1 else (2, n), np.float32, sr)
    assert codec.decode(x.bytes, sr=24_000, channels=1)[0].shape == (-(-n * 24_000 // sr),)


def test_layouts_and_types_of_the_same_sound_give_the_same_file(codec):
    sound = notes(0.5, 24_000, 2)
    x = codec.encode(sound, 24_000, quality=0.5)
    assert codec.encode(sound.T, 24_000, quality=0.5, axis=0) == x
    assert codec.encode(np.asfortranarray(sound), 24_000, quality=0.5, axis=1) == x
    assert codec.encode(sound.astype(np.float64).tolist(), 24_000, quality=0.5) == x
    assert codec.encode(sound[0], 24_000) == codec.encode(sound[:1], 24_000)
    first, last = codec.decode(x)[0], codec.decode(x, axis=0)[0]
    np.testing.assert_array_equal(first, last.T)
    assert codec.features(sound, 24_000).shape == codec.features(sound.T, 24_000, axis=0).shape


def test_a_tone_is_in_its_band(codec):
    # The lowest 168 bands are bins of 15.625 Hz: 1 kHz is band 64. The last frame's centre is the last multiple of 384.
    time = np.arange(24_000) / 24_000
    features = codec.features(0.3 * np.sin(2 * np.pi * 1000 * time), 24_000)
    assert features.shape == (256, 24_000 // 384 + 1)
    assert set(features[:, 3:-3].argmax(axis=0)) == {64}


def golden(name):
    """Neurons and frames of all events by the text beside a golden file, which another program can check."""
    events, start, frames = [], 0, 0
    for line in (TESTDATA / "golden" / name).read_text().splitlines():
        if line.startswith("chunk "):
            start, frames = start + frames, int(line.split()[3])
        if line.startswith("frame "):
            frame, neurons = line.removeprefix("frame ").split(": ")
            events += [(int(neuron), start + int(frame)) for neuron in neurons.split()]
    return sorted(events)


@pytest.mark.parametrize("name", ["mono-csr", "mono-rice-zstd", "mono-elias-fano"])
def test_events_are_those_of_the_golden_files(codec, name):
    x = codec.read(TESTDATA / "golden" / f"{name}.spic")
    expected = golden("mono.txt")
    indptr, indices = x.csr
    found = [(k, t) for k in range(x.neurons) for t in indices[indptr[k] : indptr[k + 1]].tolist()]
    assert found == expected and len(found) > 100
    dense = x.dense(bool)
    assert dense.shape == (x.frames, 1, x.neurons) == (110, 1, 300)
    assert [tuple(event) for event in np.argwhere(dense[:, 0].T).tolist()] == expected


def test_events_are_a_scipy_matrix_where_there_is_scipy(codec, monkeypatch):
    x = codec.encode(notes(1.0, 24_000), 24_000)
    sparse = pytest.importorskip("scipy.sparse")
    assert isinstance(x.events, sparse.csr_matrix) and x.events.shape == (512, x.frames)
    np.testing.assert_array_equal(x.events.toarray().T, x.dense(np.uint8)[:, 0])
    monkeypatch.setitem(__import__("sys").modules, "scipy.sparse", None)
    assert x.events is x.csr


def test_files_and_pickles_come_back(codec, tmp_path):
    x = codec.encode(notes(0.5, 24_000), 24_000)
    path = tmp_path / "sound.spic"
    x.save(path)
    assert spiccato.read(path) == x == pickle.loads(pickle.dumps(x))
    assert codec.decode(path)[0].shape == (12_000,)
    with pytest.raises(FileExistsError, match="sound.spic: the file exists already"):
        x.save(path)
    x.save(path, replace=True)
    assert [file.name for file in tmp_path.iterdir()] == ["sound.spic"]
    assert "24000 Hz" in repr(x) and codec.id in repr(codec)


def test_what_cannot_be_done_is_said(codec, tmp_path):
    sound = notes(0.2, 24_000)
    for wrong, text in [
        (lambda: codec.encode(sound, 4_000), "8000 to 192000 Hz, not 4000"),
        (lambda: codec.encode(sound, 24_000, bitrate=0), "above 0, not 0"),
        (lambda: codec.encode(sound, 24_000, quality=1.5), "from 0 to 100, not 150"),
        (lambda: codec.encode(sound, 24_000, effort=4), "from 0 to 3, not 4"),
        (lambda: codec.encode(sound, 24_000, bitrate=3, quality=0.5), "exclude each other"),
        (lambda: codec.encode(sound[:, :0], 24_000), "no samples"),
        (lambda: codec.encode([0.0, float("nan")], 24_000), "frame 1 is NaN"),
        (lambda: codec.encode(sound.T, 24_000), "axis=0 says that time comes first"),
        (lambda: codec.encode((sound * 32768).astype(np.int16), 24_000), "divide 16-bit integers by 32768"),
        (lambda: codec.encode(np.zeros((1, 2, 9)), 24_000), r"shape \(1, 2, 9\)"),
        (lambda: codec.decode(b"SPIC and no more"), "header"),
        (lambda: codec.decode(TESTDATA / "golden" / "mono-csr.spic"), "needs model 0123456789abcdef"),
        (lambda: spiccato.load(TESTDATA / "golden" / "mono-csr.spic"), "mono-csr.spic: not a Spiccato model"),
    ]:
        with pytest.raises(ValueError, match=text):
            wrong()
    missing = tmp_path / "missing"
    for wrong in [lambda: spiccato.load(missing), lambda: codec.decode(missing), lambda: spiccato.info(missing)]:
        with pytest.raises(FileNotFoundError, match="missing"):
            wrong()
    with pytest.raises(OSError, match="nowhere"):
        codec.encode(sound, 24_000).save(tmp_path / "nowhere" / "sound.spic")


def test_damage_is_told(codec):
    x = codec.encode(notes(0.5, 24_000), 24_000)
    damaged = bytearray(x.bytes)
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(ValueError, match="chunk 0 at byte .*checksum"):
        codec.decode(bytes(damaged))
    assert "checksum" in spiccato.info(bytes(damaged))["damage"][0]
