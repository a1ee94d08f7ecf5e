"""What reverse mappings have in common: which units are predicted, and what can be predicted from what."""

from collections.abc import Sequence

import numpy as np

from engine.errors import InputError


def check_predictors(responses: np.ndarray) -> np.ndarray:
    """The responses in float64, centred; raises InputError where some are missing or none vary."""
    responses = np.asarray(responses, np.float64)
    if responses.ndim != 2 or not responses.size:
        raise InputError(f"wanted responses of stimuli x neuroids to predict units from, got shape {responses.shape}")
    bad = ~np.isfinite(responses)
    if bad.any():
        raise InputError(
            f"{bad.any(axis=0).sum()} of {bad.shape[1]} neuroids lack {bad.sum()} responses; all neuroids predict the "
            "units together, so choose neuroids (or stimuli) with all responses"
        )
    return responses - responses.mean(axis=0)


def check_units(units: np.ndarray, stimuli: int) -> np.ndarray:
    """The block as an array of real numbers; raises InputError where its shape or values cannot be used."""
    units = np.asarray(units)
    if units.dtype not in (np.float32, np.float64):
        units = units.astype(np.float32)
    if units.ndim != 2 or len(units) != stimuli or not units.shape[1]:
        raise InputError(f"wanted units of {stimuli} stimuli x units, got shape {units.shape}")
    finite = np.isfinite(units.sum(axis=0))
    if not finite.all():
        raise InputError(f"{(~finite).sum()} of {finite.size} units are not finite; check the layer's activations")
    return units


def dead_units(units: np.ndarray) -> tuple[str, ...]:
    """A note on the units that are constant over all stimuli, if there are any."""
    dead = int((units.max(axis=0) == units.min(axis=0)).sum())
    return (f"{dead} of {units.shape[1]} units are constant over all stimuli and have no score",) if dead else ()


def evenly_spaced(layers: Sequence[str], count: int) -> list[str]:
    """``count`` of the layers at even distances, the first and the last among them; all, where there are fewer."""
    if count < 1:
        raise InputError(f"wanted 1 or more layers, got {count}")
    positions = np.round(np.linspace(0, len(layers) - 1, min(count, len(layers)))).astype(int)
    return [layers[position] for position in positions]


def unit_sample(units: int, count: int, seed: int) -> np.ndarray:
    """Ascending indices of ``count`` different units, drawn at random with the seed; all, where there are fewer."""
    if count < 1:
        raise InputError(f"wanted 1 or more units, got {count}")
    if units <= count:
        return np.arange(units)
    return np.sort(np.random.default_rng(seed).choice(units, count, replace=False))
