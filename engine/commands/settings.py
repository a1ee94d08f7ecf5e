"""From the words on the command line to checked settings, with errors that name the nearest known word."""

import importlib
import logging
import string
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from engine import datasets
from engine.commands import groups
from engine.commands.groups import config_folder
from engine.commands.structure import keys, part
from engine.commands.words import overrides
from engine.errors import InputError, unknown
from engine.sweep.plan import parsed
from models import zoo

__all__ = ["check", "check_options", "composed", "config_folder", "overrides", "start", "study"]

# Hydra 1.3 takes this from whoever wants today's behaviour; from 1.4 on it is the default, and asking for it warns.
VERSION_BASE = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}
SCHEMAS = {
    "score": "schema",
    "harmonize": "harmonize_schema",
    "cotrain": "cotrain_schema",
    "pretrain": "pretrain_schema",
}
MANY = 50  # values of a sweep that are each checked before it begins; of more, each job checks its own


def check(given: Sequence[str], config: str = "score") -> None:
    """Raises InputError where the overrides cannot be used: an unknown group, option, key or model names the nearest,
    and so does a file of settings; a value of the wrong kind names what is wanted.

    Args:
        given: as :func:`overrides` returns them; several values for a key are each tried.
        config: the command, whose file in ``configs`` they override.
    """
    words = [word for word in given if not word.startswith("-")]
    read = parsed(words)
    own = groups.OF[config]
    swept: dict[int, list[str]] = {}
    for number, override in enumerate(read):
        key = override.key_or_group
        if key.startswith(("hydra.", "hydra/")) and key != groups.SEARCHED:
            raise InputError(f"{key}: settings of Hydra's own are not taken; wanted output=FOLDER, -m or --config-dir")
        values = [override.value()]
        if override.is_sweep_override():
            if not (override.is_choice_sweep() or override.is_range_sweep()):
                raise InputError(f"'{words[number]}': wanted values separated by commas, or range(FIRST,LAST)")
            values = list(override.sweep_string_iterator())
            swept[number] = [f"{override.get_key_element()}={value}" for value in values]
        for value in values:
            if override.key_or_group in own and not override.is_delete():
                check_options(override.key_or_group, value, words)
            elif override.key_or_group == "model.name":
                _check_model(value, groups.options("model", groups.folders(words)) if "model" in own else [])
    first = [swept.get(number, [word])[0] for number, word in enumerate(words)]
    _accept(first, config)
    for number, tried in swept.items():
        key = read[number].key_or_group
        if key in own:
            for word in tried[1:MANY]:
                _accept([*first[:number], word, *first[number + 1 :]], config)
        elif key != "model.name":  # looked up above, and nothing else depends on it
            for override in parsed(tried[1:MANY]):
                changed = composed(first, config)
                OmegaConf.update(changed, key, override.value())
                _check_values(changed, config)


def check_options(group: str, value: object, words: Sequence[str]) -> None:
    """Raises InputError where a group has no such option, among those of the user's own folder as well."""
    known = groups.options(group, groups.folders(words))
    for one in _names(value):
        if one not in known and one != "null":
            raise unknown(groups.KINDS.get(group, group), one, [name for name in known if name != "file"])


def _accept(words: list[str], config: str) -> None:
    """Raises InputError where one job cannot have these settings. ``words`` have one value each."""
    own, read = groups.OF[config], parsed(words)
    chosen = [
        word
        for word, override in zip(words, read, strict=True)
        if override.key_or_group in own or override.key_or_group == groups.SEARCHED
    ]
    known = keys(composed(chosen, config))
    for override in read:
        name = override.key_or_group
        if name in own or name == groups.SEARCHED or override.is_add():
            continue
        if name not in known:
            raise _unknown_setting(name, known, words, config)
    _check_values(composed(words, config), config)


def _unknown_setting(name: str, known: Sequence[str], words: Sequence[str], config: str) -> InputError:
    """Of an option that was not chosen, of a group of other commands, or misspelt."""
    group, _, rest = name.partition(".")
    places = groups.folders(words)
    if group not in groups.OF[config] and any(name in others for others in groups.OF.values()):
        return InputError(f"corticalign {config} has no {name}=; its groups are {', '.join(groups.OF[config])}")
    found, others = [], []
    if group in groups.OF[config]:
        for option, path in groups.files(group, places).items():
            own = OmegaConf.load(path)
            inside = f"{option}." if group == "metric" else ""
            settings = [f"{inside}{key}" for key in (keys(own) if isinstance(own, DictConfig) else [])]
            others += [f"{group}.{each}" for each in settings]
            if rest in settings:
                found.append(f"{group}={option}")
    if found:
        chosen = next((word for word in reversed(words) if word.startswith(f"{group}=")), "the default")
        return InputError(f"'{name}' is a setting of {' and '.join(found)}, and {chosen} is chosen")
    return unknown("setting", name, dict.fromkeys([*known, *groups.OF[config], *others]))


def _check_model(name: object, options: Sequence[str]) -> None:
    if str(name) not in zoo.names():
        raise unknown("model", name, [*options, *zoo.names()])


def _check_values(all_of_them: DictConfig, config: str) -> None:
    importlib.import_module(f"engine.commands.{SCHEMAS[config]}").typed(all_of_them)
    _check_model(all_of_them.model.name, [])
    if "dataset" in all_of_them:
        _check_dataset(all_of_them.dataset)
    if "launcher" in all_of_them:
        from engine.sweep import launchers

        kind = all_of_them.launcher.get("kind")
        if kind in launchers.KINDS:
            part(launchers.KINDS[kind], all_of_them.launcher, "launcher.")
        launchers.typed(all_of_them.launcher)


def _check_dataset(given: DictConfig) -> None:
    """Options that do not come with the program's own file are looked up, which imports the data set's reader."""
    name = str(given.get("name"))
    if name == "file":
        known = ["name", "path"]
    else:
        if name not in datasets.names():
            raise unknown("data set", name, datasets.names())
        known = ["name", *_shipped_options(name)]
        if not set(map(str, given)) <= set(known):
            known += datasets.info(name).options
    for key in given:
        if key not in known:
            raise unknown("setting", f"dataset.{key!s}", [f"dataset.{each}" for each in known])


@lru_cache
def _shipped_options(dataset: str) -> list[str]:
    shipped = OmegaConf.load(config_folder() / "dataset" / f"{dataset}.yaml")
    assert isinstance(shipped, DictConfig)
    return [str(key) for key in shipped]


def _names(choice: object) -> list[str]:
    """Of one choice: ``pls``, or ``[ridge,pls]`` as Hydra reads or prints it."""
    if isinstance(choice, list):
        return [str(name) for name in choice]
    return [name.strip() for name in ("null" if choice is None else str(choice)).strip("[]").split(",")]


def composed(words: Sequence[str], config: str = "score") -> DictConfig:
    """The configuration for these overrides. Raises InputError with Hydra's reason where there is none."""
    return _composed(tuple(words), config, False).copy()


def study(words: Sequence[str], experiment: str) -> list[str]:
    """What an experiment varies, as words for a sweep: ``hydra.sweeper.params`` of its file."""
    own = [word for word in words if word.startswith(f"{groups.SEARCHED}=")]
    varied = _composed((*own, f"experiment={experiment}"), "score", True).hydra.sweeper.params or {}
    return overrides([*own, *(f"{key}={value}" for key, value in varied.items())])[len(own) :]


@lru_cache(maxsize=4)
def _composed(words: tuple[str, ...], config: str, hydra_too: bool) -> DictConfig:
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_folder()), **VERSION_BASE):
            return compose(config, list(words), return_hydra_config=hydra_too)
    except MissingConfigException as error:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        if group in groups.OF[config]:  # named in a file: the user's own words were looked up before
            check_options(group, option, words)
        raise InputError(f"cannot use the settings: {' '.join(str(error).split())}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"cannot use the settings: {' '.join(str(error).split())}") from error


def start(command: str, words: Sequence[str], job: Callable[[DictConfig], object]) -> int:
    """Checks the words of a command and runs its job, or shows what was asked for instead. Returns the exit status."""
    if "-h" in words or "--help" in words:
        print(_help(command, [word for word in words if not word.startswith("-")]))
        return 0
    _check_one_job(command, words)
    check(words, command)
    failed: list[str] = []

    def task(config: DictConfig) -> None:
        try:  # an InputError must not reach Hydra, which would print a traceback
            job(config)
        except InputError as error:
            print(f"corticalign: error: {error}", file=sys.stderr)
            failed.append(str(error))

    sys.argv = [f"corticalign {command}", *words]  # where Hydra reads its overrides
    logging.raiseExceptions = not any(word.startswith("--info") for word in words)  # whose reader, a pager, may go
    hydra.main(config_path=str(config_folder()), config_name=command, **VERSION_BASE)(task)()
    return 2 if failed else 0


def _check_one_job(command: str, words: Sequence[str]) -> None:
    """Hydra's own sweeps would number their folders, and stop at the first failure."""
    if any(word.startswith(("--cfg", "--info", "--hydra-help", "--version")) for word in words):
        return
    if "-m" in words or "--multirun" in words:
        raise InputError(f"corticalign {command} with {' '.join(words)}: only score, with settings alone, takes -m")
    for word in words:
        if not word.startswith("-") and parsed([word])[0].is_sweep_override():
            several = "add -m for a job of each" if command == "score" else "one run has one value"
            raise InputError(f"{word}: several values; {several}, or write a list as [A,B]")


def _help(command: str, words: Sequence[str]) -> str:
    """The text in the command's own file, with the options of its groups and the settings as these words make them."""
    if words:
        check(words, command)
    config = _composed(tuple(words), command, True)
    places = groups.folders(words)
    choices = "\n".join(f"{group}: {', '.join(groups.options(group, places))}" for group in groups.OF[command])
    settings = OmegaConf.to_yaml(composed(words, command)).rstrip()
    return string.Template(config.hydra.help.template).safe_substitute(APP_CONFIG_GROUPS=choices, CONFIG=settings)
