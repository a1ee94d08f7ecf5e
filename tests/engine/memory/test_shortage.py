"""Jobs that run out of memory, for real: under a limit of the kernel's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.memory import shortage
from engine.solvers import blocks


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of data are Linux's")
def test_a_job_without_memory_is_tried_once_more_with_less_and_the_same_numbers(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.engine.memory.limited"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["plenty"]["error"], found["some"]["error"]) == ("", "")
    assert "memory ran out" not in found["plenty"]["said"]
    # A quarter of 480 MB, although the budget is 2 GB.
    assert "once more with memory.budget=0.12 and smaller blocks" in found["some"]["said"]
    tables = [next(Path(tmp_path, name).glob("*/*/scores-cka.parquet")) for name in ("plenty", "some")]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert set(pd.read_parquet(tables[1])["layer"]) == {f"layer{number}" for number in range(1, 7)}
    assert found["none"]["error"].startswith("memory ran out twice, the second time with activations in passes of 0.12")
    assert "\n" not in found["none"]["error"]


def test_which_errors_are_for_want_of_memory() -> None:
    with pytest.raises(MemoryError) as numpys:
        np.empty(2**50)
    assert shortage.ran_out(numpys.value)
    assert shortage.ran_out(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes."))
    assert shortage.ran_out(ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes."))
    assert not shortage.ran_out(RuntimeError("INVALID_ARGUMENT"))
    assert not shortage.ran_out(InputError("Out of memory"))


def test_other_errors_are_not_tried_again_and_blocks_are_smaller_inside_only() -> None:
    tried: list[tuple[int, int]] = []

    def work(budget: int) -> str:
        tried.append((budget, blocks.limited(64)))
        if len(tried) == 1:
            raise MemoryError("once")
        if len(tried) == 3:
            raise ValueError("something else")
        return "done"

    said: list[str] = []
    assert shortage.with_less(work, lambda cut: 800 // cut, 2, said.append) == "done"
    assert tried == [(400, 32), (100, 8)]
    assert len(said) == 1
    assert blocks.limited(64) == 64
    with pytest.raises(ValueError, match="something else"):
        shortage.with_less(work, lambda cut: 800 // cut, 1, said.append)
    assert len(tried) == 3


def test_passes_get_smaller_than_what_is_needed_but_hold_some_units() -> None:
    assert shortage.less(2_000_000_000, 480_000_000, 200, 4) == 120_000_000
    assert shortage.less(100_000_000, 480_000_000, 200, 4) == 25_000_000
    assert shortage.less(2_000_000_000, 1_000_000, 200, 16) == 4 * 200 * shortage.UNITS
