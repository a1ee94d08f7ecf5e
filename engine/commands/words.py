"""From what the user typed to what Hydra takes: options checked, and what is written short written out."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra.core.override_parser.types import Glob

from engine.commands import groups
from engine.errors import InputError, unknown
from engine.sweep.plan import parsed
from models import zoo

FLAGS = ("-h", "--help", "--hydra-help", "--version", "-m", "--multirun", "-r", "--run", "--resolve")
VALUED: dict[str, tuple[str, ...] | None] = {  # option -> the values it takes; None: any
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--package": None,
    "--config-dir": None,
}
LONG = {"-c": "--cfg", "-i": "--info", "-p": "--package", "-cd": "--config-dir"}
QUIET = ("-q", "--quiet")
REFUSED = {
    ("--config-name", "-cn", "--config-path", "-cp", "--experimental-rerun"): "settings of your own go into a folder: "
    "--config-dir FOLDER, and in it experiment/NAME.yaml for experiment=NAME",
    ("--shell-completion", "-sc"): 'completion is of all commands: eval "$(corticalign --shell-completion bash)"',
}
# Written short as KEY=VALUE: weights may be a path and a host has any name, so they are no groups.
SHORT = {"weights": "weights.source", "hosts": "hosts.coordinator"}


def overrides(given: Sequence[str], command: str = "score") -> list[str]:
    """The user's words as Hydra takes them, options in one word each: ``-q``, ``--config-dir``, ``dataset=FILE.h5`` for
    a recording of one's own, ``model=NAME`` of the zoo, and the rest of what is written short.

    Raises:
        InputError: an unknown option or value of one, or a folder of settings that cannot be used.
    """
    result = []
    left = list(given)
    while left:
        word = left.pop(0)
        if word in QUIET:
            result.append("quiet=true")
        elif word.startswith("-"):
            result.append(_option(word, left))
        else:
            result.append(word)
    places = groups.folders(result)
    return [each for word in result for each in _written_out(word, command, places)]


def _option(word: str, left: list[str]) -> str:
    """An option with its value, which is taken from the words left where it follows."""
    name, equals, value = word.partition("=")
    name = LONG.get(name, name)
    for refused, instead in REFUSED.items():
        if name in refused:
            raise InputError(f"{name}: {instead}")
    if name in FLAGS and not equals:
        return name
    if name not in VALUED:
        raise unknown("option", name, [*FLAGS, *VALUED, *QUIET])
    allowed = VALUED[name]
    if not equals:
        follows = bool(left) and not left[0].startswith("-") and (allowed is None or "=" not in left[0])
        if follows:
            value = left.pop(0)
        elif name == "--info":
            return name
    if allowed is not None and value not in allowed:
        near = get_close_matches(value, allowed, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{name} {value}".rstrip() + f": wanted one of {', '.join(allowed)}{hint}")
    if not value:
        raise InputError(f"{name}: wanted a value, as in {name} {'FOLDER' if name == '--config-dir' else 'NAME'}")
    return groups.own_folder(value) if name == "--config-dir" else f"{name}={value}"


def _written_out(word: str, command: str, places: Sequence[Path]) -> list[str]:
    key, equals, value = word.partition("=")
    if not equals:
        return [word]
    if value.startswith("glob("):
        return _written_out(f"{key}={','.join(_fitting(word, key, command, places))}", command, places)
    if key == "dataset" and value.endswith((".h5", ".hdf5")):
        return ["dataset=file", f"dataset.path='{value}'"]
    if key == "metric" and not value.startswith("["):
        # A list of one in Hydra's eyes; separated by commas they are jobs of a sweep, as everywhere.
        return ["metric=" + ",".join(f"[{name}]" for name in value.split(","))]
    if key == "model":
        # Options of the group are ways to show pictures; any other name is of the zoo.
        known = groups.options("model", places) if "model" in groups.OF[command] else []
        named = [name in known for name in value.split(",")]
        if any(named) and not all(named):
            raise InputError(
                f"model={value}: options of the group ({', '.join(known)}) and names of models do not mix in one list; "
                "give the names as model.name="
            )
        return [word if all(named) else f"model.name={value}"]
    return [f"{SHORT.get(key, key)}={value}"]


def _fitting(word: str, key: str, command: str, places: Sequence[Path]) -> list[str]:
    """The names of models, or the options of a group, that fit ``KEY=glob(PATTERN)``, which Hydra reads itself only for
    options in files. InputError where it cannot be read, or none fits.
    """
    if key not in groups.OF[command]:
        raise InputError(f"'{word}': glob() is for {', '.join(groups.OF[command])}; wanted values separated by commas")
    try:
        pattern = parsed([word])[0].value()
    except InputError:
        pattern = None
    if not isinstance(pattern, Glob):
        raise InputError(f"cannot read '{word}'; wanted {key}=glob(PATTERN) or glob([A,B],exclude=C)")
    names = zoo.names() if key == "model" else [name for name in groups.options(key, places) if name != "file"]
    found = pattern.filter(names)
    if not found:
        raise InputError(f"'{word}' fits none of {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}")
    return found
