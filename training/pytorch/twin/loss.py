"""What training minimises (training/src/loss.rs): distortion of the features, the error of the frames' levels, and the
pressure on the rate."""

import math

import torch

from .features import FRAME_RATE, band_widths
from .network import Spike, quality_features

DB_PER_NEPER = 20 / math.log(10)
LEVEL_WEIGHT = 0.3
POTENTIAL_COST = 1e-4
# Pressure on the information in nats relative to that on the firing rate.
INFORMATION_SCALE = 0.4
# Share of the pressure that goes by the information; the rest by the firing rate.
INFORMATION_SHARE = 0.8
# Learning of the prior while it only watches.
WATCHING_WEIGHT = 0.1


class Objective:
    """The loss of a batch, and the control that leads the bitrate at each quality to what is asked for."""

    def __init__(self, network, prior, scale, kbps=(0.7, 12.0), device="cpu"):
        self.network, self.prior, self.device = network, prior, device
        self.floor = torch.tensor(scale.floor, device=device)
        self.widths = torch.tensor(band_widths(), dtype=torch.float32, device=device)
        self.kbps = kbps
        # Logarithm of what the pressure is multiplied by at each knot of the quality.
        self.control = torch.zeros(network.sizes["knots"], device=device)

    def level(self, features):
        """Level of each frame in nepers."""
        magnitudes = (features.exp() - self.floor).clamp(min=0)
        return 0.5 * torch.log(1 + magnitudes.square() @ self.widths)

    def __call__(self, features, quality, ramp: float, share: float):
        """`ramp` 0 to 1 raises the pressure, `share` 0 to 1 moves it to the information."""
        knots = quality_features(quality, self.network.sizes["knots"])
        pressure = ramp * 14.0 * (0.08 / 14.0) ** quality * (knots @ self.control).exp()
        potential = self.network.encode(features, knots).float()
        events = Spike.apply(potential)
        decoded = self.network.decode(events, knots).float()
        difference = decoded - features
        distortion = difference.abs().mean()
        loss = distortion + 0.5 * difference.square().mean()
        loss = loss + LEVEL_WEIGHT * (self.level(decoded) - self.level(features)).abs().mean()
        loss = loss + POTENTIAL_COST * potential.square().mean()
        share = share * INFORMATION_SHARE
        firing = torch.sigmoid(2 * potential).mean((1, 2))
        loss = loss + (firing * pressure).mean() * (1 - share)
        nats = self.prior.information(events if share > 0 else events.detach(), knots).mean((1, 2))
        if share > 0:
            loss = loss + (nats * pressure).mean() * share * INFORMATION_SCALE
        else:
            loss = loss + WATCHING_WEIGHT * nats.mean()
        kbps = nats.detach() * self.network.sizes["neurons"] / math.log(2) * FRAME_RATE / 1000
        return loss, distortion.item() * DB_PER_NEPER, kbps

    @torch.no_grad()
    def follow(self, quality, kbps):
        """Moves the pressure towards the asked bitrates."""
        low, high = self.kbps
        error = (kbps / (low * (high / low) ** quality) - 1).clamp(max=1.5)
        knots = quality_features(quality, len(self.control))
        self.control += 0.256 / len(quality) * (knots * error[:, None]).sum(0)
        self.control.clamp_(-4, 4)
