"""What a row of the table is."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        work: what is done, with its sizes.
        against: whom it is compared with.
        goal: how many times faster it has to be; None where the row has another measure, told in ``wanted``.
        wanted: the target in words.
        minutes: that the full row takes on two cores.
        run: quick -> the record for the JSON file.
    """

    work: str
    against: str
    goal: float | None
    wanted: str
    minutes: float
    run: Callable[[bool], dict[str, Any]]
