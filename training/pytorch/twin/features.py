"""Samples at 24 kHz to the features that the network sees: format-spec.md, sections 10.2.1 to 10.2.3."""

import numpy as np
import torch

SAMPLE_RATE = 24_000
WINDOW = 1536
HOP = 384
BINS = WINDOW // 2 + 1
BANDS = 256
LOW_BINS = 168
FRAME_RATE = SAMPLE_RATE / HOP

# Root mean square that the loudness gain brings a signal to: -22 dB of full scale.
TARGET_RMS = 10 ** (-22 / 20)


def band_edges() -> np.ndarray:
    """Band b is made of the bins edges[b] to edges[b + 1] - 1: single bins, then equal steps of ERB-rate."""

    def erb_rate(hertz):
        return 21.4 * np.log10(1 + 0.00437 * hertz)

    def hertz_of(rate):
        return (10 ** (rate / 21.4) - 1) / 0.00437

    bin_width = SAMPLE_RATE / WINDOW
    low, high = erb_rate(LOW_BINS * bin_width), erb_rate(SAMPLE_RATE / 2)
    wide = BANDS - LOW_BINS
    inner = hertz_of(low + (high - low) / wide * np.arange(1, wide)) / bin_width
    return np.concatenate([np.arange(LOW_BINS + 1), np.round(inner).astype(int), [BINS]])


def band_widths() -> np.ndarray:
    """Bins of each band."""
    return np.diff(band_edges())


class Analysis(torch.nn.Module):
    """Samples (batch, samples) to band magnitudes (batch, frames, BANDS); frame t is centred on sample t * HOP."""

    def __init__(self):
        super().__init__()
        edges = band_edges()
        means = np.zeros((BINS, BANDS), np.float32)
        for band in range(BANDS):
            means[edges[band] : edges[band + 1], band] = 1 / (edges[band + 1] - edges[band])
        self.register_buffer("means", torch.from_numpy(means), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(
            samples, WINDOW, HOP, window=self.window, center=True, pad_mode="constant", return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(-1).transpose(1, 2)
        return (power @ self.means).sqrt()


class FeatureScale:
    """The scale between magnitudes and features, a property of a model: a floor for each band, and a gate."""

    def __init__(self, floor, gate: float = 0.0):
        self.floor = [float(f) for f in floor]
        self.gate = float(gate)

    @staticmethod
    def first() -> "FeatureScale":
        """That of the first models, whose files don't say it."""
        return FeatureScale([0.3] * BANDS, 0.03)

    @staticmethod
    def of_power(floor: float) -> "FeatureScale":
        """The same power in every band at the floor, and no gate."""
        return FeatureScale(floor / np.sqrt(band_widths()))

    def features(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """Features of magnitudes at normal loudness."""
        return torch.log(magnitudes + torch.tensor(self.floor, device=magnitudes.device))

    def magnitudes(self, features: torch.Tensor) -> torch.Tensor:
        """Magnitudes of features, at normal loudness."""
        m = (features.exp() - torch.tensor(self.floor, device=features.device)).clamp(0, 1e6)
        return m * m / (m + self.gate) if self.gate > 0 else m
