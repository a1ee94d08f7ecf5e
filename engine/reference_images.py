"""Pictures of the user's own, without responses: what is fitted to them leaks nothing from test to training."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError
from engine.images import FileImages

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MOST = 10_000  # beyond, the Gram matrices of pictures with each other outgrow everything else


@dataclass(frozen=True)
class ReferenceImages:
    """The pictures of a folder.

    Attributes:
        images: decoded when asked for.
        digest: SHA-256 of the files' content, one after the other.
    """

    images: FileImages
    digest: str


def reference_images(folder: Path, wanted: int) -> ReferenceImages:
    """All pictures in a folder and the folders in it, in the order of their paths; hidden files are passed over.

    Raises:
        InputError: there is no such folder, or it holds fewer than ``wanted`` pictures, or too many.
    """
    setting = f"reduction.images={folder}"
    if not folder.is_dir():
        raise InputError(f"{setting}: there is no such folder; wanted one with at least {wanted} pictures")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if len(files) < wanted:
        raise InputError(
            f"{setting}: {len(files)} pictures ({', '.join(SUFFIXES)}) for {wanted} components; give at least as many "
            "pictures as components, or fewer components with reduction.size"
        )
    if len(files) > MOST:
        raise InputError(f"{setting}: {len(files)} pictures, and every one is used; give at most {MOST}")
    sha = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as content:
                sha.update(hashlib.file_digest(content, "sha256").digest())
        except OSError as error:
            raise InputError(f"{setting}: cannot read {path}: {error.strerror}") from error
    return ReferenceImages(FileImages(files, [path.name for path in files]), sha.hexdigest())
