"""From the words on the command line to checked settings, with errors that name the nearest known word."""

import sys
from collections.abc import Mapping
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import engine
from engine.errors import InputError, unknown
from models import zoo

# Hydra 1.3 takes this from whoever wants today's behaviour; from 1.4 on it is the default, and asking for it warns.
VERSION_BASE = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}
GROUPS = {"dataset": "data set", "metric": "metric", "cv": "cross-validation", "launcher": "launcher"}
# Written short as GROUP=VALUE, though they are no groups of Hydra: models come from the zoo, weights may be a path.
SHORT = {"model": "model.name", "weights": "weights.source"}


def config_folder() -> Path:
    """Where the YAML files are: beside the packages in a checkout, inside ``engine`` in an installed wheel."""
    package = Path(engine.__file__).parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "score.yaml").is_file():
            return folder
    raise InputError(f"the configuration files are missing beside '{package}'; install corticalign again")


def overrides(given: list[str]) -> list[str]:
    """The user's words as Hydra takes them: ``-q``, ``dataset=FILE.h5`` for a recording of one's own, and the rest of
    what is written short."""
    result = []
    for word in given:
        if word in ("-q", "--quiet"):
            result.append("quiet=true")
        elif word.startswith("dataset=") and word.endswith((".h5", ".hdf5")):
            result += ["dataset=file", f"dataset.path='{word.removeprefix('dataset=')}'"]
        elif word.startswith("metric=") and not word.startswith("metric=["):
            # A list of one in Hydra's eyes; separated by commas they are jobs of a sweep, as everywhere.
            result.append("metric=" + ",".join(f"[{name}]" for name in word.removeprefix("metric=").split(",")))
        elif (key := word.partition("=")[0]) in SHORT and "=" in word:
            result.append(f"{SHORT[key]}={word.partition('=')[2]}")
        else:
            result.append(word)
    return result


def check(given: list[str], config: str = "score") -> None:
    """Raises InputError where Hydra would not accept the overrides, naming the nearest choice or key.

    ``config`` is the file in ``configs`` that they override.
    """
    # What follows an option, such as 'job' in '--cfg job', is the option's.
    after_option = [False, *(word.startswith("--") and "=" not in word for word in given)]
    words = [
        word
        for word, owned in zip(given, after_option, strict=False)
        if not word.startswith("-") and not (owned and "=" not in word)
    ]
    try:
        parsed = OverridesParser.create().parse_overrides(words)
    except HydraException as error:
        raise InputError(f"cannot read the settings: {str(error).splitlines()[0]}; wanted KEY=VALUE") from error
    choices: dict[str, set[str]] = {}
    folder = config_folder()
    for override in parsed:
        group = override.key_or_group
        if group not in GROUPS and group != "model.name":
            continue
        value = override.value()
        swept = override.sweep_string_iterator() if override.is_sweep_override() else [value]
        if group == "model.name":
            for choice in swept:
                zoo.spec(str(choice))
            continue
        known = sorted(path.stem for path in (folder / group).glob("*.yaml"))
        for choice in swept:
            for one in _names(choice):
                if one not in known:
                    raise unknown(GROUPS[group], one, [name for name in known if name != "file"])
            choices.setdefault(group, set()).update(_names(choice))
    keys = _keys(
        [
            f"{group}={'[' + ','.join(sorted(named)) + ']' if group == 'metric' else min(named)}"
            for group, named in choices.items()
        ],
        config,
    )
    for override in parsed:
        name = override.key_or_group
        if name not in GROUPS and not name.startswith("hydra") and not override.is_add() and name not in keys:
            raise unknown("setting", name, keys)
    plain = [word for word, override in zip(words, parsed, strict=True) if not override.is_sweep_override()]
    composed(plain, config)


def _names(choice: object) -> list[str]:
    """Of one choice: ``pls``, or ``[ridge,pls]`` as Hydra reads or prints it."""
    if isinstance(choice, list):
        return [str(name) for name in choice]
    return [name.strip() for name in str(choice).strip("[]").split(",")]


def composed(words: list[str], config: str = "score") -> DictConfig:
    """The configuration for these overrides. Raises InputError with Hydra's reason where there is none."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_folder()), **VERSION_BASE):
            return compose(config, words)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"cannot use the settings: {' '.join(str(error).split())}") from error


def _keys(words: list[str], config: str) -> list[str]:
    found: list[str] = []

    def walk(node: Mapping[str, object], prefix: str) -> None:
        for key, value in node.items():
            found.append(f"{prefix}{key}")
            if isinstance(value, Mapping):
                walk(value, f"{prefix}{key}.")

    container = OmegaConf.to_container(composed(words, config), resolve=False)
    assert isinstance(container, dict)
    walk({str(key): value for key, value in container.items()}, "")
    return found


def set_arguments(words: list[str], command: str = "score") -> None:
    """Hydra reads its overrides from the process's arguments."""
    sys.argv = [f"corticalign {command}", *words]
