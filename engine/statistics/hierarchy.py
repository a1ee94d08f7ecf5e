"""Whether later regions are best predicted by deeper layers."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from engine.errors import InputError
from engine.statistics.bootstrap import interval


class Hierarchy(NamedTuple):
    """Rank correlations with 95 % bootstrap intervals over neuroids.

    Attributes:
        rho: Spearman rho of depth and region order over neuroids.
        low, high: its interval.
        depths: regions, median relative depth of each one's neuroids.
        region_rho: Spearman rho of ``depths`` and order over regions.
        region_low, region_high: its interval.
        neuroids: regions, neuroids with a depth.
    """

    rho: float
    low: float
    high: float
    depths: np.ndarray
    region_rho: float
    region_low: float
    region_high: float
    neuroids: np.ndarray


def relative_depth(selection: np.ndarray) -> np.ndarray:
    """Each neuroid's best layer as a depth from 0 (first) to 1 (last); NaN where no layer has a score.

    Args:
        selection: layers x neuroids, in the order of the model, scores made without the test stimuli. Ties go to the
            earlier layer.
    """
    if selection.ndim != 2 or len(selection) < 2:
        raise InputError(f"wanted selection scores of 2 or more layers x neuroids, got shape {selection.shape}")
    best = np.where(np.isnan(selection), -np.inf, selection).argmax(axis=0) / (len(selection) - 1)
    return np.where(np.isnan(selection).all(axis=0), np.nan, best)


def hierarchy_index(depth: np.ndarray, order: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> Hierarchy:
    """Rank correlation of best-layer depth and place of the region in the visual hierarchy.

    The index of Nonaka, Majima, Aoki and Kamitani (iScience 2021, "Brain hierarchy score"), without their restriction
    to some layers. Equals ``scipy.stats.spearmanr(depth, order)``, ties at midranks. Neuroids are resampled within
    their region, so that the number of neuroids per region, which the experimenter chose, stays.

    A neuroid enters only by its region and one of the layers, so a resample is a table of regions x layers, drawn
    multinomially: R resamples of g regions x l layers cost 20 R g l operations, whatever the number of neuroids.

    Args:
        depth: neuroids, from ``relative_depth``; NaN is left out.
        order: neuroids, place of its region, such as 1 for V1, 2 for V2, 4 for IT; regions with the same place are
            one here.
        resamples, seed: of the bootstrap.

    Raises:
        InputError: shapes that do not fit, or fewer than two regions with neuroids.
    """
    depth, order = np.asarray(depth, np.float64), np.asarray(order, np.float64)
    if depth.shape != order.shape or depth.ndim != 1:
        raise InputError(
            f"wanted a depth and a region's place for each neuroid, got shapes {depth.shape}, {order.shape}"
        )
    kept = np.isfinite(depth) & np.isfinite(order)
    places, region = np.unique(order[kept], return_inverse=True)
    levels, level = np.unique(depth[kept], return_inverse=True)
    if len(places) < 2:
        raise InputError(f"neuroids of {len(places)} region(s) have a depth; a rank correlation needs 2 or more")
    table = np.zeros((1, len(places), len(levels)))
    np.add.at(table[0], (region, level), 1)
    sizes = table[0].sum(axis=1).astype(int)
    rng = np.random.default_rng(seed)
    drawn = np.stack(
        [rng.multinomial(size, row / size, resamples) for size, row in zip(sizes, table[0], strict=True)], axis=1
    ).astype(np.float64)
    low, high = interval(_table_spearman(drawn))
    medians = _medians(table, levels)[0]
    region_low, region_high = interval(_rank_order(_medians(drawn, levels)))
    return Hierarchy(
        float(_table_spearman(table)[0]),
        float(low),
        float(high),
        medians,
        float(_rank_order(medians[None])[0]),
        float(region_low),
        float(region_high),
        sizes,
    )


def _table_spearman(tables: np.ndarray) -> np.ndarray:
    """Spearman rho of rows and columns of tables of counts, tables x rows x columns."""
    total = tables.sum(axis=(1, 2))

    def centred(counts: np.ndarray) -> np.ndarray:
        return np.cumsum(counts, axis=1) - counts / 2 - total[:, None] / 2

    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    a, b = centred(rows), centred(columns)
    spread = (rows * a**2).sum(axis=1) * (columns * b**2).sum(axis=1)
    both = np.einsum("trc,tr,tc->t", tables, a, b)
    return np.where(spread > 0, both / np.sqrt(np.where(spread > 0, spread, 1.0)), np.nan)


def _medians(tables: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Median level of every row, tables x rows."""
    running = np.cumsum(tables, axis=2)
    size = running[:, :, -1]
    low = (running < ((size + 1) // 2)[:, :, None]).sum(axis=2)
    high = (running < (size // 2 + 1)[:, :, None]).sum(axis=2)
    return (levels[low] + levels[high]) / 2


def _rank_order(medians: np.ndarray) -> np.ndarray:
    """Spearman rho of the values in each row and their order; NaN where all are alike."""
    ranks = rankdata(medians, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    order = np.arange(medians.shape[1]) - (medians.shape[1] - 1) / 2
    spread = (ranks**2).sum(axis=1) * (order**2).sum()
    return np.where(spread > 0, ranks @ order / np.sqrt(np.where(spread > 0, spread, 1.0)), np.nan)
