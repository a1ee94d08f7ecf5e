"""How kinds of weight files name the parts of networks of inverted residuals."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from models.parts.inverted_residual import Plan, Row

Renames = tuple[tuple[str, str], ...]


class Parts(NamedTuple):
    """Names of a block's parts, in the order in which they are applied; empty where there is none."""

    expand: str
    expand_norm: str
    depthwise: str
    depthwise_norm: str
    reduce: str
    excite: str
    project: str
    project_norm: str


EXPANDED = Parts("conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand", "conv_pwl", "bn3")
SEPARABLE = Parts("", "", "conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2")


def torchvision(row: Row) -> Parts:
    """Places in a sequence of sequences; the expansion and the squeeze-and-excitation take one only where they are."""
    depthwise = int(row.expanded)
    squeeze = depthwise + 1
    project = squeeze + bool(row.squeezed)
    return Parts(
        *("0.0", "0.1", f"{depthwise}.0", f"{depthwise}.1"),
        *(f"{squeeze}.fc1", f"{squeeze}.fc2", f"{project}.0", f"{project}.1"),
    )


def renames(
    plan: Plan,
    outside: Mapping[str, str],
    block: Callable[[int, int, int], str],
    parts: Callable[[Row], Parts],
) -> Renames:
    """From a file's names to ours.

    Args:
        plan: the network.
        outside: the file's name of what is in no block -> ours.
        block: number of a block, its stage, its place in the stage -> what stands before the names of its parts.
        parts: block -> what the file calls its parts.
    """
    found = dict(outside)
    for number, stage, place, row in plan.places():
        for theirs, ours in zip(parts(row), EXPANDED if row.expanded else SEPARABLE, strict=True):
            if theirs and ours:
                found[block(number, stage, place) + theirs] = f"blocks.{stage}.{place}.{ours}"
    return tuple((rf"^{re.escape(theirs)}\.", f"{ours}.") for theirs, ours in found.items())


def aliases(plan: Plan, block: Callable[[int, int, int], str]) -> dict[str, str]:
    """What an original calls its blocks -> our layers; where several have one name, a stage's, the last of them.

    ``block`` is as in :func:`renames`.
    """
    return {block(number, stage, place): f"block{number}" for number, stage, place, _ in plan.places()}


def timm_aliases(plan: Plan) -> dict[str, str]:
    """timm's ``bn1`` and ``bn2`` end with the activation."""
    outside = {"bn1": "stem", "bn2": "head", "global_pool": "avgpool", "classifier": "logits"}
    return (
        aliases(plan, lambda _, stage, place: f"blocks.{stage}.{place}")
        | aliases(plan, lambda _, stage, __: f"blocks.{stage}")
        | outside
    )
