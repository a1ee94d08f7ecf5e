"""Parameters that are trained with a model but are no part of it: readouts and projections.

They stand beside the model's own under one key, so that an optimiser, a checkpoint or an average sees one tree, and
what is scored afterwards is the model without them.
"""

from typing import Any

KEY = "training_heads"


def with_head(params: Any, name: str, head: Any) -> dict[str, Any]:
    """The same parameters and one more head. Raises ValueError where a head of that name is there."""
    model, heads = split_heads(params)
    if name in heads:
        raise ValueError(f"the parameters have a head '{name}' already")
    return {**model, KEY: {**heads, name: head}}


def split_heads(params: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's own parameters, and the heads by name."""
    model = dict(params)
    return model, dict(model.pop(KEY, {}))
