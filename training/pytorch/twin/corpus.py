"""Training audio in shards: files named KIND-NUMBER.npz with clips at 24 kHz as integers of 16 bits, one after the other,
their lengths, and the loudness of each.

    python -m twin.corpus OUT piano=FOLDER music=FOLDER speech=FOLDER …

Kinds are drawn in the shares that training asks for, whatever the hours of each. Files whose names say `validation` are
left out of training.
"""

import sys
from pathlib import Path

import numpy as np

from .features import SAMPLE_RATE

ENDINGS = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".opus"}
# Samples of a shard, some 40 minutes.
SHARD = 1 << 26
BLOCK = SAMPLE_RATE * 2 // 5
SILENCE = 1e-7
PAUSE = 1e-2


def loudness(samples: np.ndarray) -> float:
    """Root mean square without silence and pauses (codec/src/signal/loudness.rs)."""
    starts = np.arange(0, len(samples), BLOCK)
    lengths = np.minimum(len(samples) - starts, BLOCK)
    squares = np.add.reduceat(samples.astype(np.float64) ** 2, starts) / lengths
    weights = lengths / BLOCK

    def gated(gate):
        kept = squares > gate
        return np.average(squares[kept], weights=weights[kept]) if kept.any() else 0.0

    return float(np.sqrt(gated(max(SILENCE, gated(SILENCE) * PAUSE))))


def read(path: Path) -> np.ndarray:
    """A file in mono at 24 kHz."""
    import soundfile
    import soxr

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(1), rate, SAMPLE_RATE)


def write_shards(out: Path, kind: str, files) -> None:
    clips, number, size = [], 0, 0

    def flush():
        nonlocal clips, number, size
        if clips:
            audio = np.concatenate([(np.clip(c, -1, 1) * 32767).round().astype(np.int16) for c in clips])
            lengths, levels = [len(c) for c in clips], [loudness(c) for c in clips]
            np.savez(out / f"{kind}-{number:04}.npz", audio=audio, lengths=lengths, rms=levels, kind=kind)
        clips, number, size = [], number + 1, 0

    for file in files:
        try:
            samples = read(file)
        except Exception as error:  # whatever a decoder makes of a damaged file
            print(f"{file}: left out: {error}", file=sys.stderr)
            continue
        if len(samples) >= SAMPLE_RATE and np.isfinite(samples).all():
            clips.append(samples)
            size += len(samples)
        if size >= SHARD:
            flush()
    flush()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for argument in sys.argv[2:]:
        kind, folder = argument.split("=", 1)
        write_shards(out, kind, sorted(f for f in Path(folder).rglob("*") if f.suffix.lower() in ENDINGS))


if __name__ == "__main__":
    main()
