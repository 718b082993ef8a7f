"""How much faster two threads encode and decode clips of ten seconds than one: `python threads.py`. Run it in the
release profile, on a machine with nothing else to do.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import spiccato

codec, random = spiccato.load(), np.random.default_rng(0)
clips = [np.cumsum(random.standard_normal(240_000)) * 1e-3 for _ in range(4)]
files = [codec.encode(clip, 24_000, quality=0.3).bytes for clip in clips]


def seconds(work, items, threads):
    begin = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, items))
    return time.perf_counter() - begin


for name, work, items in [
    ("encode", lambda clip: codec.encode(clip, 24_000, quality=0.3), clips),
    ("decode", codec.decode, files),
]:
    ratios = [seconds(work, items, 1) / seconds(work, items, 2) for _ in range(3)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{name}: two threads are {np.median(ratios):.2f} times as fast as one ({spread})")
