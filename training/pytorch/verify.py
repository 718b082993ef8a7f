"""Checks that this twin still computes what the committed fixture says, which a test of the crate `spiccato` compares with
its own results (codec/tests/twin.rs): so twin and crate agree.

    python verify.py             compares
    python verify.py --write     makes the fixture anew: testdata/twin/model.safetensors and expected.safetensors
"""

import argparse
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from twin import model_file
from twin.features import HOP, SAMPLE_RATE, Analysis, FeatureScale
from twin.network import Network, quality_features
from twin.prior import Prior

FOLDER = Path(__file__).resolve().parents[2] / "testdata" / "twin"
SIZES = dict(bands=256, neurons=32, width=24, hidden=40, taps=5, dilations=[1, 2], knots=4)
QUALITY = 0.4
GAIN = 1.5
# Every so many frames the fixture has the features of one.
EVERY = 4


def clip() -> torch.Tensor:
    """A second of a rising tone, decaying strokes of noise, and silence, as integers of 16 bits."""
    t = torch.arange(SAMPLE_RATE, dtype=torch.float64) / SAMPLE_RATE
    tone = 0.2 * torch.sin(2 * math.pi * (220 * t + 400 * t * t)) + 0.05 * torch.sin(2 * math.pi * 5000 * t)
    noise = torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    strokes = 0.1 * noise * torch.exp(-40 * (t % 0.3))
    return ((tone + strokes) * (t < 0.85) * 32767).round().to(torch.int16)


def made_up_model() -> bytes:
    """A small network with random weights whose neurons fire now and then, and a prior for it."""
    torch.manual_seed(1)
    network = Network(SIZES)
    prior = Prior(SIZES["neurons"], SIZES["knots"], channels=16)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith(".quality") or name.endswith(".bias"):
                weight.add_(0.3 * torch.randn_like(weight))
            elif name.endswith(".weight"):
                weight.mul_(1.5)
        network.features.mean.copy_(torch.linspace(0.5, -3.0, SIZES["bands"]))
        network.features.deviation.fill_(1.7)
        network.encoder.potential.bias.sub_(0.2)
        prior.hidden.add_(0.3 * torch.randn_like(prior.hidden))
        prior.quality.add_(1.5 + 0.5 * torch.randn_like(prior.quality))
        prior.age.add_(0.5 * torch.randn_like(prior.age))
        prior.chord.add_(0.3 * torch.randn_like(prior.chord))
    return model_file.content(network, FeatureScale.of_power(0.15), prior)


@torch.no_grad()
def computed(model: Path, samples: torch.Tensor) -> dict:
    network, scale, prior = model_file.load(model)
    quality = quality_features(torch.tensor([QUALITY]), network.sizes["knots"])
    features = scale.features(Analysis()(samples.float()[None] / 32768) * GAIN)
    potential = network.encode(features, quality)
    nearest = potential.abs().min().item()
    assert nearest > 1e-5, f"a potential of {nearest} may round to either side: take another seed"
    events = (potential > 0).float()
    decoded = network.decode(events, quality)
    bits = prior.information(events, quality).double().sum() / math.log(2)
    return {
        "clip": samples,
        "gain": torch.tensor([GAIN]),
        "quality": torch.tensor([QUALITY]),
        "features": features[0, ::EVERY].contiguous(),
        "events": events[0].to(torch.uint8).contiguous(),
        "decoded": decoded[0, ::EVERY].contiguous(),
        "bits": bits.float()[None],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="make the fixture anew")
    arguments = parser.parse_args()
    model, expected = FOLDER / "model.safetensors", FOLDER / "expected.safetensors"
    if arguments.write:
        FOLDER.mkdir(exist_ok=True)
        model.write_bytes(made_up_model())
        expected.write_bytes(save(computed(model, clip())))
        return
    fixture = load_file(expected)
    found = computed(model, fixture["clip"])
    share = found["events"].float().mean().item()
    print(f"{len(found['events'])} frames of {HOP} samples, {share:.1%} events, {found['bits'].item():.0f} bits")
    failed = False
    for name, tolerance in [("features", 1e-3), ("events", 0), ("decoded", 1e-3), ("bits", 1.0)]:
        difference = (found[name].double() - fixture[name].double()).abs().max().item()
        failed |= not difference <= tolerance
        print(f"{name}: largest difference {difference:.2g}, allowed {tolerance}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
