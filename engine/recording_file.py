"""A Recording on disk: one HDF5 file, laid out as docs/recording-format.md says."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from engine.errors import InputError
from engine.recording import Images, Recording
from engine.recording_images import PictureFiles, StoredFiles, StoredPixels
from engine.recording_tables import (
    escape,
    read_table,
    read_text,
    read_text_attribute,
    unescape,
    write_table,
    write_text,
    write_text_attribute,
)

FORMAT = "corticalign recording"
VERSION = 1
_TEXT = ("name", "licence", "citation")
_OPTIONAL_TEXT = ("group", "stratum")
_ARRAYS = ("repeats", "averages", "maps", "truth")
# What h5py raises on bytes that are not what they should be.
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError)


def write(recording: Recording, path: Path, *, overwrite: bool = False) -> None:
    """Writes a recording whole or not at all: to a temporary file beside ``path``, which then takes its name.

    Raises:
        InputError: ``path`` exists and ``overwrite`` is not set; its folder does not exist or cannot be
            written; the disk is full; a table or array holds what the format cannot; a picture is broken.
    """
    _refuse_existing(path, overwrite)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # From version 1.8 of HDF5 on metadata carry checksums.
        with h5py.File(partial, "w", libver=("v108", "latest")) as file:
            _fill(file, recording)
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        _refuse_existing(path, overwrite)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # h5py reports some failed writes as RuntimeError
        number = getattr(error, "errno", None)
        raise InputError(f"cannot write {path}: {os.strerror(number) if number else error}") from error
    finally:
        with contextlib.suppress(OSError):  # it has its own name by now, or never came to be
            partial.unlink()


def read(path: Path) -> Recording:
    """Reads a recording. Pictures stay in the file until they are asked for.

    Raises:
        InputError: no such file; not HDF5 or cut short; another format or a newer version; a part is missing
            or does not fit the others.
    """
    if not path.is_file():
        raise InputError(f"there is no recording file {path}")
    try:
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        raise InputError(f"{path} is not an HDF5 file, or is cut short or damaged: {error}") from error
    with file:
        try:
            _check_version(file)
            return _parse(file, path)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except KeyError as error:
            raise InputError(f"{path} lacks a part of a recording, or the part is damaged: {error.args[0]}") from error
        except _DAMAGE as error:
            raise InputError(f"{path} is damaged: {error}") from error


def _fill(file: h5py.File, recording: Recording) -> None:
    file.attrs["version"] = VERSION
    write_text_attribute(file, "format", FORMAT)
    for key in _TEXT:
        write_text_attribute(file, key, getattr(recording, key))
    for key in _OPTIONAL_TEXT:
        if getattr(recording, key) is not None:
            write_text_attribute(file, key, getattr(recording, key))
    file.attrs["simulated"] = np.uint8(recording.simulated)
    if recording.degrees is not None:
        file.attrs["degrees"] = float(recording.degrees)
    write_table(file.create_group("stimuli"), recording.stimuli)
    write_table(file.create_group("neuroids"), recording.neuroids)
    source = file.create_group("source")
    write_text(source, "address", recording.source.keys())
    write_text(source, "checksum", recording.source.values())
    for key in _ARRAYS:
        if getattr(recording, key) is not None:
            _write_array(file, key, getattr(recording, key))
    if recording.rdms is not None:
        group = file.create_group("rdms", track_order=True)
        for region, rdm in recording.rdms.items():
            _write_array(group, escape(region), rdm)
    if recording.images is not None:
        _write_images(file.create_group("images"), recording.images)


def _write_array(group: h5py.Group, link: str, array: np.ndarray) -> None:
    if array.dtype.kind not in "fiu":
        raise InputError(f"{link} holds {array.dtype}; wanted whole numbers or floating-point numbers")
    group.create_dataset(link, data=array)


def _write_images(group: h5py.Group, images: Images) -> None:
    """Picture files where the images can give them, else pixels, or PNG where sizes differ."""
    if not len(images):
        return
    if not isinstance(images, PictureFiles):
        first = images[0]
        pixels = group.create_dataset("pixels", (len(images), *first.shape), np.uint8)
        for i in range(len(images)):
            if (image := images[i]).shape != first.shape:
                del group["pixels"]
                break
            pixels[i] = image
        else:
            return
    content = group.create_dataset("files", (0,), np.uint8, maxshape=(None,), chunks=(1 << 20,))
    ends = np.zeros(len(images), np.int64)
    size = 0
    for i in range(len(images)):
        encoded = np.frombuffer(_encoded(images, i), np.uint8)
        content.resize(size + len(encoded), axis=0)
        content[size:] = encoded
        size += len(encoded)
        ends[i] = size
    group.create_dataset("ends", data=ends)


def _encoded(images: Images, index: int) -> bytes:
    """A file that decodes to ``images[index]``: the original where it is 8-bit RGB or grey, else PNG."""
    pixels = images[index]  # decodes it, so that a broken picture is found now
    if isinstance(images, PictureFiles):
        original = images.encoded(index)
        with Image.open(io.BytesIO(original)) as image:
            if image.mode in ("RGB", "L"):
                return original
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _check_version(file: h5py.File) -> None:
    if "format" not in file.attrs or read_text_attribute(file, "format") != FORMAT:
        raise InputError(
            "this is HDF5 but not a recording of this program "
            f"(it holds {', '.join(list(file)[:10]) or 'nothing'}); "
            "make one of your arrays with `corticalign dataset import`"
        )
    version = file.attrs.get("version")
    if not isinstance(version, np.integer | int) or not 1 <= version <= VERSION:
        raise InputError(
            f"this is version {version} of the recording format, this program reads up to {VERSION}; "
            "use a newer corticalign"
        )


def _parse(file: h5py.File, path: Path) -> Recording:
    parts: dict[str, Any] = {key: read_text_attribute(file, key) for key in _TEXT}
    parts |= {key: read_text_attribute(file, key) for key in _OPTIONAL_TEXT if key in file.attrs}
    parts |= {key: _read_array(file[key]) for key in _ARRAYS if key in file}
    source = file["source"]
    rdms = {unescape(link): _read_array(rdm) for link, rdm in file["rdms"].items()} if "rdms" in file else None
    return Recording(
        **parts,
        stimuli=read_table(file["stimuli"]),
        neuroids=read_table(file["neuroids"]),
        images=_stored_images(file["images"], path) if "images" in file else None,
        rdms=rdms,
        degrees=float(file.attrs["degrees"]) if "degrees" in file.attrs else None,
        source=dict(zip(read_text(source["address"]), read_text(source["checksum"]), strict=True)),
        simulated=bool(file.attrs["simulated"]),
    )


def _read_array(dataset: h5py.Dataset) -> np.ndarray:
    if dataset.dtype.kind not in "fiu":
        raise InputError(f"{dataset.name} holds {dataset.dtype}; wanted whole numbers or floating-point numbers")
    return np.asarray(dataset[...])


def _stored_images(group: h5py.Group, path: Path) -> Images:
    if "pixels" in group:
        return StoredPixels(path, group["pixels"].name)
    return StoredFiles(path, group["files"].name, group["ends"][:])


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists and is not overwritten; name another file, or ask for it to be replaced")
