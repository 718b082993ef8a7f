"""Other threads of Python go on during the work, and signals interrupt it."""

import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import notes


@pytest.fixture
def unforced():
    """Threads change only where one gives up the interpreter's lock of its own accord."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    yield
    sys.setswitchinterval(interval)


class Ticks:
    """A thread that counts, calls `tick` and gives up the lock, over and over."""

    def __init__(self, tick=lambda: None):
        self.count = 0
        self._tick, self._end = tick, False
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._end:
            self.count += 1
            self._tick()
            time.sleep(0)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end = True
        self._thread.join()


def test_others_go_on(codec, unforced):
    model, samples = codec._model, notes(2.0, 24_000)[0]
    file = model.encode(samples, 24_000, 1)
    with Ticks() as ticks:
        for work in [
            lambda: model.encode(samples, 24_000, 1),
            lambda: model.decode(file),
            lambda: model.features(samples, 24_000),
        ]:
            before = ticks.count
            work()
            assert ticks.count - before > 20


def test_threads_give_the_same_files(codec):
    sounds = [notes(1.0, 24_000, seed=seed) for seed in range(4)]
    alone = [codec.encode(sound, 24_000, quality=0.3).bytes for sound in sounds]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda sound: codec.encode(sound, 24_000, quality=0.3).bytes, sounds)) == alone


class Stop(Exception):
    pass


def test_signals_are_handled_during_the_work(codec, unforced):
    handled = 0

    def handler(*_):
        nonlocal handled
        handled += 1
        if handled == 5:
            raise Stop

    # Signals that come in together count once. After the work one would be handled, before it one or two: not five.
    previous = signal.signal(signal.SIGUSR1, handler)
    main = threading.main_thread().ident
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 1 << 21).astype(np.float32)
    try:
        with pytest.raises(Stop):
            with Ticks(lambda: signal.pthread_kill(main, signal.SIGUSR1)):
                handled = 0
                codec._model.encode(samples, 24_000, 1)
                handled = 10
    finally:
        signal.signal(signal.SIGUSR1, previous)
