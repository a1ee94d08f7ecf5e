"""When memory ran out: how that is told from other errors, what is let go, and one more try with less."""

import ctypes
import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from engine import hosts
from engine.errors import InputError
from engine.memory.room import words
from engine.solvers import blocks

SIGNS = ("RESOURCE_EXHAUSTED", "Out of memory")  # what XLA says, on CPUs and accelerators
KINDS = (RuntimeError, ValueError)  # of XLA: when a program runs, and when an array is made
CUT = 4  # times smaller at the second try
UNITS = 1024  # of float32 for each stimulus: passes are made no smaller than this

Found = TypeVar("Found")


def ran_out(error: BaseException) -> bool:
    """Whether this error is for want of memory: NumPy's MemoryError, or what XLA raises as another."""
    if isinstance(error, InputError):  # a ValueError too
        return False
    return isinstance(error, MemoryError) or (isinstance(error, KINDS) and any(sign in str(error) for sign in SIGNS))


def reason(error: BaseException) -> str:
    """In one line, and short."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def let_go(programs: bool = True) -> None:
    """Gives back what no variable holds: cycles, free pages of the heap, and compiled programs (kept on disk)."""
    if programs and (jax := sys.modules.get("jax")) is not None:
        jax.clear_caches()
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc only
        ctypes.CDLL(None).malloc_trim(0)


def less(budget: int, captured: int, stimuli: int, cut: int) -> int:
    """Bytes for passes ``cut`` times smaller than those of ``budget``, which may be more than they need.

    Args:
        captured: bytes of the largest pass.
        stimuli: in a pass.
    """
    return max(min(budget, captured) // cut, min(budget, 4 * stimuli * UNITS))


def with_less(
    work: Callable[[int], Found], smaller: Callable[[int], int], cut: int, say: Callable[[str], None]
) -> Found:
    """``work`` with a budget in bytes; where memory runs out, once more with a quarter of it and of solver blocks.

    What the first try has finished and stored is not done again. Numbers are the same: exactly, unless a layer is cut
    into other slices, whose sums in float32 then come in another order (about 1e-7 of a Gram matrix).

    Args:
        work: what is to be done; it must hold nothing when it fails.
        smaller: how many times smaller -> bytes.
        cut: of the first try; 1 unless an earlier process was killed.
        say: told before the second try.

    Raises:
        InputError: memory ran out twice.
    """
    try:
        with blocks.smaller(cut):
            return work(smaller(cut))
    except (MemoryError, *KINDS) as error:
        # Other processes of one job would go on without this one.
        if not ran_out(error) or hosts.several():
            raise
        why = reason(error)
    # Outside the handler: the error holds the frames that hold the arrays.
    let_go()
    budget = smaller(CUT * cut)
    say(f"memory ran out ({why}); once more with memory.budget={budget / 1e9:.3g} and smaller blocks")
    try:
        with blocks.smaller(CUT * cut):
            return work(budget)
    except (MemoryError, *KINDS) as error:
        if not ran_out(error):
            raise
        raise InputError(twice(error, budget)) from error


def twice(error: BaseException, budget: int) -> str:
    """What is said at the end."""
    return (
        f"memory ran out twice, the second time with activations in passes of {words(budget)} ({reason(error)}); "
        "choose fewer layers or stimuli, run fewer jobs side by side, or use a machine with more memory"
    )
