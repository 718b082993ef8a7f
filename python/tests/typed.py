"""How users call the package, for `mypy --strict`: what this file assumes of the types has to hold."""

from typing import Any, Dict, Tuple

import numpy as np
import numpy.typing as npt

import spiccato

wav: npt.NDArray[np.float32] = np.zeros((2, 24_000), np.float32)
codec: spiccato.Codec = spiccato.load()
x: spiccato.Compressed = codec.encode(wav, 24_000, bitrate=3, tags={"title": "Silence"})
content: bytes = x.bytes
figures: Tuple[float, float, int, int] = (x.kbps, x.seconds, x.sr, x.frames)
rows: Tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]] = x.csr
dense: npt.NDArray[Any] = x.dense(np.bool_)
decoded: Tuple[npt.NDArray[np.float32], int] = codec.decode(content, sr=48_000, channels=1)
facts: Dict[str, Any] = spiccato.info("sound.spic")
scores: Dict[str, float] = spiccato.metrics.all(wav, wav.T, 24_000)
one: float = spiccato.metrics.log_mel([0.0], [0.0], 24_000, axis=0)
x.save("sound.spic", replace=True)
