from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.training.log import Log, read


def written(path: Path, first: int, last: int, kept: int) -> None:
    log = Log(path, kept)
    for step in range(first, last + 1):
        log.append(step, {"loss": float(np.float32(1 / step)), "rate": 0.1})
    log.sync()
    log._file.close()  # as a killed process leaves it: no Parquet file


def test_wherever_a_file_is_cut_a_restart_gives_each_step_one_row(tmp_path: Path) -> None:
    path, whole = tmp_path / "terms.csv", tmp_path / "whole" / "terms.csv"
    written(whole, 1, 6, -1)
    text = whole.read_bytes()
    for cut in range(len(text) + 1):
        path.write_bytes(text[:cut])
        # The checkpoint is never ahead of the log: at most as many steps as there are whole rows.
        kept = min(3, max(text[:cut].count(b"\n") - 1, 0))
        written(path, kept + 1, 6, kept)
        assert path.read_bytes() == text


def test_rows_come_back_exactly_from_both_files(tmp_path: Path) -> None:
    values = [1 / 3, float("nan"), 1e-30, -0.0]
    with Log(tmp_path / "terms.csv", -1) as log:
        for step, value in enumerate(values, 1):
            log.append(step, {"loss": value})
    for found in (read(tmp_path / "terms.csv"), pd.read_parquet(tmp_path / "terms.parquet")):
        assert found["step"].tolist() == [1, 2, 3, 4]
        assert np.array_equal(found["loss"], values, equal_nan=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["terms.csv", "terms.parquet"]


def test_an_empty_log_is_no_error(tmp_path: Path) -> None:
    Log(tmp_path / "terms.csv", -1).close()
    with Log(tmp_path / "terms.csv", 0) as log:
        log.append(1, {"loss": 1.0})
    assert len(read(tmp_path / "terms.csv")) == 1


def test_what_cannot_be_a_log_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("my notes\n")
    with pytest.raises(InputError, match="is no log of training: its first line is 'my notes'"):
        Log(tmp_path / "notes.csv", 0)
    assert (tmp_path / "notes.csv").read_text() == "my notes\n"
    with pytest.raises(InputError, match="cannot be written"):
        Log(tmp_path / "notes.csv" / "terms.csv", 0)
    with Log(tmp_path / "terms.csv", 0) as log:
        log.append(1, {"loss": 1.0})
        with pytest.raises(InputError, match=r"columns \['step', 'loss'\]; the row of step 2 has \['step', 'error'\]"):
            log.append(2, {"error": 1.0})


def test_a_full_disk_is_told() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    log = Log.__new__(Log)
    log.path, log._columns, log._file = full, None, full.open("w")
    with pytest.raises(InputError, match=r"the log /dev/full cannot be written \(No space left on device\)"):
        log.append(1, {"loss": 1.0})
    with pytest.raises(OSError, match="No space left"):  # what it still holds cannot be written either
        log._file.close()
