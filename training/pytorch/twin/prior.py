"""The prior of the events: format-spec.md, sections 7.9.2 to 7.9.4.

The model file has integers; here are real numbers that become those integers when they are multiplied by fixed units
and rounded. While it learns, the prior computes with the rounded numbers and passes gradients through the rounding
(quantisation-aware training), so that nothing is lost when they are stored.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .network import leaky_scan

# Integers in a nat of the logits.
NAT = 1024
# Integers in 1 of a trace: 100 for an event's largest input, then 8 binary places.
INPUT = 100
TRACE = INPUT * 256
# Traces lose four binary places on their way to the hidden channels, which have 15 bits.
MOST_HIDDEN = 32767 * 16 / TRACE
# Longest times in frames since the last event of all classes but the last two: longer, and never.
AGE_ENDS = (1, 2, 3, 4, 6, 8, 12, 20, 36, 80)
CLASSES = len(AGE_ENDS) + 2
# A bias moves by 2^-3 of the error of a prediction.
ADAPT_SHIFT = 3


class Round(torch.autograd.Function):
    """Rounds; gradients pass as if nothing had happened."""

    @staticmethod
    def forward(context, x):
        return x.round()

    @staticmethod
    def backward(context, gradient):
        return gradient


class Prior(nn.Module):
    """Predicts each event of a chunk from those before it."""

    def __init__(self, neurons: int, knots: int, channels: int = 256, output_shift: int = 8, chord_shift: int = 3):
        super().__init__()
        self.neurons = neurons
        self.rounded = True
        self.adapts = True
        self.input = nn.Parameter(torch.empty(neurons, channels).uniform_(-0.15, 0.15))
        self.hidden = nn.Parameter(torch.zeros(knots, channels))
        self.output = nn.Parameter(torch.empty(channels, neurons).uniform_(-0.06, 0.06))
        self.quality = nn.Parameter(torch.full((knots, neurons), -4.0))
        self.age = nn.Parameter(torch.zeros(CLASSES, neurons))
        self.chord = nn.Parameter(torch.zeros(neurons, neurons))
        shift = torch.tensor([1, 2, 3, 5]).repeat_interleave(-(-channels // 4))[:channels]
        self.register_buffer("shift", shift)
        self.register_buffer("shifts", torch.tensor([output_shift, chord_shift, ADAPT_SHIFT]))
        self.register_buffer("later", torch.ones(neurons, neurons).triu(1), persistent=False)

    def units(self) -> dict:
        """For each parameter its integers in 1, and the largest integer."""
        output_shift, chord_shift, _ = (int(s) for s in self.shifts)
        return {
            "input": (INPUT, 127),
            "hidden": (TRACE, 2**24),
            "output": (NAT * 2.0**output_shift / (16 * INPUT), 127),
            "quality": (NAT, 32767),
            "age": (NAT, 32767),
            "chord": (NAT / 2.0**chord_shift, 127),
        }

    def weights(self) -> dict:
        """The parameters, rounded to what integers can say."""
        weights = {name: getattr(self, name) for name in self.units()}
        weights["chord"] = weights["chord"] * self.later
        if not self.rounded:
            return weights
        units = self.units()
        return {n: Round.apply(w * units[n][0]).clamp(-units[n][1], units[n][1]) / units[n][0] for n, w in weights.items()}

    def information(self, events: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
        """Nats of each cell of whole chunks (batch, frames, neurons), which begin with nothing known."""
        w = self.weights()
        before = F.pad(events[:, :-1], (0, 0, 1, 0))
        traces = leaky_scan(before @ w["input"], 1 - 0.5 ** self.shift.float())
        hidden = (traces + (quality @ w["hidden"])[:, None]).clamp(0, MOST_HIDDEN)
        logits = hidden @ w["output"] + (quality @ w["quality"])[:, None] + events @ w["chord"]
        logits = logits + w["age"].gather(0, ages(events).flatten(0, 1)).view_as(logits)
        if self.adapts:
            logits = logits + self.adapted(logits.detach(), events)
        return F.softplus(logits.clamp(-11.1, 11.1)) - logits.clamp(-11.1, 11.1) * events

    @torch.no_grad()
    def adapted(self, logits: torch.Tensor, events: torch.Tensor) -> torch.Tensor:
        """Biases of the neurons, which follow the errors of the predictions."""
        shift = int(self.shifts[2])
        bias = torch.zeros_like(logits[:, 0])
        biases = torch.empty_like(logits)
        if shift == 0:
            return biases.zero_()
        for t in range(logits.shape[1]):
            biases[:, t] = bias
            error = events[:, t] - torch.sigmoid(logits[:, t] + bias)
            bias = (bias + error * 0.5**shift).clamp(-16, 16)
        return biases

    def integers(self) -> dict:
        """The tensors of a model file."""
        types = {"hidden": torch.int32, "quality": torch.int16, "age": torch.int16}
        with torch.no_grad():
            weights, units = self.weights(), self.units()
            stored = {f"prior.{n}": (w * units[n][0]).round().to(types.get(n, torch.int8)) for n, w in weights.items()}
        stored["prior.shift"] = self.shift.to(torch.uint8)
        stored["prior.scalars"] = torch.cat([self.shifts, self.shifts.new_zeros(1)]).to(torch.int32)
        return {name: tensor.cpu().contiguous() for name, tensor in stored.items()}

    @staticmethod
    def of_integers(stored: dict) -> "Prior":
        """The prior of a model file's tensors."""
        output_shift, chord_shift, adapt_shift, _ = stored["prior.scalars"].tolist()
        neurons, channels = stored["prior.input"].shape
        prior = Prior(neurons, len(stored["prior.hidden"]), channels, output_shift, chord_shift)
        prior.shift.copy_(stored["prior.shift"])
        prior.shifts[2] = adapt_shift
        with torch.no_grad():
            for name, (unit, _) in prior.units().items():
                getattr(prior, name).copy_(stored[f"prior.{name}"].float() / unit)
        return prior


@torch.no_grad()
def ages(events: torch.Tensor) -> torch.Tensor:
    """Class of the time since each neuron's last event before each frame."""
    frame = torch.arange(events.shape[1], device=events.device)[None, :, None]
    last = torch.where(events > 0, frame, -1).cummax(1).values
    last = F.pad(last[:, :-1], (0, 0, 1, 0), value=-1)
    ends = torch.tensor(AGE_ENDS, device=events.device)
    return torch.where(last < 0, CLASSES - 1, torch.bucketize(frame - last, ends))
