"""One training step of Spiccato's network in PyTorch on the CPU, to compare the trainer's speed with.

    python3 -m venv /tmp/pytorch
    /tmp/pytorch/bin/pip install torch==2.9.1 numpy==2.4.6
    /tmp/pytorch/bin/python benches/pytorch/train_step.py --threads 2 --spiccato target/release/spiccato --data FOLDER

The sizes of docs/training-small.toml: 24 crops of 128 frames, two stacks of five blocks of width 256, 512 neurons;
forward, loss, backward, clipping, AdamW and the running average of the weights, all in float32. PyTorch is given its
features ready made and random, while `spiccato train` reads its crops from disk and analyses them. With `--spiccato` and
`--data` both are timed in turns, so that other work on the machine meets both alike. `--cpu` counts processor time instead of
wall-clock time, for a machine that is not quiet; it makes sense with `--threads 1` only, because threads that wait for each
other by spinning burn it.

See training/src/{step,loss,prior}.rs and codec/src/network/ for what this mirrors.
"""

import argparse
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

BANDS, NEURONS, WIDTH, HIDDEN, TAPS, KNOTS = 256, 512, 256, 512, 7, 8
DILATIONS = (1, 1, 2, 2, 4)
BATCH, FRAMES, FRAME_SECONDS = 24, 128, 384 / 24000
PRIOR_CHANNELS, AGE_ENDS = 256, (1, 2, 3, 4, 6, 8, 12, 20, 36, 80)


class Spike(torch.autograd.Function):
    """1 where the membrane potential is above 0; backwards a triangle of height 1/2 and half-width 2."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return (v > 0).float()

    @staticmethod
    def backward(ctx, grad):
        (v,) = ctx.saved_tensors
        return grad * (1 - v.abs() / 2).clamp_(min=0).mul_(0.5)


class Block(nn.Module):
    """Depthwise convolution over time, norm, perceptron; all channels last but for the convolution."""

    def __init__(self, dilation):
        super().__init__()
        padding = TAPS // 2 * dilation
        self.time = nn.Conv1d(WIDTH, WIDTH, TAPS, padding=padding, dilation=dilation, groups=WIDTH, bias=False)
        self.norm = nn.RMSNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x):
        h = self.time(x.transpose(1, 2)).transpose(1, 2)
        return x + self.down(F.gelu(self.up(self.norm(h)), approximate="tanh"))


class Conditioned(nn.Module):
    """Linear layer whose bias depends on the quality."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.affine, self.quality = nn.Linear(inputs, outputs), nn.Linear(KNOTS, outputs, bias=False)

    def forward(self, x, quality):
        return self.affine(x) + self.quality(quality)[:, None]


def leaky(u, decay, gain):
    """Leaky integration over time as a causal convolution by Fourier transform, the quickest way without a kernel."""
    frames = u.shape[1]
    response = decay[None] ** torch.arange(frames)[:, None] * gain
    spectrum = torch.fft.rfft(u, 2 * frames, dim=1) * torch.fft.rfft(response, 2 * frames, dim=0)[None]
    return torch.fft.irfft(spectrum, 2 * frames, dim=1)[:, :frames]


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = Conditioned(BANDS, WIDTH)
        self.encoder = nn.ModuleList(Block(d) for d in DILATIONS)
        self.encoder_norm, self.potential = nn.RMSNorm(WIDTH), Conditioned(WIDTH, NEURONS)
        self.events, self.traces = Conditioned(NEURONS, WIDTH), nn.Linear(NEURONS, WIDTH)
        self.log_time_constant = nn.Parameter(torch.linspace(0, torch.log(torch.tensor(200.0)).item(), WIDTH))
        self.decoder = nn.ModuleList(Block(d) for d in reversed(DILATIONS))
        self.decoder_norm, self.output = nn.RMSNorm(WIDTH), nn.Linear(WIDTH, BANDS)
        nn.init.constant_(self.potential.affine.bias, -1.0)

    def forward(self, features, quality):
        h = self.input(features, quality)
        for block in self.encoder:
            h = block(h)
        potential = self.potential(self.encoder_norm(h), quality)
        events = Spike.apply(potential)
        decay = torch.exp(-torch.exp(-self.log_time_constant))
        traces = leaky(self.traces(events), decay, torch.sqrt(1 - decay * decay))
        h = self.events(events, quality) + traces
        for block in self.decoder:
            h = block(h)
        return potential, events, self.output(self.decoder_norm(h))


class Prior(nn.Module):
    """Logits of the events from past events: traces through a hidden layer, ages, the chord so far, the quality."""

    def __init__(self):
        super().__init__()
        self.input = nn.Linear(NEURONS, PRIOR_CHANNELS, bias=False)
        self.hidden_quality = nn.Linear(KNOTS, PRIOR_CHANNELS, bias=False)
        self.out = nn.Linear(PRIOR_CHANNELS, NEURONS, bias=False)
        self.quality = nn.Linear(KNOTS, NEURONS, bias=False)
        self.age = nn.Parameter(torch.zeros(len(AGE_ENDS) + 2, NEURONS))
        self.chord = nn.Parameter(torch.zeros(NEURONS, NEURONS))
        shifts = torch.tensor([1.0, 2.0, 3.0, 5.0]).repeat_interleave(PRIOR_CHANNELS // 4)
        self.register_buffer("decay", 1 - 0.5**shifts)
        self.register_buffer("later", torch.ones(NEURONS, NEURONS).triu(1))
        self.register_buffer("ends", torch.tensor(AGE_ENDS))
        nn.init.constant_(self.quality.weight, -4.0)

    def ages(self, events):
        """Bucket of the frames since each neuron's last event."""
        frame = torch.arange(events.shape[1])[None, :, None]
        last = torch.where(events > 0, frame, -1000).cummax(1).values
        before = F.pad(last[:, :-1], (0, 0, 1, 0), value=-1000)
        buckets = torch.bucketize(frame - before, self.ends)
        return torch.where(before < 0, len(AGE_ENDS) + 1, buckets)

    def forward(self, events, quality):
        before = F.pad(events[:, :-1], (0, 0, 1, 0))
        traces = leaky(self.input(before), self.decay, 1.0)
        hidden = F.relu(traces + self.hidden_quality(quality)[:, None])
        logits = self.out(hidden) + self.quality(quality)[:, None] + events @ (self.chord * self.later)
        with torch.no_grad():
            ages = self.ages(events)
        logits = logits + self.age.gather(0, ages.flatten(0, 1)).view_as(events)
        return F.softplus(logits) - logits * events


def loss(network, prior, features, quality, pressure, power_weights):
    potential, events, rendered = network(features, quality)
    difference = rendered - features
    absolute = difference.abs().mean()
    level = lambda x: 0.5 * torch.log(1 + F.relu(x.exp() - 0.3).square() @ power_weights)
    total = absolute + 0.5 * difference.square().mean()
    total = total + 0.3 * (level(rendered) - level(features)).abs().mean()
    share = 0.8 if prior is not None else 0.0
    total = total + (torch.sigmoid(2 * potential).mean((1, 2)) * pressure).mean() * (1 - share)
    total = total + 1e-4 * potential.square().mean()
    if prior is not None:
        total = total + (prior(events, quality).mean((1, 2)) * pressure).mean() * (share * 0.4)
    return total


class Torch:
    """The step in PyTorch."""

    def __init__(self, with_prior):
        torch.manual_seed(0)
        self.network, self.prior = AutoEncoder(), Prior() if with_prior else None
        modules = [self.network] + ([self.prior] if with_prior else [])
        self.parameters = [p for module in modules for p in module.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
        self.averages = [p.detach().clone() for p in self.parameters]
        self.features = torch.randn(BATCH, FRAMES, BANDS)
        self.quality = torch.rand(BATCH, KNOTS)
        self.pressure = torch.rand(BATCH)
        self.power_weights = torch.ones(BANDS)

    def step(self):
        total = loss(self.network, self.prior, self.features, self.quality, self.pressure, self.power_weights)
        self.optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.parameters, 0.002)
        return total.item()

    def seconds(self, steps, clock):
        """Time of so many steps."""
        start = clock()
        for _ in range(steps):
            self.step()
        return clock() - start


CONFIGURATION = Path(__file__).parents[2] / "docs" / "training-small.toml"


def children_cpu():
    """Processor time of the programs that were run."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def spiccato_seconds(arguments, steps, clock):
    """Time of so many steps of `spiccato train`: a run of two more than that less a run of two."""

    def run(count):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            command = [arguments.spiccato, "train", "--data", arguments.data, "--out", out, "--quiet"]
            command += ["--config", CONFIGURATION]
            start, ramp = (0.0, "[0.0, 0.0]") if arguments.prior else (1.0, "[1.0, 1.0]")
            settings = {"steps": count, "prior.start": start, "prior.information_ramp": ramp}
            for key, value in settings.items():
                command += ["--set", f"{key}={value}"]
            command += ["--threads", str(arguments.threads)]
            if arguments.cache:
                command += ["--cache", arguments.cache]
            begin = clock()
            subprocess.run(command, check=True)
            return clock() - begin

    return run(steps + 2) - run(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--prior", action="store_true", help="with the prior learning, as in the later part of a run")
    parser.add_argument("--spiccato", help="the program to compare with")
    parser.add_argument("--data", help="folder to train it on")
    parser.add_argument("--cache", help="its decoded audio")
    parser.add_argument("--cpu", action="store_true", help="count processor time")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    reference = Torch(arguments.prior)
    reference.seconds(3, time.perf_counter)
    audio = arguments.steps * BATCH * FRAMES * FRAME_SECONDS
    rows = []
    for turn in range(arguments.turns):
        theirs = audio / reference.seconds(arguments.steps, time.process_time if arguments.cpu else time.perf_counter)
        row = f"turn {turn + 1}: PyTorch {torch.__version__} {theirs:.1f} x real time"
        if arguments.spiccato:
            ours = audio / spiccato_seconds(arguments, arguments.steps, children_cpu if arguments.cpu else time.perf_counter)
            row += f", spiccato {ours:.1f} x, ratio {ours / theirs:.2f}"
            rows.append((theirs, ours, ours / theirs))
        else:
            rows.append((theirs,))
        print(row, flush=True)
    names = ("PyTorch", "spiccato", "ratio")
    for name, values in zip(names, zip(*rows)):
        print(f"{name}: median {statistics.median(values):.2f}, from {min(values):.2f} to {max(values):.2f}")


if __name__ == "__main__":
    main()
