"""How near decoded audio is to its original: the metrics of the program ``spiccato evaluate``.

Both signals are taken at 24 kHz as the mean of their channels; a constant delay is taken out. Values that don't exist,
as for a silent original, are NaN.
"""

from __future__ import annotations

from typing import Dict, Optional

from . import _spiccato
from ._arrays import Samples, mono

__all__ = ["all", "log_mel", "visqol"]


def log_mel(original: Samples, decoded: Samples, sr: int, *, axis: int = -1) -> float:
    """Mean absolute difference of 80-band log-mel spectra in dB; lower is better.

    Arrays are as in ``Codec.encode``: (n,), (channels, n), or (n, channels) with ``axis=0``, both at the sample rate
    ``sr``.
    """
    return _number(_spiccato.log_mel(mono(original, axis), mono(decoded, axis), sr))


def visqol(original: Samples, decoded: Samples, sr: int, *, axis: int = -1) -> float:
    """ViSQOL in audio mode, a predicted mean opinion from 1 to about 4.73; higher is better. NaN below a second."""
    return _number(_spiccato.visqol(mono(original, axis), mono(decoded, axis), sr))


def all(original: Samples, decoded: Samples, sr: int, *, axis: int = -1) -> Dict[str, float]:
    """Every metric by its key: ``log_mel_db``, ``multi_resolution``, ``si_sdr_db``, ``visqol``, ``level_db``,
    ``onset_f``, ``chroma``, ``partial_cents``, ``pre_echo_db``.
    """
    scores = _spiccato.all(mono(original, axis), mono(decoded, axis), sr)
    return {key: _number(score) for key, score in scores.items()}


def _number(score: Optional[float]) -> float:
    return float("nan") if score is None else score
