"""Draws the events over the features that the network sees, and the decoded sound below.

    python raster.py [FILE.spic] [OUT.png]

matplotlib is needed. Cells begin with # %%, so that editors run them one by one, like a notebook. Without a file, a few
notes are encoded first.
"""

# %%
import sys

import matplotlib.pyplot as plt
import numpy as np

import spiccato

codec = spiccato.load()

# %% a file, or three notes
if len(sys.argv) > 1:
    x = spiccato.read(sys.argv[1])
else:
    time = np.arange(72_000) / 24_000
    starts = zip([261.6, 329.6, 392.0], [0.1, 1.0, 1.9])
    wav = sum(0.2 * np.sin(2 * np.pi * f * time) * np.exp(-2 * (time - t)) * (time > t) for f, t in starts)
    x = codec.encode(wav, 24_000, bitrate=3)
wav, sr = codec.decode(x, channels=1)
print(x)

# %% features of the decoded sound as a picture, one dot for each event
figure, (above, below) = plt.subplots(2, 1, figsize=(12, 7), sharex=True, height_ratios=[3, 1], layout="constrained")
features = codec.features(wav, sr)
seconds = x.frames / 62.5
above.imshow(features, origin="lower", aspect="auto", extent=(0, seconds, 0, x.neurons), cmap="Greys")
indptr, frames = x.csr
neurons = np.repeat(np.arange(x.neurons), np.diff(indptr))
above.scatter(frames / 62.5, neurons, s=2, color="tab:red", label=f"{len(frames)} events")
above.set(ylabel="neuron, over the bands from low to high", title=repr(x))
above.legend(loc="upper right")
below.plot(np.arange(len(wav)) / sr, wav, linewidth=0.4, color="black")
below.set(xlabel="seconds", ylabel="decoded", xlim=(0, seconds))
figure.savefig(sys.argv[2] if len(sys.argv) > 2 else "raster.png", dpi=120)
