"""docs/metrics.md keeps pace with the metrics: their settings, its figures, its links, its commands."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from docs.figures.__main__ import MODULES
from engine.commands import settings
from engine.commands.metrics import METRICS

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "figures"
PAGE = (ROOT / "docs" / "metrics.md").read_text()
SECTIONS = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PARTS = (
    "**Measures**",
    "**Use it**",
    "**Formula.**",
    "**What changes the number.**",
    "**Known biases**",
    "**Reference.**",
    "](figures/",
    "*SIMULATED",
)


def test_every_metric_has_a_section() -> None:
    assert not set(METRICS) - set(SECTIONS)


def test_every_section_is_of_a_metric() -> None:
    modules = {path.stem for path in (ROOT / "engine" / "metrics").glob("*.py")}
    assert set(SECTIONS) <= set(METRICS) | modules


@pytest.mark.parametrize("name", SECTIONS)
def test_sections_have_the_same_order(name: str) -> None:
    text = " ".join(SECTIONS[name].split())
    places = [text.find(part) for part in PARTS]
    assert -1 not in places, f"lacks {PARTS[places.index(-1)]}"
    assert places == sorted(places)


@pytest.mark.parametrize("name", METRICS)
def test_all_settings_are_described_and_no_others(name: str) -> None:
    described = set(re.findall(rf"\bmetric\.{name}\.(\w+)", PAGE))
    assert described == {field.name for field in fields(METRICS[name])}


def test_every_figure_is_linked_drawn_and_small() -> None:
    linked = re.findall(r"!\[[^\]]+\]\(figures/([\w-]+)\.png\)", PAGE)
    files = {path.stem: path.stat().st_size for path in FIGURES.glob("*.png")}
    drawn = [
        name for path in FIGURES.glob("*.py") for name in re.findall(r'save\(figure, "([\w-]+)"\)', path.read_text())
    ]
    assert sorted(linked) == sorted(files) == sorted(drawn)
    assert max(files.values()) < 60_000


def test_all_figures_are_drawn_by_one_command() -> None:
    assert sorted(MODULES) == sorted(path.stem for path in FIGURES.glob("*.py") if "def draw(" in path.read_text())


def test_links_lead_somewhere() -> None:
    headings = re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors
    files = re.findall(r"\]\(([^#)][^)]*)\)", PAGE)
    assert files
    assert all((ROOT / "docs" / file).exists() for file in files)


@pytest.mark.parametrize("line", sorted(set(re.findall(r"^corticalign score ([^#\n]+)", PAGE, re.MULTILINE))))
def test_commands_are_taken(line: str) -> None:
    settings.check(settings.overrides(shlex.split(line)))  # raises InputError for an unknown name


@pytest.mark.parametrize(
    ("package", "heading"), [("ceilings", "## Noise ceilings"), ("statistics", "## Statistics")], ids=str
)
def test_functions_that_are_named_exist(package: str, heading: str) -> None:
    text = PAGE.split(heading)[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`\w+\.\w+`.*?) \|", text, re.MULTILINE)
    assert len(rows) > 5
    for row in rows:
        module = ""
        for name in re.findall(r"`([\w.]+)`", row):
            *named, function = name.split(".")
            module = named[0] if named else module
            assert f"def {function}(" in (ROOT / "engine" / package / f"{module}.py").read_text(), name
