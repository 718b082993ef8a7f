"""Trains network and prior for a fixed time or number of steps, from nothing or from a model file.

    python train.py --data SHARDS --out RUN --seconds 560 --device cuda:0
    python train.py --data SHARDS --out RUN --seconds 1800 --initial models/default.safetensors
    python train.py --data SHARDS --out RUN --steps 400 --initial MODEL --only-prior

Writes RUN/model.safetensors now and then, and at the end.
"""

import argparse
import math
import time
from pathlib import Path

import torch

from twin import model_file
from twin.crops import Corpus, Crops
from twin.features import FRAME_RATE, FeatureScale
from twin.loss import Objective
from twin.network import SIZES, Network, quality_features
from twin.prior import Prior

# Shares of the run between which the pressure rises and then moves to the information.
PRESSURE_RAMP, INFORMATION_RAMP = (0.01, 0.10), (0.12, 0.17)
# Share of the run, at its end, over which the learning rate falls to zero.
COOL_DOWN = 0.55
WARM_UP = 200


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of shards, see twin/corpus.py")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument("--initial", help="model file to begin with")
    parser.add_argument("--only-prior", action="store_true", help="leave the network as it is")
    parser.add_argument("--seconds", type=float, help="length of the run")
    parser.add_argument("--steps", type=int, help="length of the run, instead of a time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--frames", type=int, default=192, help="frames of a crop; a chunk of a file has 384")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--floor", type=float, default=0.15, help="floor of power of the features, for a new model")
    parser.add_argument("--kbps", type=float, nargs=2, default=(0.7, 12.0), help="bitrates at quality 0 and 1")
    parser.add_argument("--shares", default="piano=0.6,music=0.24,speech=0.1,general=0.06", help="of the kinds")
    parser.add_argument("--hours", type=float, default=1e9, help="hours of the corpus to load at most")
    parser.add_argument("--averaging", type=float, default=0.999)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if (options.seconds is None) == (options.steps is None):
        parser.error("give --seconds or --steps")
    return options


def between(x, limits):
    """0 before the first limit, 1 after the second, a line between them."""
    return min(1.0, max(0.0, (x - limits[0]) / (limits[1] - limits[0])))


class Run:
    def __init__(self, options):
        self.options, self.begin = options, time.monotonic()
        torch.manual_seed(options.seed)
        torch.set_float32_matmul_precision("high")
        if options.initial:
            self.network, self.scale, self.prior = model_file.load(options.initial)
        else:
            self.network, self.scale, self.prior = Network(SIZES), FeatureScale.of_power(options.floor), None
        sizes = self.network.sizes
        self.prior = self.prior or Prior(sizes["neurons"], sizes["knots"])
        self.network.to(options.device)
        self.prior.to(options.device)
        shares = {k: float(v) for k, v in (part.split("=") for part in options.shares.split(","))}
        corpus = Corpus(options.data, shares, options.device, options.hours)
        self.crops = Crops(corpus, self.scale, options.frames, options.device)
        self.objective = Objective(self.network, self.prior, self.scale, options.kbps, options.device)
        if not options.initial:
            features = torch.cat([self.crops.batch(options.batch) for _ in range(4)])
            self.network.features.mean.copy_(features.mean((0, 1)))
            self.network.features.deviation.copy_((features - self.network.features.mean).square().mean().sqrt())
        modules = [self.prior] if options.only_prior else [self.network, self.prior]
        self.parameters = [p for module in modules for p in module.parameters()]
        matrices = [p for p in self.parameters if p.ndim == 2 and len(p) > 16]
        others = [p for p in self.parameters if not (p.ndim == 2 and len(p) > 16)]
        decay = 0.0 if options.only_prior else 0.01
        groups = [dict(params=matrices, weight_decay=decay), dict(params=others, weight_decay=0.0)]
        self.optimizer = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))
        self.averages = [p.detach().clone() for p in self.parameters]
        print(f"{corpus.hours:.1f} h of audio, {sum(p.numel() for p in self.parameters)} weights to train", flush=True)

    def done(self, step: int) -> float:
        """Share of the run that is over."""
        if self.options.steps:
            return step / self.options.steps
        return (time.monotonic() - self.begin) / self.options.seconds

    def save(self):
        """The averaged weights as a model file."""
        kept = [p.detach().clone() for p in self.parameters]
        with torch.no_grad():
            torch._foreach_copy_(self.parameters, self.averages)
            content = model_file.content(self.network, self.scale, self.prior)
            torch._foreach_copy_(self.parameters, kept)
        self.options.out.mkdir(parents=True, exist_ok=True)
        (self.options.out / "model.safetensors").write_bytes(content)

    def loss(self, done: float):
        options = self.options
        features = self.crops.batch(options.batch)
        quality = torch.rand(options.batch, device=options.device)
        if options.only_prior:
            knots = quality_features(quality, self.network.sizes["knots"])
            with torch.no_grad():
                events = (self.network.encode(features, knots) > 0).float()
            nats = self.prior.information(events, knots).sum(2).mean(1)
            kbps = nats.detach() / math.log(2) * FRAME_RATE / 1000
            # Relative to the bits of each quality, so that every rate counts the same.
            return (nats / (nats.detach() + 1)).mean() + nats.mean() / 200, 0.0, kbps
        fresh = not options.initial
        ramp = between(done, PRESSURE_RAMP) if fresh else 1.0
        share = between(done, INFORMATION_RAMP) if fresh else 1.0
        with torch.autocast(options.device.split(":")[0], torch.bfloat16, enabled=options.device.startswith("cuda")):
            loss, distortion, kbps = self.objective(features, quality, ramp, share)
        if share > 0:
            self.objective.follow(quality, kbps)
        return loss, distortion, kbps

    def train(self):
        step, told, saved = 0, 0.0, time.monotonic()
        while (done := self.done(step)) < 1:
            rate = self.options.rate * min(1.0, (step + 1) / WARM_UP, (1 - done) / COOL_DOWN)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss, distortion, kbps = self.loss(done)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            step += 1
            keep = min(self.options.averaging, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(self.averages, [p.detach() for p in self.parameters], 1 - keep)
            now = time.monotonic()
            if now - told > 10:
                told = now
                figures = f"loss {loss.item():.4f}, {distortion:.3f} dB, {kbps.mean():.3f} kbit/s"
                print(f"step {step}, {now - self.begin:.0f} s, {figures}, rate {rate:.5f}", flush=True)
            if now - saved > 120:
                saved = now
                self.save()
        self.save()
        hours = step * self.options.batch * self.options.frames / FRAME_RATE / 3600
        print(f"{step} steps, {hours:.1f} h of audio: {self.options.out / 'model.safetensors'}")


if __name__ == "__main__":
    Run(arguments()).train()
