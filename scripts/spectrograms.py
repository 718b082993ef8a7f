#!/usr/bin/env python3
"""Draws the spectrograms of an original and of its decoded form above each other, as in the README:

    spiccato compress testdata/piano/prelude.flac prelude.spic --bitrate 3
    spiccato decompress prelude.spic prelude.wav
    python3 scripts/spectrograms.py testdata/piano/prelude.flac prelude.wav prelude.spic docs/figures/prelude.png

The .spic file is read for its size only. Needs `pip install matplotlib numpy soundfile`.
"""
import os
import sys

import matplotlib
import numpy as np
import soundfile

matplotlib.use("Agg")
import matplotlib.pyplot as plt

WINDOW, HOP = 4096, 512
SECONDS = 15
FREQUENCIES = np.geomspace(60, 12_000, 280)


def spectrogram(path):
    """Power in dB at FREQUENCIES (rows) over time (columns), channels mixed to one."""
    samples, rate = soundfile.read(path, always_2d=True)
    samples = samples.mean(axis=1)[: SECONDS * rate]
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))) ** 2
    bins = np.fft.rfftfreq(WINDOW, 1 / rate)
    return 10 * np.log10(np.array([np.interp(FREQUENCIES, bins, row) for row in power]).T + 1e-12)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    original, decoded, coded, picture = sys.argv[1:]
    info = soundfile.info(original)
    kbps = os.path.getsize(coded) * 8 / info.duration / 1000
    pcm = info.samplerate * info.channels * 16 / 1000
    panels = [(f"Original: {pcm:,.0f} kbit/s as 16-bit PCM", original), (f"Spiccato: {kbps:.1f} kbit/s", decoded)]
    figure, axes = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
    for axis, (title, path) in zip(axes, panels):
        levels = spectrogram(path)
        if axis is axes[0]:
            top = levels.max()
        axis.pcolormesh(
            np.linspace(0, SECONDS, levels.shape[1]), FREQUENCIES, levels, vmin=top - 80, vmax=top, cmap="magma",
            rasterized=True,
        )
        axis.set(yscale="log", ylabel="Hz", title=title)
        axis.set_yticks([100, 1000, 10_000], ["100", "1,000", "10,000"])
        axis.minorticks_off()
    axes[1].set_xlabel("seconds")
    figure.savefig(picture, dpi=100, pil_kwargs={"optimize": True})
    # A palette makes the file a third as large, and the colour map has no more colours than that.
    from PIL import Image

    Image.open(picture).convert("RGB").quantize(64).save(picture, optimize=True)


if __name__ == "__main__":
    main()
