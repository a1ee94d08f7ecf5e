"""What the shell offers after Tab: commands, groups, options, settings, values and files. JAX is not imported."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.errors import InputError, unknown

SCRIPT = """\
# Completion of corticalign in bash:  eval "$(corticalign --shell-completion bash)"
_corticalign() {
    local each
    COMPREPLY=()
    while IFS= read -r each; do
        COMPREPLY+=("$each")
    done < <("$1" --complete "$1" "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -o nospace -F _corticalign corticalign
"""
ACTIONS = {
    "model": ("list", "show"),
    "dataset": ("list", "show", "import"),
    "sweep": ("show", "watch", "retry"),
    "cache": ("ls", "size", "prune", "verify"),
}
FILES = {"weights", "weights.source", "features", "dataset", "dataset.path", "output", "mirror"}
FILES |= {"maps.source", "images.source", "reduction.images"}
QUOTING = set(" \t\n\"'\\$`&;|<>()*?[]{}!#~,=")  # a name with these cannot be given as it is


def script(given: Sequence[str]) -> str:
    """What ``corticalign --shell-completion bash`` prints, to be evaluated by the shell."""
    shell = given[0].removeprefix("install=") if given else ""
    if shell != "bash":
        raise (unknown("shell", shell, ("bash",)) if shell else InputError("--shell-completion: wanted bash"))
    return SCRIPT


def complete(program: str, line: str, breaks: str) -> list[str]:
    """Replies for the line up to the cursor. Those that end in a space are whole; bash adds none.

    Args:
        program: as it was typed.
        line: such as ``corticalign score metric=ri``.
        breaks: COMP_WORDBREAKS; bash replaces only what follows the last of them.
    """
    words = line.split()
    before = words[words.index(program) + 1 :] if program in words else words[1:]
    current = "" if line[-1:].isspace() or not before else before.pop()
    try:
        found = candidates(before, current)
    except InputError:  # an error in words that are there already; the command says so when it is run
        return []
    kept = max((current.rfind(each) for each in "=:" if each in breaks), default=-1) + 1
    return sorted({each[kept:] for each in found if each.startswith(current)})


def candidates(before: Sequence[str], current: str) -> list[str]:
    """What may stand in place of ``current``, after the words before it."""
    from engine.cli import COMMANDS
    from engine.commands import groups

    if not before:
        return [f"{name} " for name in (*COMMANDS, "--help", "--version", "--shell-completion")]
    command, *rest = before
    if command in groups.OF:
        return _settings(command, rest, current)
    if command == "results":
        return _results(current)
    if command in ACTIONS and not rest:
        return [f"{action} " for action in ACTIONS[command]]
    if command == "model" and rest == ["show"]:
        return _spaced(_models())
    if command == "dataset" and rest == ["show"]:
        from engine import datasets

        return [*_spaced(datasets.names()), *_files(current, (".h5", ".hdf5"))]
    if command == "dataset" and rest[:1] == ["import"] and current.startswith("-"):
        options = ("name", "out", "stimuli", "neuroids", "images", "region", "subject", "degrees", "group", "stratum")
        return [f"--{name} " for name in (*options, "licence", "citation", "overwrite")]
    if command in ("dataset", "sweep"):
        return _files(current, None)
    return ["bash "] if command == "--shell-completion" else []


def _settings(command: str, rest: Sequence[str], current: str) -> list[str]:
    from engine.commands import groups
    from engine.commands.words import FLAGS, QUIET, VALUED, overrides

    before = rest[-1] if rest else ""
    if before == "--config-dir":
        return _files(current, ())
    if before in VALUED and VALUED[before] is not None:
        return _spaced(VALUED[before] or ())
    if current.startswith("-"):
        return _spaced([*FLAGS, *VALUED, *QUIET])
    given = overrides([word for word in rest if word not in ("-m", "--multirun")], command)
    chosen = [
        word for word in given if word.startswith((f"{groups.SEARCHED}=", *(f"{g}=" for g in groups.OF[command])))
    ]
    key, equals, value = current.partition("=")
    if not equals:
        return _keys(command, chosen, key)
    start = max(value.rfind(mark) for mark in "[,") + 1  # of a list, the last entry
    if key.lstrip("+") in FILES and start == 0:
        suffixes = (".h5", ".hdf5") if key in ("dataset", "dataset.path") else None
        files = [f"{key}={each}" for each in _files(value, suffixes)]
    else:
        files = []
    end = "" if value[:1] == "[" or "," in value else " "  # of a list, more may come
    known = [f"'{each}'" if QUOTING & set(each) else each for each in _values(command, chosen, key)]
    return [f"{key}={value[:start]}{each}{end}" for each in known] + files


def _keys(command: str, chosen: Sequence[str], current: str) -> list[str]:
    """Groups and settings, one level at a time."""
    from engine.commands import groups
    from engine.commands.settings import composed
    from engine.commands.structure import keys
    from engine.commands.words import SHORT

    known = keys(composed(_one_each(chosen), command))
    parents = {key.rpartition(".")[0] for key in known}
    depth = current.count(".")
    found = [f"{key}." if key in parents else f"{key}=" for key in known if key.count(".") == depth]
    return found if depth else [*found, *(f"{group}=" for group in groups.OF[command]), *(f"{key}=" for key in SHORT)]


def _values(command: str, chosen: Sequence[str], key: str) -> list[str]:
    from omegaconf import OmegaConf

    from engine.commands import groups
    from engine.commands.settings import composed

    plain = key.lstrip("+")
    if plain in groups.OF[command]:
        options = [name for name in groups.options(plain, groups.folders(chosen)) if name != "file"]
        return [*options, *_models()] if plain == "model" else options
    if plain in ("model", "model.name"):
        return _models()
    if plain in ("weights", "weights.source"):
        return ["pinned", "random"]
    if (allowed := _allowed(command).get(plain)) is not None:
        return ["null" if each is None else str(each) for each in allowed]
    value = OmegaConf.select(composed(_one_each(chosen), command), plain)
    return ["true", "false"] if isinstance(value, bool) else [] if value is None else [str(value)]


def _allowed(command: str) -> dict[str, Any]:
    """Settings that take one of a few words."""
    from engine.commands import cotrain_schema, harmonize_schema, metrics, schema, training_schema

    of_metrics = {f"metric.{key}": allowed for key, allowed in metrics.ALLOWED.items()}
    if command == "score":
        return {**schema.ALLOWED, **of_metrics}
    own: dict[str, Any] = {"harmonize": harmonize_schema.ALLOWED, "cotrain": cotrain_schema.ALLOWED}.get(command, {})
    return {**training_schema.ALLOWED, **of_metrics, **own}


def _one_each(chosen: Sequence[str]) -> list[str]:
    """Words with one value for each group, the first."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(chosen))
    return [
        f"{each.get_key_element()}={next(iter(each.sweep_string_iterator()))}" if each.is_sweep_override() else word
        for word, each in zip(chosen, parsed, strict=True)
    ]


def _results(current: str) -> list[str]:
    from engine import datasets
    from engine.commands.metrics import METRICS

    names = ("model", "dataset", "region", "metric", "layer", "output")
    if current.startswith("-"):
        return _spaced([f"--{name}" for name in ("best", "convention", "csv", "parquet", "latex", "markdown", "help")])
    key, equals, value = current.partition("=")
    if not equals:
        return [f"{name}=" for name in names]
    if key == "output":
        return [f"output={each}" for each in _files(value, ())]
    known: dict[str, Callable[[], Sequence[str]]] = {
        "model": _models,
        "dataset": datasets.names,
        "metric": lambda: list(METRICS),
    }
    start = value.rfind(",") + 1
    return [f"{key}={value[:start]}{name}" for name in known[key]()] if key in known else []


def _models() -> list[str]:
    from models import zoo

    return zoo.names()


def _spaced(names: Sequence[str]) -> list[str]:
    return [f"{name} " for name in names]


def _files(current: str, suffixes: tuple[str, ...] | None) -> list[str]:
    """Files that begin like ``current``, and folders with a slash. ``suffixes``: None: of any kind; empty: folders."""
    head, name = os.path.split(current)
    folder = Path(head or ".").expanduser()
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        whole = os.path.join(head, path.name)
        if not path.name.startswith(name or path.name) or (path.name.startswith(".") and not name.startswith(".")):
            continue
        if QUOTING & set(path.name):
            continue
        if path.is_dir():
            found.append(f"{whole}/")
        elif suffixes is None or path.name.endswith(suffixes or "/"):
            found.append(f"{whole} ")
    return found
