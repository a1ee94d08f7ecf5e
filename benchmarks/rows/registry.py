"""The rows in the table's order."""

from benchmarks.rows import (
    banded,
    cached,
    devices,
    forward,
    from_images,
    leave_one_out,
    one_to_one,
    permutation,
    pls,
    rdms,
    ridge,
    scaling,
    stored,
    sweep,
    training,
)
from benchmarks.rows.row import Row

ROWS: dict[str, Row] = {
    **ridge.ROWS,
    **leave_one_out.ROWS,
    **cached.ROWS,
    **scaling.ROWS,
    **pls.ROWS,
    **banded.ROWS,
    **one_to_one.ROWS,
    **rdms.ROWS,
    **permutation.ROWS,
    **forward.ROWS,
    **training.ROWS,
    **devices.ROWS,
    **from_images.ROWS,
    **sweep.ROWS,
    **stored.ROWS,
}
