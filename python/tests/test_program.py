"""The binding and the program give the same bytes, samples and figures."""

import json

import numpy as np
import pytest
from conftest import notes, write_wav

import spiccato


@pytest.mark.parametrize(
    "seconds, sr, channels, ours, theirs",
    [
        (2.0, 44_100, 1, {"bitrate": 2}, ["--bitrate", "2"]),
        (1.0, 48_000, 2, {}, []),
        (11.0, 24_000, 2, {"quality": 0.5}, ["--quality", "50"]),  # two chunks
    ],
)
def test_files_and_samples_are_equal(codec, program, tmp_path, seconds, sr, channels, ours, theirs):
    sound = notes(seconds, sr, channels)
    write_wav(tmp_path / "sound.wav", sound, sr)
    program("compress", *theirs, tmp_path / "sound.wav")
    x = codec.encode(sound, sr, **ours)
    assert x.bytes == (tmp_path / "sound.spic").read_bytes()

    program("decompress", "--raw", "--bits", "32f", tmp_path / "sound.spic", "-o", tmp_path / "sound.raw")
    expected = np.fromfile(tmp_path / "sound.raw", "<f4").reshape(-1, channels).T
    samples, rate = codec.decode(x)
    assert rate == sr
    np.testing.assert_array_equal(samples.reshape(channels, -1), expected)


def test_facts_are_equal(codec, program, tmp_path):
    x = codec.encode(notes(1.0, 32_000, 2), 32_000, tags=[("artist", "A"), ("artist", "B"), ("title", "T")])
    x.save(tmp_path / "sound.spic")
    facts = json.loads(program("info", "--json", tmp_path / "sound.spic"))
    assert spiccato.info(tmp_path / "sound.spic") == facts
    assert (x.kbps, x.seconds, x.sr, x.channels) == (facts["kbps"], 1.0, 32_000, 2)
    assert x.tags == {"artist": ["A", "B"], "title": "T"}
    assert len(x.csr[1]) == facts["events"]
