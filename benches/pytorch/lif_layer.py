#!/usr/bin/env python3
"""The layer that libraries for spiking networks publish, ours beside snnTorch and Norse, on one thread of one machine.

    python3 -m venv venv && venv/bin/pip install torch snntorch norse
    cargo bench -p spiccato-neurons --bench lif_layer --no-run
    venv/bin/python benches/pytorch/lif_layer.py 512 1024 2048 4096

Linear(n, n) and leaky integrate-and-fire neurons, batch 16, 500 steps, normal input, loss = sum of the spikes, single
precision, forward and backward pass. For each size the libraries take turns, one process each, four times, since machines
change their speed: seconds of the whole, of the whole with spikes for input (one of twenty inputs in a step; ours adds up
their weights), and of the neurons alone, each the best of all passes, and peak memory in MB. The matrix product is done for
all steps at once everywhere. Ours has one figure more: the neurons' two scans without a gradient graph around them, as a
learning rule calls them. It has the allocator of the program `spiccato`, which keeps freed pages for some milliseconds; with
--keep all of them keep their pages.
"""

import os
import resource
import subprocess
import sys
import time

BATCH, STEPS = 16, 500
ROUNDS = 4
ONE_THREAD = {"CANDLE_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
KEEP = {
    "MIMALLOC_PURGE_DELAY": "-1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


def best(n, run):
    times = []
    for _ in range(max(2, min(5, 4096 // n))):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(library, n):
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    if library == "snntorch":
        import snntorch
        from snntorch import surrogate

        cell = snntorch.Leaky(beta=0.9, threshold=1.0, spike_grad=surrogate.fast_sigmoid(slope=25))

        def neurons(current):
            membrane, spikes = cell.init_leaky(), []
            for step in current:
                spike, membrane = cell(step, membrane)
                spikes.append(spike)
            return torch.stack(spikes)
    else:
        import norse.torch as norse

        # Norse weighs the current by dt / tau = 0.1, so a tenth of the threshold makes the same neuron.
        parameters = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(100.0), v_th=torch.tensor(0.1))
        cell = norse.LIFBoxCell(parameters, dt=0.001)

        def neurons(current):
            state, spikes = None, []
            for step in current:
                spike, state = cell(step, state)
                spikes.append(spike)
            return torch.stack(spikes)

    layer = torch.nn.Linear(n, n)
    x = torch.randn(STEPS, BATCH, n)
    events = (torch.rand(STEPS, BATCH, n) < 0.05).float()

    def whole(x):
        layer.zero_grad()
        neurons(layer(x)).sum().backward()

    current = layer(x).detach().requires_grad_()

    def scan():
        current.grad = None
        neurons(current).sum().backward()

    total, sparse, alone = best(n, lambda: whole(x)), best(n, lambda: whole(events)), best(n, scan)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
    print(n, f"{total:.4f}", f"{sparse:.4f}", f"{alone:.4f}", peak)


def main():
    if sys.argv[1] in ("snntorch", "norse"):
        measure(sys.argv[1], int(sys.argv[2]))
        return
    sizes = [argument for argument in sys.argv[1:] if argument != "--keep"]
    environment = os.environ | ONE_THREAD | (KEEP if "--keep" in sys.argv else {})
    ours = ["cargo", "bench", "--quiet", "-p", "spiccato-neurons", "--bench", "lif_layer", "--"]
    print("| n | library | whole, s | with spikes, s | neurons alone, s | scans, s | peak memory, MB |")
    print("|---|---|---|---|---|---|---|")
    libraries = {
        "ours": ours,
        "snnTorch": [sys.executable, __file__, "snntorch"],
        "Norse": [sys.executable, __file__, "norse"],
    }
    for n in sizes:
        results = {name: [] for name in libraries}
        for _ in range(ROUNDS):
            for name, command in libraries.items():
                run = subprocess.run([*command, n], check=True, capture_output=True, text=True, env=environment)
                results[name].append(run.stdout.split()[1:])
        for name, rounds in results.items():
            *seconds, peak = zip(*rounds)
            whole, sparse, alone, *scans = (min(figure, key=float) for figure in seconds)
            print(f"| {n} | {name} | {whole} | {sparse} | {alone} | {' '.join(scans)} | {max(peak, key=int)} |", flush=True)


if __name__ == "__main__":
    main()
