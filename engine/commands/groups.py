"""Groups of settings and their options: those that come with the program, and those in a folder of the user's own."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

import engine
from engine.errors import InputError

OF = {  # command -> its groups, as the defaults of configs/COMMAND.yaml name them
    "score": ("model", "dataset", "metric", "cv", "launcher", "experiment"),
    "harmonize": ("harmonize",),
    "cotrain": ("dataset", "metric", "cv"),
    "pretrain": ("objective",),
}
KINDS = {  # how errors call an option
    "dataset": "data set",
    "cv": "cross-validation",
    "harmonize": "recipe",
}
SEARCHED = "hydra.searchpath"


def config_folder() -> Path:
    """Where the YAML files are: beside the packages in a checkout, inside ``engine`` in an installed wheel."""
    package = Path(engine.__file__).parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "score.yaml").is_file():
            return folder
    raise InputError(f"the configuration files are missing beside '{package}'; install corticalign again")


def own_folder(given: str) -> str:
    """The word that makes Hydra look into a folder of the user's own as well.

    Raises:
        InputError: there is no such folder, or it has an option that comes with the program, which would be ignored.
    """
    folder = Path(given).expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"--config-dir {given}: there is no such folder")
    shipped = config_folder()
    for path in sorted(shipped.rglob("*.yaml")):
        if (folder / path.relative_to(shipped)).is_file() and folder != shipped:
            raise InputError(
                f"'{folder / path.relative_to(shipped)}' has the name of a file that comes with corticalign; give it "
                "another name"
            )
    return f"{SEARCHED}=['file://{folder}']"


def folders(words: Sequence[str]) -> list[Path]:
    """All folders of YAML files, for the words of a command.

    Raises:
        InputError: ``hydra.searchpath`` with something that is no folder.
    """
    found = [config_folder()]
    for word in words:
        if not word.startswith(f"{SEARCHED}="):
            continue
        value = OverridesParser.create().parse_override(word).value()
        for each in value if isinstance(value, list) else [value]:
            folder = Path(str(each).removeprefix("file://"))
            if not folder.is_dir():
                raise InputError(f"{SEARCHED}: '{each}' is not a folder; wanted such as --config-dir FOLDER")
            found.append(folder)
    return found


def files(group: str, places: Sequence[Path]) -> dict[str, Path]:
    """Option -> its file, by name."""
    found = [path for folder in places for path in (folder / group).glob("*.yaml")]
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem)}


def options(group: str, places: Sequence[Path]) -> list[str]:
    """The options of a group, by name."""
    return list(files(group, places))
