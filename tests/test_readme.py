"""The README's commands are ones the program takes, and its Python prints what it says."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from engine.commands import cache, dataset, model, results, settings

README = (Path(__file__).parent.parent / "README.md").read_text()
LINES = sorted(set(re.findall(r"^(?:\$ )?corticalign ([^#\n]+)", README, re.MULTILINE)))


@pytest.mark.parametrize("line", LINES)
def test_command_is_taken(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, *words = shlex.split(line)
    if command == "score" and "--help" not in words:
        settings.check(settings.overrides(words))  # raises InputError for an unknown name
    elif command in ("harmonize", "cotrain") and "--help" not in words:
        settings.check(settings.overrides(words), command)
    elif command == "results":
        results.check(words)  # likewise
    elif command == "cache":
        assert cache.run(words) == 0
    elif words and words[0] == "import":
        options = set(re.findall(r"--\w+", line))
        with pytest.raises(SystemExit):
            dataset.run(["import", "--help"])
        assert options <= set(re.findall(r"--\w+", capsys.readouterr().out))
    elif words and words[0] == "list":
        {"dataset": dataset, "model": model}[command].run(words)
    else:
        assert words == ["--help"]


def test_the_readme_has_commands() -> None:
    assert len(LINES) >= 8


@pytest.mark.parametrize("target", ["score", "test", "bench"])
def test_make_targets_exist(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (Path(__file__).parent.parent / "Makefile").read_text(), re.MULTILINE)


def test_python_prints_what_the_readme_says() -> None:
    failed, tried = doctest.testfile("../README.md", encoding="utf-8")
    assert tried >= 10
    assert not failed
