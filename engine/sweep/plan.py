"""From the words of a ``-m`` call to its jobs: every combination, each with a name that tells what it is."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from engine.errors import InputError

OPTIONS = ("-m", "--multirun")
# Change no number: a job keeps its name with another output folder, memory, or place of the user's settings (hydra).
PRACTICAL = ("output", "quiet", "mirror", "memory", "hydra")
STUDY = "experiment"  # always part of what a job is called
SEARCHED = "hydra.searchpath="  # where the user's own settings are
OF_MODEL, OF_DATA = ("model", "weights", "features"), ("dataset",)  # beginnings of words
LONGEST = 100  # characters of a name before its digest; file systems take 255 bytes


@dataclass(frozen=True)
class Job:
    """One combination.

    Attributes:
        name: of its folder: what varies, and a digest of all its settings.
        label: what varies, for people; a job that is alone has all its words.
        words: its overrides, as one would give them without ``-m``.
    """

    name: str
    label: str
    words: tuple[str, ...]


def is_sweep(words: Sequence[str]) -> bool:
    """Whether these words ask for a sweep, and not to be shown a configuration or help."""
    asked = any(word in OPTIONS for word in words)
    return asked and not any(word.startswith("-") and word not in OPTIONS for word in words)


def launcher_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that say who runs the jobs, and the others (without ``-m``). Where the user's settings are, both say.

    Raises:
        InputError: several launchers, or a setting of Hydra's own launchers.
    """
    kept = [word for word in words if word not in OPTIONS]
    own = [word for word in kept if re.match(r"\+*launcher[.=]", word)]
    for word in kept:
        if word.lstrip("+~").startswith(("hydra.", "hydra/")) and not word.startswith(SEARCHED):
            raise InputError(f"'{word}': a sweep takes no setting of Hydra's own; who runs the jobs is launcher=NAME")
    overrides = parsed(own)
    for word, override in zip(own, overrides, strict=True):
        if override.is_sweep_override():
            raise InputError(f"'{word}': a sweep has one launcher; wanted one value")
    searched = [word for word in kept if word.startswith(SEARCHED)]
    return [*searched, *own], [word for word in kept if word not in own]


def jobs(words: Sequence[str]) -> list[Job]:
    """Every combination of the comma-separated values, the last key varying fastest; a key given twice counts as last.

    Raises:
        InputError: words that are no overrides, or an interval or glob, which have no list of values.
    """
    choices: dict[str, list[str]] = {}
    varying: set[str] = set()
    for word, override in zip(words, parsed(words), strict=True):
        key = override.get_key_element()
        choices.pop(key, None)
        varying.discard(key)
        choices[key] = [word]
        if override.is_sweep_override():
            if override.is_choice_sweep() or override.is_range_sweep():
                choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
                varying.add(key)
            else:
                raise InputError(f"'{word}': wanted values separated by commas, or range(FIRST,LAST)")
    found: dict[str, Job] = {}
    for combination in itertools.product(*choices.values()):
        chosen = dict(zip(choices, combination, strict=True))
        told = " ".join(chosen[key] for key in sorted(chosen, key=lambda key: key != STUDY) if key in {*varying, STUDY})
        shown = " ".join(word for word in combination if not word.startswith(SEARCHED))
        label = told or shown or "default"
        identity = sorted(word for key, word in chosen.items() if key.split(".")[0] not in PRACTICAL)
        practical = sorted(word for key, word in chosen.items() if key in varying and word not in identity)
        digest = sha256("\0".join([*identity, *practical]).encode()).hexdigest()[:8]
        short = re.sub(r"[^A-Za-z0-9._=+-]+", "_", label)[:LONGEST].strip("._")
        job = Job(f"{short}-{digest}", label, combination)
        found.setdefault(job.name, job)
    return list(found.values())


def neighbours(jobs: Sequence[Job]) -> list[Job]:
    """The jobs in an order in which those of one model follow each other, and where the model changes the data stay.

    A process keeps the model and the recordings of its last job for the next. Results do not depend on the order.
    """
    models: dict[tuple[str, ...], dict[tuple[str, ...], list[Job]]] = {}
    for job in jobs:
        model, data = (tuple(word for word in job.words if word.startswith(own)) for own in (OF_MODEL, OF_DATA))
        models.setdefault(model, {}).setdefault(data, []).append(job)
    found: list[Job] = []
    for number, by_data in enumerate(models.values()):
        groups = list(by_data.values())
        found += itertools.chain(*(reversed(groups) if number % 2 else groups))
    return found


def parsed(words: Sequence[str]):  # type: ignore[no-untyped-def]  # Hydra's Override, which has no stubs
    """Words as Hydra reads them. InputError where they are no overrides."""
    try:
        return OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        raise InputError(f"cannot read the settings: {str(error).splitlines()[0]}; wanted KEY=VALUE") from error
