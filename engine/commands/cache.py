"""``corticalign cache``: the layer summaries kept between runs. Results are not among them and never removed."""

import argparse
import time
from pathlib import Path

from engine.errors import InputError
from engine.fetch import default_cache
from engine.store import summaries


def run(given: list[str]) -> int:
    """``ls``, ``size``, ``prune`` or ``verify``. ``verify`` returns 1 where an entry was damaged."""
    parser = argparse.ArgumentParser(
        prog="corticalign cache",
        description="Layer summaries kept between runs, so that another metric or recording of the same stimuli needs "
        f"no forward pass. They may take ${summaries.LIMIT} GB (default {summaries.DEFAULT_LIMIT:g}); what was used "
        "longest ago goes first. Removing them loses no result.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ls | size | prune GB | verify")
    actions.add_parser("ls", help="every entry: when it was last used, its size, its key")
    actions.add_parser("size", help="how many there are and what they take")
    prune = actions.add_parser("prune", help="remove what was used longest ago until no more than GB are left")
    prune.add_argument("gigabytes", metavar="GB", type=float, help="0 removes all")
    actions.add_parser(
        "verify", help="check every checksum; damaged entries are removed, and computed again when needed"
    )
    arguments = parser.parse_args(given)
    folder = default_cache()
    if arguments.action == "ls":
        _list(folder)
    elif arguments.action == "size":
        _size(folder)
    elif arguments.action == "prune":
        _prune(folder, arguments.gigabytes)
    else:
        return _verify(folder)
    return 0


def _list(folder: Path) -> None:
    for entry in summaries.entries(folder):
        used = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.used))
        print(f"{used}  {entry.size / 1e6:10.3f} MB  {entry.name}")


def _size(folder: Path) -> None:
    kept = summaries.entries(folder)
    total, limit = sum(entry.size for entry in kept), summaries.size_limit()
    print(f"{len(kept)} layer summaries, {total / 1e9:.3f} GB of {limit / 1e9:g} GB allowed, in {folder / 'summaries'}")


def _prune(folder: Path, gigabytes: float) -> None:
    if not gigabytes >= 0:
        raise InputError(f"cache prune {gigabytes}: wanted a number of GB, at least 0, that may be left")
    removed = summaries.evict(folder, gigabytes * 1e9)
    print(f"removed {len(removed)} layer summaries, {sum(entry.size for entry in removed) / 1e9:.3f} GB")
    _size(folder)


def _verify(folder: Path) -> int:
    count, damaged = 0, 0
    for entry, wrong in summaries.verify(folder):
        count += 1
        if wrong is not None:
            damaged += 1
            print(f"{entry.path}: {wrong}")
    print(f"{count} layer summaries read, {damaged} damaged")
    return 1 if damaged else 0
