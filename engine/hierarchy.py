"""Do later regions of a recording go with deeper layers of the model? From the scores of a job."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from engine.metrics.metric import Metric
from engine.statistics.hierarchy import hierarchy_index, relative_depth

# Places along the ventral stream (Felleman & Van Essen, Cerebral Cortex 1991, for the macaque). EVC is V1 to V3.
PLACES = {"V1": 1, "EVC": 1, "V2": 2, "V3": 3, "V4": 4, "hV4": 4, "LO": 5, "LatOcc": 5, "LOC": 5, "PIT": 5, "IT": 6}


def place(region: str) -> float:
    """Of a region in the visual hierarchy, NaN if unknown. Of ``IT-monkey`` the first word counts."""
    return PLACES.get(region, PLACES.get(region.split("-")[0], np.nan))


def hierarchy_table(metric: Metric, rows: pd.DataFrame, layers: Sequence[str]) -> pd.DataFrame:
    """One row: the hierarchy index of one metric with its 95 % bootstrap interval; none where it says nothing.

    Every neuroid (or subject, of a measure of populations) has the depth of the layer with the best mean ``selection``,
    which no test stimulus has a share in. The index is the rank correlation of depth and place of the region.

    Args:
        metric: of the rows.
        rows: of :func:`engine.score.score_table`.
        layers: in forward order.
    """
    nothing = pd.DataFrame()
    owner = ["recording", "region", "neuroid" if metric.per == "neuroid" else "subject"]
    if len(layers) < 2 or rows["selection"].isna().all():
        return nothing
    table = rows.groupby([*owner, "layer"], sort=False)["selection"].mean().unstack("layer")[list(layers)]
    order = np.array([place(str(region)) for region in table.index.get_level_values("region")])
    depth = relative_depth(table.to_numpy().T)
    known = np.isfinite(order) & np.isfinite(depth)
    if len(set(order[known])) < 2 or known.sum() < 4:
        return nothing
    found = hierarchy_index(depth, order)
    row: dict[str, Any] = {
        "metric": metric.name,
        "rho": found.rho,
        "low": found.low,
        "high": found.high,
        "targets": int(known.sum()),
        "regions": {
            str(region): float(np.median(depth[known & (table.index.get_level_values("region") == region)]))
            for region in dict.fromkeys(table.index.get_level_values("region")[known])
        },
    }
    return pd.DataFrame([row])
