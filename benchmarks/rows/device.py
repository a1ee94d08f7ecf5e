"""G1: what the other rows measured on an accelerator, put together."""

from collections.abc import Mapping
from typing import Any

NAME = "G1"
ROWS = ("R1", "R2", "R3", "R4", "B1")
WORK = "R1 to R4 and B1 on an accelerator"
WANTED = "20x himalaya torch_cuda; over half of the peak where products dominate"
PEER = "himalaya torch_cuda"


def record(document: Mapping[str, Any]) -> dict[str, Any]:
    """The row, from the rows measured so far on the same machine."""
    base = {"work": WORK, "wanted": WANTED}
    if document["machine"]["accelerator"] is None:
        reason = f"no accelerator here, JAX's default backend is {document['machine']['backend']}"
        return base | {"status": "not run", "reason": reason}
    measured = {name: document["rows"][name] for name in ROWS if "entries" in document["rows"].get(name, {})}
    if not measured:
        return base | {"status": "not run", "reason": "none of these rows was measured yet"}
    return base | {"status": "; ".join(_words(name, row) for name, row in measured.items())}


def _words(name: str, row: Mapping[str, Any]) -> str:
    share = f"{100 * row['share_of_peak']:.0f} % of the peak"
    ours = row["entries"][0]["median"]
    peers = [entry["median"] for entry in row["entries"] if entry["name"].startswith(PEER)]
    return f"{name} {min(peers) / ours:.3g}x, {share}" if peers else f"{name} {share}"
