"""Arrays of any layout as the flat float32 samples that the compiled part takes."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np
import numpy.typing as npt

Samples = npt.ArrayLike


def interleaved(wav: Samples, axis: int) -> Tuple[npt.NDArray[np.float32], int]:
    """Samples frame after frame, and the number of channels."""
    frames = _frames(wav, axis)
    return np.ascontiguousarray(frames, dtype=np.float32).reshape(-1), frames.shape[1]


def mono(wav: Samples, axis: int) -> npt.NDArray[np.float32]:
    """The mean of the channels."""
    frames = _frames(wav, axis)
    if frames.shape[1] == 1:
        return np.ascontiguousarray(frames[:, 0], dtype=np.float32)
    mean: npt.NDArray[np.float32] = frames.mean(axis=1, dtype=np.float32)
    return mean


def _frames(wav: Samples, axis: int) -> npt.NDArray[Any]:
    """A view of the shape (n, channels)."""
    array = np.asarray(wav)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"samples must be floating-point numbers with full scale ±1, not {array.dtype}: "
            "divide 16-bit integers by 32768"
        )
    if array.ndim == 1:
        return array[:, np.newaxis]
    if array.ndim != 2 or not -2 <= axis <= 1:
        raise ValueError(
            f"samples of shape {array.shape} with axis={axis}: they must have the shape (n,), (channels, n), "
            "or (n, channels) with axis=0"
        )
    frames = array if axis in (0, -2) else array.T
    if frames.shape[1] not in (1, 2):
        raise ValueError(
            f"{frames.shape[1]} channels in samples of shape {array.shape}: there must be 1 or 2; "
            "axis=0 says that time comes first"
        )
    return frames
