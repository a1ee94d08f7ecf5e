"""The registry of data sets."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine import datasets
from engine.errors import InputError
from engine.fetch import RemoteFile

EXTERNAL = [name for name in datasets.names() if name != "sim"]


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_describes_itself(name: str) -> None:
    info = datasets.info(name)
    assert info.name == name
    assert info.regions
    assert info.citation
    assert info.licence
    assert (info.megabytes is None) == (info.address is not None) == (name == "arcaro2020")
    assert info.megabytes is None or (info.megabytes > 0) == (name != "sim")


@pytest.mark.parametrize("name", EXTERNAL)
def test_files_are_pinned_and_lie_apart(name: str) -> None:
    files = datasets.files(name, {})
    assert all(file.url.startswith("https://") for file in files)
    assert len({file.path for file in files}) == len(files)
    assert {len(file.checksum.partition(":")[2]) for file in files} <= {40, 64}


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown data set 'henaf2021'; did you mean henaff2021-v1"):
        datasets.info("henaf2021")
    with pytest.raises(InputError, match=r"unknown option .* 'session'; did you mean sessions"):
        datasets.files("cowley2023-v4", {"session": 190925})
    with pytest.raises(InputError, match=r"unknown session '190295'; did you mean .*190925"):
        datasets.files("cowley2023-v4", {"sessions": [190925, 190295]})
    with pytest.raises(InputError, match="unknown population 'ay4_u06'; did you mean ay4_u006"):
        datasets.files("henaff2021-v1", {"populations": "ay4_u06"})


def test_options_name_one_several_or_all() -> None:
    known = ["10", "20", "30"]
    assert datasets.choose("session", None, known, ["20"]) == ["20"]
    assert datasets.choose("session", 30, known, ["20"]) == ["30"]
    assert datasets.choose("session", [30, "10", 30], known, ["20"]) == ["10", "30"]
    assert datasets.choose("session", "all", known, ["20"]) == known
    with pytest.raises(InputError, match="no session was chosen"):
        datasets.choose("session", [], known, ["20"])


def test_what_is_on_disk_is_counted(tmp_path: Path) -> None:
    files = datasets.files("henaff2021-v1", {})
    assert datasets.on_disk("henaff2021-v1", {}, None, tmp_path) == (0, 449)
    place: RemoteFile = files[0]
    (tmp_path / place.path).parent.mkdir(parents=True)
    (tmp_path / place.path).touch()
    assert datasets.on_disk("henaff2021-v1", {}, tmp_path, tmp_path / "cache") == (1, 449)


def test_listing_names_imports_nothing_heavy() -> None:
    code = "import engine.datasets, sys; engine.datasets.names(); print({'h5py', 'pandas', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
