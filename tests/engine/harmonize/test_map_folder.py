"""From folders of pictures and maps to ClickMe files and back."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.harmonize.clickme import ClickMe, files_of
from engine.harmonize.fixations import fixation_map
from engine.harmonize.map_folder import pairs_of_fixations, pairs_of_maps, read_labels
from engine.harmonize.pairs import MANIFEST, PairExamples, write_clickme

NAMES = [f"p{number}" for number in range(7)]
LABELS = {name: number * 100 for number, name in enumerate(NAMES)}


def heat(number: int, height: int = 24, width: int = 32) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.exp(-((rows - 3 * number) ** 2 + (columns - 16) ** 2) / 50)


def folders(root: Path) -> tuple[Path, Path]:
    """Pictures as JPEG, PNG and grey PNG; maps of 8 and 16 bits, and arrays."""
    images, maps = root / "images", root / "maps"
    images.mkdir()
    maps.mkdir()
    for number, name in enumerate(NAMES):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        if number < 3:
            Image.fromarray(pixels).save(images / f"{name}.jpg", quality=85)
        else:
            Image.fromarray(pixels if number < 5 else pixels[..., 0]).save(images / f"{name}.png")
        if number % 3 == 0:
            Image.fromarray((heat(number) * 255).astype(np.uint8)).save(maps / f"{name}.png")
        elif number % 3 == 1:
            Image.fromarray((heat(number) * 65535).astype(np.uint16)).save(maps / f"{name}.png")
        else:
            np.save(maps / f"{name}.npy", heat(number) * 1e-3)
    (maps / "readme.txt").touch()
    return images, maps


def test_a_folder_comes_back_as_examples(tmp_path: Path) -> None:
    images, maps = folders(tmp_path)
    seen: list[int] = []
    manifest = write_clickme(
        pairs_of_maps(images, maps, LABELS), tmp_path / "out", held_out=0.3, per_file=2, advance=seen.append
    )
    assert sum(seen) == 7
    assert (manifest["train"], manifest["val"]) == (5, 2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        MANIFEST,
        *(f"train-{number}.tfrecords" for number in range(3)),
        "val-0.tfrecords",
    ]
    found: dict[int, Any] = {}
    for split in ("train", "val"):
        source = ClickMe(files_of(tmp_path / "out", split))
        assert len(source) == manifest[split]
        found |= {source[number]["label"]: source[number] for number in range(len(source))}
    assert sorted(found) == sorted(LABELS.values())
    for number, name in enumerate(NAMES):
        example = found[LABELS[name]]
        if number < 3:  # the very bytes
            with Image.open(images / f"{name}.jpg") as image:
                np.testing.assert_array_equal(example["image"], np.asarray(image))
        else:  # noise, the hardest for JPEG
            with Image.open(images / f"{name}.png") as image:
                assert np.abs(example["image"].astype(int) - np.asarray(image.convert("RGB"))).mean() < 4
        wanted = heat(number) / heat(number).max()
        assert np.abs(example["map"] / 255 - wanted).max() < 3 / 255  # two roundings and JPEG at its best


def test_the_manifest_tells_what_is_in_the_files(tmp_path: Path) -> None:
    images, maps = folders(tmp_path)
    pairs = pairs_of_maps(images, maps, LABELS)
    made = write_clickme(pairs, tmp_path / "one", seed=4)
    assert json.loads((tmp_path / "one" / MANIFEST).read_text()) == made
    for name, entry in made["files"].items():
        content = (tmp_path / "one" / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
        source = ClickMe([tmp_path / "one" / name])
        assert [source[number]["label"] for number in range(len(source))] == [LABELS[one] for one in entry["pictures"]]
    assert sorted(name for entry in made["files"].values() for name in entry["pictures"]) == NAMES
    assert write_clickme(pairs[::-1], tmp_path / "again", seed=4)["files"] == made["files"]  # whatever the order
    assert write_clickme(pairs, tmp_path / "other", seed=5)["files"] != made["files"]


def test_fixations_become_maps(tmp_path: Path) -> None:
    images, _ = folders(tmp_path)
    (tmp_path / "points").mkdir()
    for number, name in enumerate(NAMES):
        (tmp_path / "points" / f"{name}.csv").write_text(f"x,y\n{10 + number},5\n20,15.5\n99,3\n")
    pairs = pairs_of_fixations(images, tmp_path / "points", 2.5, LABELS)
    examples = PairExamples(pairs)
    for number in range(7):
        points = np.array([[10 + number, 5, 1], [20, 15.5, 1]])
        np.testing.assert_array_equal(examples[number]["map"], fixation_map(points, 24, 32, 2.5))
        assert examples[number]["label"] == LABELS[NAMES[number]]
    assert write_clickme(pairs, tmp_path / "out")["fixations_outside_their_picture"] == 7
    (tmp_path / "points" / "p3.csv").write_text("x,y\n40,5\n")
    with pytest.raises(InputError, match=r"none of the 1 fixations in .*p3\.csv lies in the picture \(24 x 32\)"):
        pairs_of_fixations(images, tmp_path / "points", 2.5, LABELS)
    with pytest.raises(InputError, match="sigma=0; wanted"):
        pairs_of_fixations(images, tmp_path / "points", 0, LABELS)


def test_labels_are_read_with_or_without_endings(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,label\na.jpg,3\nb,0\nc.1,7\n")
    assert read_labels(path) == {"a": 3, "b": 0, "c.1": 7}
    for text, message in (
        ("name,label\na,1\n", "have columns name, label; wanted image,label"),
        ("image,label\na,1\nb,-1\n", "line 3: picture 'b' has the label '-1'"),
        ("image,label\na,1.5\n", "line 2: .* '1.5', wanted a whole number"),
        ("image,label\na.jpg,1\na.png,1\n", "line 3: picture 'a.png' is named twice"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_labels(path)


def refused(root: Path, message: str, **settings: Any) -> None:
    """Fails with that message, before or while it is written, and leaves nothing."""
    with pytest.raises(InputError, match=message):
        write_clickme(
            pairs_of_maps(root / "images", root / "maps", settings.pop("labels", LABELS)), root / "out", **settings
        )
    assert sorted(path.name for path in root.iterdir()) == ["images", "maps"]


def test_what_does_not_fit_is_refused_and_nothing_left(tmp_path: Path) -> None:
    images, maps = folders(tmp_path)
    refused(tmp_path, "picture 'p6' has label 600; wanted 0 to 599", classes=600)
    refused(tmp_path, "1 of 7 pictures in .* have no label: p0", labels=dict.fromkeys(NAMES[1:], 1))
    refused(tmp_path, "held_out=1; wanted", held_out=1)
    np.save(maps / "p2.npy", heat(2)[1:])
    refused(tmp_path, r"p2\.jpg is 24 x 32 \(height x width\), its map .*p2\.npy 23 x 32; wanted equal sizes")
    np.save(maps / "p2.npy", np.full((24, 32), 0.5))
    refused(tmp_path, "the map of picture 'p2' is 0.5 everywhere: it shows nothing")
    np.save(maps / "p2.npy", -heat(2))
    refused(tmp_path, r"p2\.npy holds negative or not finite numbers")
    np.save(maps / "p2.npy", np.array([print], dtype=object), allow_pickle=True)
    refused(tmp_path, r"p2\.npy: .*Python objects")
    (maps / "p2.npy").unlink()
    refused(tmp_path, "1 of 7 pictures have no map in .*maps: p2;")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)).save(maps / "p2.png")
    refused(tmp_path, r"p2\.png is coloured")
    np.save(maps / "p2.npy", heat(2))
    refused(tmp_path, r"p2\.npy and p2\.png have the same name")
    (maps / "p2.png").unlink()
    np.save(maps / "extra.npy", heat(2))
    refused(tmp_path, r"1 of 8 in .*maps have no picture in .*images: extra;")
    (maps / "extra.npy").unlink()
    (images / "p1.jpg").write_bytes((images / "p1.jpg").read_bytes()[:-300])
    refused(tmp_path, "cannot read the picture of stimulus p1")
    (images / "p1.jpg").write_text("no picture")
    refused(tmp_path, r"cannot read the picture .*p1\.jpg")


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    images, maps = folders(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists and is not overwritten"):
        write_clickme(pairs_of_maps(images, maps, LABELS), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_transparent_and_cmyk_pictures_are_stored_as_rgb_jpeg(tmp_path: Path) -> None:
    images, maps = folders(tmp_path)
    Image.new("CMYK", (32, 24), (0, 255, 255, 0)).save(images / "p0.jpg")
    Image.new("RGBA", (32, 24), (255, 0, 0, 9)).save(images / "p3.png")
    write_clickme(pairs_of_maps(images, maps, LABELS), tmp_path / "out")
    for split in ("train", "val"):
        source = ClickMe(files_of(tmp_path / "out", split))
        for number in range(len(source)):
            if source[number]["label"] in (0, 300):
                assert np.abs(source[number]["image"].astype(int) - (254, 0, 0)).max() <= 2


def test_a_record_is_a_jpeg_of_its_pictures_size(tmp_path: Path) -> None:
    images, maps = folders(tmp_path)
    write_clickme(pairs_of_maps(images, maps, LABELS), tmp_path / "out", held_out=0.2)
    data = (tmp_path / "out" / "val-0.tfrecords").read_bytes()
    with Image.open(io.BytesIO(data[data.index(b"\xff\xd8\xff") :])) as first:  # the map comes before the picture
        assert (first.mode, first.size) == ("L", (32, 24))
