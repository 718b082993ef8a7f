"""The auto-encoder: format-spec.md, sections 10.1.2 to 10.1.5, and the surrogate gradient of its events."""

import math

import torch
from torch import nn
from torch.nn import functional as F

# The built-in model's sizes.
SIZES = dict(bands=256, neurons=512, width=320, hidden=768, taps=7, dilations=[1, 1, 2, 2, 4], knots=8)


class Spike(torch.autograd.Function):
    """1 where the membrane potential is above 0; triangular surrogate gradient of height 1/2 and width 2."""

    @staticmethod
    def forward(context, potential):
        context.save_for_backward(potential)
        return (potential > 0).to(potential.dtype)

    @staticmethod
    def backward(context, gradient):
        (potential,) = context.saved_tensors
        return gradient * 0.5 * (1 - potential.abs() / 2).clamp(min=0)


def gelu(x):
    """The sigmoid form of the Gaussian error linear unit (Hendrycks and Gimpel 2016)."""
    return x * torch.sigmoid(1.702 * x)


def quality_features(quality: torch.Tensor, knots: int) -> torch.Tensor:
    """Hat functions on equally spaced knots: (batch) to (batch, knots)."""
    position = quality.clamp(0, 1) * (knots - 1)
    below = position.long().clamp(max=knots - 2)
    share = (position - below)[:, None]
    hats = torch.zeros(len(quality), knots, device=quality.device)
    return hats.scatter(1, below[:, None], 1 - share).scatter(1, below[:, None] + 1, share)


def leaky_scan(x: torch.Tensor, decay: torch.Tensor, gain=1.0) -> torch.Tensor:
    """y[t] = decay * y[t-1] + gain * x[t] over dimension 1, as one convolution through Fourier transforms."""
    frames = x.shape[1]
    steps = torch.arange(frames, device=x.device, dtype=torch.float32)[:, None]
    response = torch.exp(steps * torch.log(decay.float())) * gain
    length = 2 * frames
    product = torch.fft.rfft(x.float(), length, dim=1) * torch.fft.rfft(response, length, dim=0)
    return torch.fft.irfft(product, length, dim=1)[:, :frames]


class Affine(nn.Module):
    """x · weight + bias, the weight (inputs, outputs)."""

    def __init__(self, inputs: int, outputs: int, scale: float = 1.0):
        super().__init__()
        bound = scale / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(1, outputs))

    def forward(self, x):
        return F.linear(x, self.weight.t(), self.bias[0])


class ConditionedAffine(Affine):
    """An affine map with a bias that depends on the quality."""

    def __init__(self, inputs: int, outputs: int, knots: int):
        super().__init__(inputs, outputs)
        self.quality = nn.Parameter(torch.zeros(knots, outputs))

    def forward(self, x, quality):
        return super().forward(x) + (quality @ self.quality)[:, None].to(x.dtype)


class Norm(nn.Module):
    """Root-mean-square norm with a gain."""

    def __init__(self, channels: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5) * self.gain).to(x.dtype)


class TimeConvolution(nn.Module):
    """Every channel with its own taps over time, zeros beyond the ends."""

    def __init__(self, taps: int, channels: int, dilation: int):
        super().__init__()
        bound = 1 / math.sqrt(taps)
        self.weight = nn.Parameter(torch.empty(taps, channels).uniform_(-bound, bound))
        self.dilation = dilation

    def forward(self, x):
        taps, frames = len(self.weight), x.shape[1]
        reach = taps // 2 * self.dilation
        padded = F.pad(x, (0, 0, reach, reach))
        shifted = (padded[:, k * self.dilation : k * self.dilation + frames] for k in range(taps))
        return sum(piece * tap.to(x.dtype) for piece, tap in zip(shifted, self.weight))


class Block(nn.Module):
    """x + perceptron(norm(convolution over time(x)))."""

    def __init__(self, sizes: dict, dilation: int):
        super().__init__()
        self.time = TimeConvolution(sizes["taps"], sizes["width"], dilation)
        self.norm = Norm(sizes["width"])
        self.up = Affine(sizes["width"], sizes["hidden"])
        self.down = Affine(sizes["hidden"], sizes["width"], scale=0.3)

    def forward(self, x):
        return x + self.down(gelu(self.up(self.norm(self.time(x)))))


class Blocks(nn.Module):
    """A side's blocks, by the names block0, block1, …"""

    def add_blocks(self, sizes: dict, dilations):
        self.count = len(dilations)
        for i, dilation in enumerate(dilations):
            self.add_module(f"block{i}", Block(sizes, dilation))

    def through_blocks(self, x):
        for i in range(self.count):
            x = getattr(self, f"block{i}")(x)
        return x


class Encoder(Blocks):
    """Normalised features to membrane potentials."""

    def __init__(self, sizes: dict):
        super().__init__()
        self.input = ConditionedAffine(sizes["bands"], sizes["width"], sizes["knots"])
        self.add_blocks(sizes, sizes["dilations"])
        self.norm = Norm(sizes["width"])
        self.potential = ConditionedAffine(sizes["width"], sizes["neurons"], sizes["knots"])
        nn.init.constant_(self.potential.bias, -1.0)

    def forward(self, features, quality):
        x = self.through_blocks(self.input(features, quality))
        return self.potential(self.norm(x), quality)


class Traces(Affine):
    """The input of the leaky traces, and their time constants in frames."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.log_time_constant = nn.Parameter(torch.linspace(0, math.log(200.0), outputs))

    def forward(self, events):
        decay = torch.exp(-torch.exp(-self.log_time_constant))
        return leaky_scan(super().forward(events), decay, (1 - decay.square()).clamp(min=1e-6).sqrt())


class Decoder(Blocks):
    """Events to normalised features."""

    def __init__(self, sizes: dict):
        super().__init__()
        self.events = ConditionedAffine(sizes["neurons"], sizes["width"], sizes["knots"])
        self.traces = Traces(sizes["neurons"], sizes["width"])
        self.add_blocks(sizes, sizes["dilations"][::-1])
        self.norm = Norm(sizes["width"])
        self.output = Affine(sizes["width"], sizes["bands"])

    def forward(self, events, quality):
        x = self.events(events, quality) + self.traces(events).to(events.dtype)
        return self.output(self.norm(self.through_blocks(x))).float()


class Statistics(nn.Module):
    """Offset and scale of the features; not learned."""

    def __init__(self, bands: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("deviation", torch.ones(1))


class Network(nn.Module):
    """Encoder and decoder on sequences (batch, frames, channels). Its state is a model file's, name by name."""

    def __init__(self, sizes: dict):
        super().__init__()
        self.sizes = dict(sizes)
        self.features = Statistics(sizes["bands"])
        self.encoder = Encoder(sizes)
        self.decoder = Decoder(sizes)

    def encode(self, features, quality):
        """Membrane potentials; `quality` as quality_features gives it."""
        return self.encoder((features - self.features.mean) / self.features.deviation, quality)

    def decode(self, events, quality):
        """Features."""
        return self.decoder(events, quality) * self.features.deviation + self.features.mean
