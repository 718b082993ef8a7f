"""Model files: format-spec.md, section 10.1.1."""

import json

import torch
from safetensors import safe_open
from safetensors.torch import save

from .features import FeatureScale
from .network import Network
from .prior import Prior

DESCRIPTION = "spiccato.network"


def load(path) -> tuple:
    """Network, scale of the features, and prior or None."""
    with safe_open(path, "pt") as file:
        description = json.loads(file.metadata()[DESCRIPTION])
        stored = {name: file.get_tensor(name) for name in file.keys()}
    scale = FeatureScale.first()
    if "floor" in description:
        scale = FeatureScale(description.pop("floor"), description.pop("gate"))
    network = Network(description)
    weights = {}
    for name, tensor in stored.items():
        if tensor.dtype == torch.int8 and not name.startswith("prior."):
            weights[name] = tensor.float() * stored[f"{name}.scale"]
        elif tensor.dtype == torch.float16:
            weights[name] = tensor.float()
    network.load_state_dict(weights)
    prior = Prior.of_integers(stored) if "prior.scalars" in stored else None
    return network, scale, prior


def content(network: Network, scale: FeatureScale, prior=None, in_bytes: bool = True) -> bytes:
    """What a model file holds: matrices as integers of 8 bits with a scale for each column, or in half precision."""
    stored = prior.integers() if prior is not None else {}
    for name, weight in network.state_dict().items():
        weight = weight.detach().float().cpu()
        assert torch.isfinite(weight).all(), f"{name} is not finite"
        if in_bytes and weight.ndim == 2 and name.endswith(".weight"):
            steps = weight.abs().amax(0) / 127
            stored[name] = (weight / steps.clamp(min=1e-30)).round().to(torch.int8).contiguous()
            stored[f"{name}.scale"] = steps
        else:
            stored[name] = weight.half().contiguous()
            assert torch.isfinite(stored[name]).all(), f"{name} is beyond half precision"
    description = dict(network.sizes)
    first = FeatureScale.first()
    if (scale.floor, scale.gate) != (first.floor, first.gate):
        description.update(floor=[float(f"{f:.7g}") for f in scale.floor], gate=scale.gate)
    return save(stored, {DESCRIPTION: json.dumps(description)})
