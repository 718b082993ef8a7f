"""Spiccato: an audio codec that turns sound into sparse binary events, at a few kilobits per second.

>>> import spiccato
>>> codec = spiccato.load()                   # the built-in model, or the path of another
>>> x = codec.encode(wav, sr, bitrate=3)      # float samples (n,) or (channels, n), any rate from 8 to 192 kHz
>>> x.save("sound.spic")
>>> x.kbps, x.seconds, x.events               # events: neurons x frames, 62.5 frames a second
>>> y, sr = codec.decode(x)                   # the length, rate and channels of the original

Errors are ``ValueError`` (what was given can't be used) and ``OSError`` (a file can't be read or written), with the
text of the library. Encoding and decoding release the interpreter's lock, and Ctrl-C interrupts them.
"""

from __future__ import annotations

import builtins
import functools
import json
import os
from typing import TYPE_CHECKING, Any, Iterable, Mapping, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt

# Read once, before the first use of the networks: Candle's own threads would wait for each other by spinning.
os.environ.setdefault("CANDLE_NUM_THREADS", "1")

from . import metrics  # noqa: E402
from ._arrays import Samples, interleaved, mono  # noqa: E402
from ._spiccato import Model, __version__, write_file  # noqa: E402

if TYPE_CHECKING:
    from typing import TypeAlias

    Array: TypeAlias = npt.NDArray[np.float32]
    Path: TypeAlias = Union[str, "os.PathLike[str]"]

__all__ = ["Codec", "Compressed", "info", "load", "metrics", "read", "__version__"]


class Compressed:
    """Audio as a ``.spic`` file in memory. :meth:`Codec.encode`, :meth:`Codec.read` and :func:`read` make it.

    ``bytes`` is the content of the file, the same as the program ``spiccato compress`` writes.
    """

    bytes: builtins.bytes

    def __init__(self, content: builtins.bytes, codec: Codec) -> None:
        """``content`` is that of a ``.spic`` file; ``codec`` decodes its events.

        Raises ``ValueError`` if it is no such file.
        """
        self.bytes = builtins.bytes(content)
        self._codec = codec
        self._facts: dict[str, Any] = json.loads(codec._model.facts(self.bytes))

    @property
    def kbps(self) -> float:
        """Kilobits per second of the whole file."""
        return float(self._facts["kbps"])

    @property
    def seconds(self) -> float:
        """Duration of the original."""
        return float(self._facts["seconds"])

    @property
    def sr(self) -> int:
        """Sample rate of the original in Hz."""
        return int(self._facts["sample_rate"])

    @property
    def channels(self) -> int:
        """Channels of the original, 1 or 2."""
        return int(self._facts["channels"])

    @property
    def samples(self) -> int:
        """Samples per channel of the original."""
        return int(self._facts["samples"])

    @property
    def quality(self) -> float:
        """What the encoder was asked for, or found for a bitrate: from 0 to 1."""
        return float(self._facts["quality"]) / 100.0

    @property
    def tags(self) -> dict[str, Any]:
        """Texts by key; a list of texts where a key has several."""
        return dict(self._facts["tags"])

    @property
    def neurons(self) -> int:
        """Neurons, the rows of :attr:`events`."""
        return int(self._facts["neurons"])

    @property
    def frames(self) -> int:
        """Frames, the columns of :attr:`events`: 62.5 a second."""
        return int(self._facts["frames"])

    @functools.cached_property
    def csr(self) -> Tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The events as compressed sparse rows: ``(indptr, indices)``, of shapes (neurons + 1,) and (events,).

        Neuron ``k`` fires in the frames ``indices[indptr[k]:indptr[k + 1]]``, which ascend. Raises ``ValueError`` if
        the file was made with another model than the codec's.
        """
        indptr, indices, _, _ = self._codec._model.events(self.bytes)
        return indptr, indices

    @property
    def events(self) -> Any:
        """The events, neurons x frames: a ``scipy.sparse.csr_matrix`` of ``uint8`` ones; without SciPy, :attr:`csr`."""
        try:
            from scipy.sparse import csr_matrix
        except ImportError:
            return self.csr
        indptr, indices = self.csr
        ones = np.ones(len(indices), dtype=np.uint8)
        return csr_matrix((ones, indices, indptr), shape=(self.neurons, self.frames))

    def dense(self, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
        """The events as zeros and ones of shape (frames, 1, neurons): (time, batch, neuron), as libraries of spiking
        networks take them. ``torch.from_numpy`` takes it without a copy; ``numpy.concatenate(…, axis=1)`` joins
        excerpts of equal length to a batch.
        """
        indptr, indices = self.csr
        dense = np.zeros((self.frames, 1, self.neurons), dtype=dtype)
        dense[indices, 0, np.repeat(np.arange(self.neurons), np.diff(indptr))] = 1
        return dense

    def save(self, path: Path, replace: bool = False) -> None:
        """Writes the file, which appears only when it is complete.

        Raises ``FileExistsError`` if there is a file of this name and ``replace`` is false.
        """
        write_file(os.fspath(path), self.bytes, replace)

    def __bytes__(self) -> builtins.bytes:
        return self.bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Compressed) and self.bytes == other.bytes

    def __hash__(self) -> int:
        return hash(self.bytes)

    def __reduce__(self) -> Tuple[Any, ...]:
        return Compressed, (self.bytes, self._codec)

    def __repr__(self) -> str:
        size, rate = len(self.bytes), self.kbps
        return f"<Compressed: {self.seconds:.2f} s, {self.channels} x {self.sr} Hz, {size} bytes, {rate:.2f} kbit/s>"


class Codec:
    """A model that encodes and decodes. Made by :func:`load`; any number of threads can use one at once."""

    def __init__(self, path: Optional[Path] = None) -> None:
        """Loads the model file ``path``, or the built-in model. Raises ``OSError`` or ``ValueError``."""
        self._path = None if path is None else os.fspath(path)
        self._model = Model(self._path)

    @property
    def id(self) -> str:
        """The model's identifier, which the files made with it carry: 16 hexadecimal digits."""
        return self._model.id

    def encode(
        self,
        wav: Samples,
        sr: int,
        *,
        bitrate: Optional[float] = None,
        quality: Optional[float] = None,
        effort: int = 0,
        axis: int = -1,
        tags: Union[Mapping[str, str], Iterable[Tuple[str, str]]] = (),
    ) -> Compressed:
        """Compresses samples.

        ``wav`` has the shape (n,), (channels, n), or (n, channels) with ``axis=0``: ``axis`` is that of time. There are
        1 or 2 channels of floating-point samples with full scale ±1, in anything that ``numpy.asarray`` takes. ``sr``
        is the sample rate in Hz.

        ``bitrate`` is that of the whole file in kbit/s, 3 by default. ``quality`` from 0 to 1 takes its place: simple
        passages then take fewer bits than others, and no search is needed. ``effort`` from 0 to 3 searches for better
        events, the longer the higher: at one bitrate the sound gets better, and decoding takes as long. ``tags`` are texts that the file shall
        carry.
        """
        if bitrate is not None and quality is not None:
            raise ValueError("bitrate and quality exclude each other: give one of them")
        samples, channels = interleaved(wav, axis)
        pairs = list(tags.items() if isinstance(tags, Mapping) else tags)
        content = self._model.encode(samples, sr, channels, bitrate, quality, effort, pairs)
        return Compressed(content, self)

    def decode(
        self,
        x: Union[Compressed, bytes, Path],
        *,
        sr: Optional[int] = None,
        channels: Optional[int] = None,
        axis: int = -1,
    ) -> Tuple[Array, int]:
        """Decompresses a :class:`Compressed`, the content of a ``.spic`` file, or the file of this name.

        Returns float32 samples, which may exceed full scale a little, and their rate: shape (n,) for one channel, (2,
        n) for two, or (n, 2) with ``axis=0``. Length, rate and channels are those of the original; ``sr`` in Hz and
        ``channels`` ask for others.
        """
        samples, rate, count = self._model.decode(_content(x), sr, channels)
        if count > 1:
            samples = samples.reshape(-1, count)
            if axis in (-1, 1):
                samples = np.ascontiguousarray(samples.T)
        return samples, rate

    def read(self, path: Path) -> Compressed:
        """The ``.spic`` file of this name. Raises ``OSError`` or ``ValueError``."""
        return Compressed(_content(path), self)

    def features(self, wav: Samples, sr: int, *, axis: int = -1) -> Array:
        """What the network sees: log magnitudes of the mean of the channels at a fixed loudness, shape (bands, frames).

        256 bands to 12 kHz, 62.5 frames a second; frame ``t`` is centred on ``t * 0.016`` seconds. ``wav``, ``sr`` and
        ``axis`` are as in :meth:`encode`.
        """
        features, bands = self._model.features(mono(wav, axis), sr)
        return np.ascontiguousarray(features.reshape(-1, bands).T)

    def __reduce__(self) -> Tuple[Any, ...]:
        return load, (self._path,)

    def __repr__(self) -> str:
        return f"<Codec: model {self.id}>"


@functools.lru_cache(maxsize=1)
def _built_in() -> Codec:
    return Codec()


def load(path: Optional[Path] = None) -> Codec:
    """The codec with the built-in model, or with the model file ``path``. Raises ``OSError`` or ``ValueError``."""
    return _built_in() if path is None else Codec(path)


def read(path: Path) -> Compressed:
    """The ``.spic`` file of this name, for the built-in model. Raises ``OSError`` or ``ValueError``."""
    return load().read(path)


def info(path: Path) -> dict[str, Any]:
    """What a ``.spic`` file holds, as ``spiccato info --json`` prints it: sizes, rates, methods, damage, tags.

    Damaged chunks are listed under ``"damage"``. Raises ``ValueError`` only if the file is none or its header is
    damaged.
    """
    facts: dict[str, Any] = json.loads(load()._model.facts(_content(path)))
    return facts


def _content(x: Union[Compressed, bytes, Path]) -> bytes:
    if isinstance(x, Compressed):
        return x.bytes
    if isinstance(x, (bytes, bytearray, memoryview)):
        return bytes(x)
    with open(x, "rb") as file:
        return file.read()
