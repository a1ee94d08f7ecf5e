"""Jobs of a sweep in several processes of this machine: one for each GPU, or a share of the cores.

Each worker takes one job after another, so that the jobs of a worker share compiled programs. A worker that is killed
takes only its job with it, which gets another worker: that is why each has a pool of one of its own.
"""

import multiprocessing
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait

from engine.sweep.launchers import Local, Work
from engine.sweep.status import Sweep

CORES_EACH = 4  # of a worker without a GPU


@dataclass(frozen=True)
class Slot:
    """What one worker may use: cores, and environment variables that JAX reads when it starts."""

    cores: tuple[int, ...]
    environment: Mapping[str, str]


def launch(sweep: Sweep, names: Sequence[str], settings: Local, work: Work) -> None:
    """Runs the jobs and returns when each has ended."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    stop = threading.Event()
    places = slots(cores(), gpus(), settings)[: len(names)]
    threads = [threading.Thread(target=_serve, args=(sweep, waiting, slot, settings, work, stop)) for slot in places]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:  # Ctrl-C reached the workers as well; what they were at is marked as stopped
        stop.set()
        for thread in threads:
            thread.join()
        raise


def cores() -> list[int]:
    """Numbers of the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def gpus() -> list[str]:
    """NVIDIA GPUs this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    if os.environ.get("JAX_PLATFORMS", "").startswith("cpu") or shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    found = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(found))] if listed.returncode == 0 else []


def slots(cores: Sequence[int], gpus: Sequence[str], settings: Local) -> list[Slot]:
    """Divides cores and GPUs among the workers. Workers beyond the number of GPUs share them, and their memory."""
    count = settings.workers or len(gpus) or max(1, len(cores) // CORES_EACH)
    found = []
    for at in range(count):
        own = tuple(cores[at * len(cores) // count : (at + 1) * len(cores) // count])
        environment = {}
        if gpus:
            # Neighbours share a GPU, so that the first of each have different ones only where there are enough.
            sharing = len(range(at % len(gpus), count, len(gpus)))
            environment["CUDA_VISIBLE_DEVICES"] = gpus[at % len(gpus)]
            environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{settings.memory_fraction / sharing:.3f}"
        found.append(Slot(own or (cores[at % len(cores)],), environment))
    return found


def _serve(
    sweep: Sweep,
    waiting: "queue.SimpleQueue[str]",
    slot: Slot,
    settings: Local,
    work: Work,
    stop: threading.Event,
) -> None:
    """Gives one worker its jobs until none is left."""
    if hasattr(os, "sched_setaffinity"):
        # Of this thread, and so of the worker from its first instruction: libraries count cores when they are loaded.
        with suppress(OSError):  # some containers forbid it; then it is only slower
            os.sched_setaffinity(0, slot.cores)
    pool = None
    try:
        while not stop.is_set():
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            for attempt in range(settings.retries + 1):
                pool = pool or _worker(slot)
                try:
                    pool.submit(work, str(sweep.folder), name).result()
                    break
                except BrokenProcessPool:
                    pool.shutdown(wait=True)
                    pool = None
                    if stop.is_set():
                        return
                    if attempt == settings.retries:
                        sweep.fail(name, killed(settings.retries + 1))
                except (KeyboardInterrupt, CancelledError):
                    return
                except Exception as error:  # outside the job: its folder cannot be written, for one
                    sweep.fail(name, f"{type(error).__name__}: {error}")
                    break
    finally:
        if pool is not None:
            pool.shutdown(wait=True)


def killed(times: int) -> str:
    """The reason of a job whose worker died. Every try makes smaller passes (``engine.commands.sweep_job``)."""
    again = "" if times == 1 else f", {times} times"
    smaller = "" if times == 1 else ", at last with smaller passes"
    return (
        f"the worker was killed{again}{smaller}, probably for lack of memory; give it more with fewer workers, or "
        "choose fewer layers or a smaller memory.budget"
    )


def _worker(slot: Slot) -> ProcessPoolExecutor:
    # A fork would copy the threads' locks of JAX, where the caller has it running.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(dict(slot.environment),))


def _prepare(environment: dict[str, str]) -> None:
    """In the worker, before JAX is imported."""
    os.environ.update(environment)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)  # the sweep was killed: a worker without it would wait for ever and keep its GPU

    threading.Thread(target=follow, daemon=True).start()
