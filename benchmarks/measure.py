"""Seconds, memory, other work on the machine, and the machine's own speed limit."""

import contextlib
import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Result = TypeVar("Result")

PERIOD = 0.005  # seconds between two looks at the memory
IDLE = 0.25  # cores that others may use before the machine counts as busy


class Run(NamedTuple):
    """One run of a contender.

    Attributes:
        seconds: wall time until every result is there.
        host: peak resident bytes above those before the run; None where /proc does not tell.
        device: the same for the accelerator's memory; None on a CPU.
    """

    seconds: float
    host: int | None
    device: int | None


_uncounted: list[float] = []


def timed(work: Callable[[], Result]) -> tuple[Result, Run]:
    """The result of ``work`` once it is complete, and what it took."""
    _uncounted.clear()
    with MemoryWatch() as memory:
        start = time.perf_counter()
        result = work()
        jax.block_until_ready(result)
        seconds = time.perf_counter() - start
    return result, Run(seconds - sum(_uncounted), memory.host, memory.device)


@contextlib.contextmanager
def uncounted() -> Iterator[None]:
    """What happens inside is no part of the time: making up data that are too large to wait in memory."""
    start = time.perf_counter()
    yield
    _uncounted.append(time.perf_counter() - start)


class MemoryWatch:
    """Samples this process's memory in a thread; what was there before does not count.

    Memory that was freed earlier but kept by the allocator is given back first, so that it counts when used again.
    """

    host: int | None = None
    device: int | None = None

    def __enter__(self) -> "MemoryWatch":
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self._before = self._highest = (_resident(), *_on_device())
        _reset_torch()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._look()
        resident, in_use, record = self._before
        if resident:
            self.host = self._highest[0] - resident
        if jax.default_backend() != "cpu":
            # A new record of the allocator since the start is exact where samples may miss the peak.
            highest = self._highest[2] if self._highest[2] > record else self._highest[1]
            self.device = max(highest - in_use, _torch_peak())

    def _sample(self) -> None:
        while not self._done.wait(PERIOD):
            self._look()

    def _look(self) -> None:
        host, device, record = self._highest
        now = _resident(), *_on_device()
        self._highest = max(host, now[0]), max(device, now[1]), max(record, now[2])


def _resident() -> int:
    """Resident bytes of this process; 0 where /proc does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _on_device() -> tuple[int, int]:
    """Bytes in use on the first accelerator, and the most ever; zeros on a CPU."""
    stats = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    return (stats["bytes_in_use"], stats["peak_bytes_in_use"]) if stats else (0, 0)


def _cuda() -> object | None:
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def _reset_torch() -> None:
    if (cuda := _cuda()) is not None:
        cuda.empty_cache()
        cuda.reset_peak_memory_stats()


def _torch_peak() -> int:
    return cuda.max_memory_allocated() if (cuda := _cuda()) is not None else 0


def product_peak(dtype: str, quick: bool) -> float:
    """Highest rate of a square matrix product at highest precision, in flop/s; a few seconds."""
    on_cpu = jax.default_backend() == "cpu"
    sizes = (1000,) if quick else (2000, 3000, 4000) if on_cpu else (4096, 8192)
    best = 0.0
    with jax.enable_x64(dtype == "float64"):
        for size in sizes:
            square = jnp.asarray(np.random.default_rng(0).standard_normal((size, size), dtype=np.float32), dtype)
            product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
            product(square).block_until_ready()
            for _ in range(4):
                start = time.perf_counter()
                product(square).block_until_ready()
                best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def busy_seconds() -> float | None:
    """Core seconds that all processes of this machine have used since it started; None where unknown."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _wait, hard, soft, stolen = map(int, fields)
    return (user + nice + system + hard + soft + stolen) / os.sysconf("SC_CLK_TCK")


class OtherWork:
    """How many cores other processes keep busy, on average from now on; None where unknown."""

    def __init__(self) -> None:
        self._start = busy_seconds(), time.process_time(), time.perf_counter()

    def cores(self) -> float | None:
        busy, own, clock = self._start
        now = busy_seconds()
        if busy is None or now is None:
            return None
        return max(0.0, (now - busy - (time.process_time() - own)) / (time.perf_counter() - clock))


def quiet(patience: float, say: Callable[[str], None]) -> float | None:
    """Waits up to ``patience`` seconds until other work has ended; returns how many cores it uses then."""
    waited = 0.0
    while True:
        others = OtherWork()
        time.sleep(1)
        cores = others.cores()
        if cores is None or cores < IDLE:
            return cores
        if waited >= patience:
            say(f"warning: other work keeps {cores:.1f} cores busy; these timings will be too long")
            return cores
        if not waited:
            say(f"waiting up to {patience:.0f} s for other work on {cores:.1f} cores to end")
        time.sleep(4)
        waited += 5
