#!/usr/bin/env python3
"""Makes the fixtures of the NIR tests with Norse and snnTorch, and reads what the library has exported.

Usage: python3 -m venv nir && nir/bin/pip install nir==1.0.8 snntorch==1.0.0 norse==1.1.0 torch
       nir/bin/python snn/tests/nir/fixtures.py make     writes NAME.nir (the graph) and NAME.json (input and output) beside itself
       nir/bin/python snn/tests/nir/fixtures.py check    reads exported.nir by `nir` and runs it in snnTorch and by NumPy

snnTorch's graphs come from its own export. The version of Norse on PyPI has none, so its graphs are written here from the
parameters of its neurons, by the equations of both. Input are spikes, 60 steps; output is what the last node gives in each.
"""
import json
import pathlib
import sys

import nir
import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
STEPS = 60


def spikes(channels, rate, seed, shape=None):
    drawn = np.random.default_rng(seed).random((STEPS, channels)) < rate
    return drawn.astype(np.float32).reshape((STEPS, *(shape or (channels,))))


def weights(outputs, inputs, seed, mean=0.3, deviation=0.6):
    return np.random.default_rng(seed).normal(mean, deviation, (outputs, inputs)).astype(np.float32)


def save(name, graph, dt, x, y):
    nir.write(HERE / f"{name}.nir", graph)
    x, y = (np.asarray(a, dtype=np.float64).reshape(STEPS, -1) for a in (x, y))
    fired = float((y > 0).mean())
    print(f"{name}: {y.shape[1]} outputs, {fired:.3f} of the values above 0")
    record = {"dt": dt, "inputs": x.astype(int).tolist(), "outputs": np.round(y, 6).tolist()}
    (HERE / f"{name}.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")


def full(n, value):
    return np.full(n, value, dtype=np.float32)


def norse_fixtures():
    import norse.torch.functional as F
    from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step
    from norse.torch.functional.leaky_integrator import LIParameters, LIState, li_step
    from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters, iaf_feed_forward_step
    from norse.torch.functional.lif import LIFParameters, LIFState, lif_step

    dt, t = 1e-3, torch.tensor
    # Spikes through weights to leaky neurons, another affine map, and a leaky integrator of currents.
    x, first, second = spikes(6, 0.3, 1), weights(8, 6, 2, 0.8, 1.5), weights(3, 8, 3)
    bias = np.linspace(-0.2, 0.4, 8).astype(np.float32)
    box = LIFBoxParameters(tau_mem_inv=t(1 / 8e-3), v_leak=t(0.1), v_th=t(0.4), v_reset=t(-0.1))
    readout = LIParameters(tau_syn_inv=t(1 / 5e-3), tau_mem_inv=t(1 / 1e-2), v_leak=t(0.0))
    state, li, outputs = LIFBoxFeedForwardState(v=torch.zeros(8)), LIState(v=torch.zeros(3), i=torch.zeros(3)), []
    for step in torch.from_numpy(x):
        z, state = lif_box_feed_forward_step(first_out(first, bias, step), state, box, dt)
        v, li = li_step(z, li, torch.from_numpy(second), readout, dt)
        outputs.append(v.numpy())
    graph = nir.NIRGraph.from_list(
        nir.Input(np.array([6])),
        nir.Affine(first, bias),
        nir.LIF(full(8, 8e-3), full(8, 1), full(8, 0.1), full(8, 0.4), full(8, -0.1)),
        nir.Linear(second),
        # Norse's current jumps by the weight, NIR's by w_in·dt/τ.
        nir.CubaLI(tau_syn=full(3, 5e-3), tau_mem=full(3, 1e-2), r=full(3, 1), v_leak=full(3, 0), w_in=full(3, 5e-3 / dt)),
        nir.Output(np.array([3])),
    )
    save("norse_lif_li", graph, dt, x, outputs)

    # Recurrent neurons with synaptic currents.
    x, first, recurrent = spikes(5, 0.25, 4), weights(7, 5, 5, 1.0, 1.5), weights(7, 7, 6, 0.0, 1.5)
    cuba = LIFParameters(tau_syn_inv=t(1 / 4e-3), tau_mem_inv=t(1 / 9e-3), v_leak=t(0.0), v_th=t(0.6), v_reset=t(0.05))
    state, outputs = LIFState(z=torch.zeros(7), v=torch.zeros(7), i=torch.zeros(7)), []
    for step in torch.from_numpy(x):
        z, state = lif_step(step[None], state, torch.from_numpy(first), torch.from_numpy(recurrent), cuba, dt)
        outputs.append(z[0].numpy())
    nodes = {
        "input": nir.Input(np.array([5])),
        "first": nir.Linear(first),
        "neurons": nir.CubaLIF(
            tau_syn=full(7, 4e-3), tau_mem=full(7, 9e-3), r=full(7, 1), v_leak=full(7, 0), v_threshold=full(7, 0.6),
            v_reset=full(7, 0.05), w_in=full(7, 4e-3 / dt),
        ),
        "recurrent": nir.Linear(recurrent),
        "output": nir.Output(np.array([7])),
    }
    edges = [("input", "first"), ("first", "neurons"), ("neurons", "recurrent"), ("recurrent", "neurons"), ("neurons", "output")]
    save("norse_recurrent_cubalif", nir.NIRGraph(nodes, edges), dt, x, outputs)

    # A convolution in time is one over the channels of a step; sums of fields of maps; integrate-and-fire without leak.
    x = spikes(2 * 6 * 6, 0.15, 7, (2, 6, 6))
    kernel = np.random.default_rng(8).normal(0.2, 0.5, (3, 2, 3, 3)).astype(np.float32)
    shift, line = np.array([0.1, -0.1, 0.0], np.float32), weights(4, 9 * 3, 9).reshape(4, 3, 9)[:, :, :5]
    first, second = IAFParameters(v_th=t(1.5), v_reset=t(0.2)), IAFParameters(v_th=t(2.0), v_reset=t(0.0))
    states, outputs = [IAFFeedForwardState(v=torch.zeros(3, 3, 3)), IAFFeedForwardState(v=torch.zeros(4, 3))], []
    for step in torch.from_numpy(x):
        maps = torch.nn.functional.conv2d(step[None], torch.from_numpy(kernel), torch.from_numpy(shift), padding=1)
        pooled = torch.nn.functional.avg_pool2d(maps, 2, divisor_override=1)[0]
        z, states[0] = iaf_feed_forward_step(pooled, states[0], first)
        current = torch.nn.functional.conv1d(z.reshape(1, 3, 9), torch.from_numpy(line.copy()), stride=2, padding=0)[0]
        z, states[1] = iaf_feed_forward_step(current, states[1], second)
        outputs.append(z.numpy())
    shape = lambda dims, value: np.full(dims, value, np.float32)
    nodes = {
        "input": nir.Input(np.array([2, 6, 6])),
        "conv": nir.Conv2d(input_shape=(6, 6), weight=kernel, stride=1, padding=1, dilation=1, groups=1, bias=shift),
        "pool": nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        "if": nir.IF(shape((3, 3, 3), 1 / dt), shape((3, 3, 3), 1.5), shape((3, 3, 3), 0.2)),
        "flatten": nir.Flatten(input_type={"input": np.array([3, 3, 3])}, start_dim=1, end_dim=2),
        "line": nir.Conv1d(input_shape=9, weight=line, stride=2, padding=0, dilation=1, groups=1, bias=np.zeros(4, np.float32)),
        "last": nir.IF(shape((4, 3), 1 / dt), shape((4, 3), 2.0), shape((4, 3), 0.0)),
        "output": nir.Output(np.array([4, 3])),
    }
    order = list(nodes)
    save("norse_conv_if", nir.NIRGraph(nodes, list(zip(order, order[1:]))), dt, x, outputs)


def first_out(weight, bias, step):
    return torch.nn.functional.linear(step, torch.from_numpy(weight), torch.from_numpy(bias))


def snntorch_fixtures():
    import snntorch as snn
    from snntorch import utils
    from snntorch.export_nir import export_to_nir

    # Layers keep their state, since the export calls them one after the other.
    dt, options = 1e-4, {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}

    def run(name, layers, x):
        net = torch.nn.Sequential(*layers)
        graph = export_to_nir(net, torch.from_numpy(x[:1]), ignore_dims=[0])
        utils.reset(net)
        save(name, graph, dt, x, [net(step[None]).detach().numpy() for step in torch.from_numpy(x)])

    def set_weight(layer, seed, mean, deviation):
        with torch.no_grad():
            for parameter in layer.parameters():
                drawn = np.random.default_rng(seed).normal(mean, deviation, tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(drawn.astype(np.float32)))
                mean, seed = 0.0, seed + 1
        return layer

    # A vector of decays, so that the shapes are in the file.
    decay = lambda n, low, high: torch.linspace(low, high, n)
    x = spikes(6, 0.3, 11)
    layers = [
        set_weight(torch.nn.Linear(6, 8), 12, 0.3, 0.4),
        snn.Leaky(beta=decay(8, 0.7, 0.95), threshold=torch.full((8,), 0.9), **options),
        set_weight(torch.nn.Linear(8, 4, bias=False), 13, 0.0, 0.4),
        snn.Synaptic(alpha=decay(4, 0.5, 0.8), beta=decay(4, 0.8, 0.9), threshold=torch.full((4,), 1.2), **options),
    ]
    run("snntorch_leaky_synaptic", layers, x)

    x = spikes(6, 0.3, 14)
    layers = [
        set_weight(torch.nn.Linear(6, 8), 15, 0.3, 0.4),
        set_weight(snn.RLeaky(beta=0.9, threshold=1.0, linear_features=8, all_to_all=True, **options), 16, 0.0, 0.4),
    ]
    run("snntorch_rleaky", layers, x)

    x = spikes(64, 0.2, 17, (1, 8, 8))
    layers = [
        set_weight(torch.nn.Conv2d(1, 3, 3, padding=1), 18, 0.3, 0.5),
        snn.Leaky(beta=torch.full((3, 8, 8), 0.8), threshold=torch.full((3, 8, 8), 1.0), **options),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        set_weight(torch.nn.Linear(48, 5), 19, 0.0, 0.4),
        snn.Leaky(beta=torch.full((5,), 0.9), threshold=torch.full((5,), 1.0), **options),
    ]
    run("snntorch_conv", layers, x)


def check():
    """Our exports, read by `nir`: one run by snnTorch's import, one with recurrent synapses, which that can't build, by NumPy."""
    from snntorch.import_nir import import_from_nir

    graph, record = nir.read(HERE / "exported.nir"), json.loads((HERE / "exported.json").read_text())
    print("nir reads", {name: type(node).__name__ for name, node in graph.nodes.items()})
    net, state, wrong = import_from_nir(graph), None, 0
    for x, y in zip(record["inputs"], record["outputs"]):
        found, state = net(torch.tensor([x], dtype=torch.float32), state)
        wrong += int((found.detach().numpy()[0].round() != np.array(y)).sum())
    print(f"snnTorch: {wrong} of {np.size(record['outputs'])} values differ, {np.sum(record['outputs']):.0f} are spikes")

    graph, record = nir.read(HERE / "exported_recurrent.nir"), json.loads((HERE / "exported_recurrent.json").read_text())
    print("nir reads", {name: type(node).__name__ for name, node in graph.nodes.items()}, graph.edges)
    first, lif, back, second, cuba = (graph.nodes[name] for name in ["0", "1", "1.recurrent", "2", "3"])
    dt, also_wrong = record["dt"], 0
    z, v, i, u = np.zeros(10), np.zeros(10), np.zeros(4), np.zeros(4)
    for x, y in zip(record["inputs"], record["outputs"]):
        v = v + dt / lif.tau * (lif.v_leak - v + lif.r * (first.weight @ np.array(x) + first.bias + back.weight @ z))
        z = (v > lif.v_threshold).astype(float)
        v = np.where(z > 0, lif.v_reset, v)
        i = i + dt / cuba.tau_syn * (cuba.w_in * (second.weight @ z + second.bias) - i)
        u = u + dt / cuba.tau_mem * (cuba.v_leak - u + cuba.r * i)
        spikes = u > cuba.v_threshold
        u = np.where(spikes, cuba.v_reset, u)
        also_wrong += int((spikes != (np.array(y) > 0.5)).sum())
    print(f"NumPy: {also_wrong} of {np.size(record['outputs'])} values differ, {np.sum(record['outputs']):.0f} are spikes")
    sys.exit(wrong + also_wrong > 0)


if sys.argv[1:] == ["make"]:
    norse_fixtures()
    snntorch_fixtures()
elif sys.argv[1:] == ["check"]:
    check()
else:
    sys.exit(__doc__)
