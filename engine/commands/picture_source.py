"""Pictures to train on, by what the user typed; known by what they are, not by where they are."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine.training.examples import Examples

TFDS = "tfds:"


class Source(NamedTuple):
    """``identity`` is what the pictures are known by, whatever folder they are in."""

    pictures: "Examples"
    description: str
    identity: Mapping[str, object]


def opened(source: str, split: str, *, labelled: bool) -> Source:
    """A folder, or ``tfds:NAME``.

    Args:
        split: of a TFDS data set.
        labelled: pictures come with their classes: in a folder, one folder for each.

    Raises:
        InputError: there is none such, or it is empty.
    """
    from engine.training.examples import FolderExamples, TfdsExamples, sorted_classes

    if source.startswith(TFDS):
        name = source.removeprefix(TFDS)
        records = TfdsExamples(name, split, label="label" if labelled else None)
        return Source(records, records.name, {"tfds": name, "split": split, "pictures": len(records)})
    folder = Path(source).expanduser()
    files = FolderExamples(folder, sorted_classes(folder) if labelled else None)
    return Source(files, source, listed(folder, files.paths))


def listed(folder: Path, paths: Iterable[Path]) -> Mapping[str, object]:
    """What files are known by: names and sizes, since reading all of many would take as long as an epoch."""
    lines = [f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in paths]
    return {"names and sizes": hashlib.sha256("\n".join(lines).encode()).hexdigest()}
