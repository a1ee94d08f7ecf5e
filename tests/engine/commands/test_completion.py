"""What bash offers after Tab, asked of bash itself with the script that users source."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from engine import datasets
from engine.commands import completion
from engine.errors import InputError
from models import zoo
from tests.engine.commands.test_cli import run

BREAKS = " \t\n\"'><=;|&(:"  # bash's own COMP_WORDBREAKS


def offered(line: str, breaks: str = "") -> list[str]:
    return [each.rstrip(" ") for each in completion.complete("corticalign", line, breaks)]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("mine.h5", "weights.pth", "two words.h5", ".hidden.h5", "folder/inner.h5"):
        (tmp_path / name).touch()
    return tmp_path


def test_bash_offers_what_the_program_knows(files: Path) -> None:
    """Real bash, its default word breaks and the program in a process of its own."""
    program = files / "corticalign"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m engine.cli "$@"\n')
    program.chmod(0o755)
    root = Path(completion.__file__).parents[2]
    script = """
eval "$(corticalign --shell-completion bash)"
complete -p corticalign
try() { COMP_LINE=$1 COMP_POINT=${#1}; _corticalign corticalign; printf '[%s]' "${COMPREPLY[@]}"; echo; }
try 'corticalign score metric=ri'
try 'corticalign score weights='
"""
    environment = os.environ | {"PATH": f"{files}:{os.environ['PATH']}", "PYTHONPATH": str(root)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
    installed, metrics, weights = done.stdout.splitlines()
    assert installed == "complete -o nospace -F _corticalign corticalign"
    # '=' is a word break, so that bash replaces only what follows it.
    assert metrics == "[ridge ][ridgecv ]"
    assert weights == "[corticalign ][folder/][mine.h5 ][pinned ][random ][weights.pth ]"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("corticalign sc", ["score"]),
        ("corticalign sweep ", ["retry", "show", "watch"]),
        ("corticalign --shell-completion ", ["bash"]),
        ("corticalign score met", ["metric.", "metric="]),
        ("corticalign score metric=[ridge,rid", ["metric=[ridge,ridge", "metric=[ridge,ridgecv"]),
        ("corticalign score cv=shuffle cv.s", ["cv.seed=", "cv.splits=", "cv.stratify="]),
        ("corticalign score cv=kfold,shuffle cv.f", ["cv.folds="]),
        ("corticalign score dataset=co", ["dataset=cowley2023-v4"]),
        ("corticalign score dataset=m", ["dataset=majajhong2015-public", "dataset=mine.h5"]),
        ("corticalign score features=folder/", ["features=folder/inner.h5"]),
        ("corticalign score model=publ", ["model=published"]),
        ("corticalign score model=alexnet,alexnet-t", ["model=alexnet,alexnet-trunk"]),
        ("corticalign score ceiling.convention=r", ["ceiling.convention=r", "ceiling.convention=r^2/c"]),
        ("corticalign score --cfg j", ["job"]),
        ("corticalign score --config-dir f", ["folder/"]),
        ("corticalign score quiet=", ["quiet=false", "quiet=true"]),
        ("corticalign score -m exp", ["experiment="]),
        ("corticalign harmonize harmonize=r", ["harmonize=released"]),
        ("corticalign cotrain control=s", ["control=shuffled", "control=surrogate"]),
        ("corticalign results metric=ridge,rs", ["metric=ridge,rsa"]),
        ("corticalign dataset show m", ["majajhong2015-public", "mine.h5"]),
        ("corticalign score dataset=nowhere metric=", None),  # no error of a word that is not complete
    ],
)
def test_what_fits_is_offered(files: Path, line: str, expected: list[str] | None) -> None:
    found = offered(line)
    assert found == expected if expected is not None else "metric=ridge" in found


def test_a_value_that_the_shell_would_read_is_quoted() -> None:
    assert "ceiling.convention='r|r|/c'" in offered("corticalign score ceiling.convention=")


def test_models_and_data_sets_are_all_offered(files: Path) -> None:
    assert set(zoo.names()) < {each.removeprefix("model=") for each in offered("corticalign score model=")}
    assert offered("corticalign model show ") == sorted(zoo.names())
    assert set(datasets.names()) < set(offered("corticalign dataset show "))


def test_only_what_follows_the_last_break_is_replaced() -> None:
    line = "corticalign score metric=[ridge,rid"
    assert offered(line, BREAKS) == ["[ridge,ridge", "[ridge,ridgecv"]
    assert offered(line, BREAKS.replace("=", "")) == ["metric=[ridge,ridge", "metric=[ridge,ridgecv"]


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--shell-completion", "bash")
    assert (status, out) == (0, completion.SCRIPT)
    with pytest.raises(InputError, match="unknown shell 'bsh'; did you mean bash"):
        completion.script(["bsh"])
    with pytest.raises(InputError, match="wanted bash"):
        completion.script([])
