"""Ours against the peers: agreement first, then interleaved runs."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.agreement import Agreement
from benchmarks.costs import Cost, total
from benchmarks.measure import OtherWork, Run, product_peak, timed

ROUNDS = 5
SLOW = 20.0  # seconds; a peer that takes longer counts its first run and runs twice
ONCE = 45.0  # seconds; a peer that takes longer runs once
BRIEF = 2.0  # seconds; settings that take less are tried more than once


@dataclass
class Contender:
    """Something to be timed.

    Attributes:
        name: as in the table.
        run: does the whole work and returns when all results are there.
        grade: agreement of what ``run`` returns with the reference; None where that is known already.
        settings: what the peer was run with.
        tried: settings -> seconds on a part of the work, by which they were chosen.
        factor: the run is this part of the work, and its time is multiplied by ``factor``; the table says so.
        part: what is run, where ``factor`` is not 1.
        rounds: most runs that are counted.
        against: which of ours a peer is compared with; the first where empty.
    """

    name: str
    run: Callable[[], Any]
    grade: Callable[[Any], Agreement] | None = None
    settings: str = ""
    tried: dict[str, float] = field(default_factory=dict)
    factor: float = 1.0
    part: str = ""
    rounds: int = ROUNDS
    against: str = ""


@dataclass
class Entry:
    """What was measured of one contender: seconds as run, not yet multiplied by ``factor``; peak bytes of warm runs."""

    name: str
    ours: bool
    settings: str
    tried: dict[str, float]
    factor: float
    part: str
    first: float
    against: str = ""
    runs: list[float] = field(default_factory=list)
    host: int | None = None
    device: int | None = None
    agreement: dict[str, Any] | None = None

    def add(self, run: Run) -> None:
        """Counts one more run."""
        self.runs.append(run.seconds)
        self.host = max(self.host or 0, run.host) if run.host is not None else None
        self.remember_device(run)

    def remember_device(self, run: Run) -> None:
        """Counts the device memory of a run that is not timed: nothing of compilation is in it."""
        self.device = max(self.device or 0, run.device) if run.device is not None else None

    def record(self) -> dict[str, Any]:
        """For the JSON file: as measured, and summarised with the factor."""
        times = np.multiply(self.runs, self.factor)
        found = {**vars(self), "median": float(np.median(times)), "least": float(times.min())}
        found |= {"most": float(times.max()), "quartiles": np.quantile(times, [0.25, 0.75]).tolist()}
        if self.ours:
            found["compile"] = max(0.0, self.first - found["median"])
        return found


def say(words: str) -> None:
    """Progress, beside the table."""
    print(f"  {words}", file=sys.stderr, flush=True)


def compare(
    ours: Sequence[Contender],
    peers: Sequence[Contender],
    *,
    dtype: str,
    cost: Cost | Callable[[Any], Cost],
    quick: bool,
    goal: float | None = None,
    limit: float | None = None,
) -> dict[str, Any]:
    """The record of one row: entries, rate and share of the peak, agreement, ratio of the best peer to ours.

    The first call of each of ours is the cold one: it compiles. Peers' first runs warm them up, or count where slow.

    Args:
        ours: the first is the one that the ratio and the rate are about.
        peers: may be empty.
        dtype: of the matrix products whose peak is measured.
        cost: flops of one run of ours[0], or how they follow from its result; none where products are no part of it.
        quick: small peak measurement, and no goal and limit: they are about the full sizes.
        goal: ratio to reach.
        limit: seconds that each of ours may take.
    """
    others = OtherWork()
    peak = {"dtype": dtype, "before": product_peak(dtype, quick)}
    main, result = _first(ours[0], True)
    flops = cost(result) if callable(cost) else cost
    del result
    entries = [main, *(_first(contender, True)[0] for contender in ours[1:])]
    entries += [_first(contender, False)[0] for contender in peers]
    everyone = list(zip([*ours, *peers], entries, strict=True))
    for number in range(ROUNDS):
        for contender, entry in everyone:
            if len(entry.runs) < planned_rounds(contender, entry):
                entry.add(timed(contender.run)[1])
        if not quick:
            say(f"round {number + 1} of {ROUNDS}")
    peak["after"] = product_peak(dtype, quick)
    found: dict[str, Any] = {
        "dtype": dtype,
        "entries": [entry.record() for entry in entries],
        "peak": peak,
        "other_work_cores": others.cores(),
    }
    found["status"] = "measured"
    if any(entry.agreement is not None and not entry.agreement["holds"] for entry in entries if entry.ours):
        found["status"] = "disagrees"
    main_median = found["entries"][0]["median"]
    if flops:
        rate = total(flops) / main_median
        found |= {"cost": flops, "flops_per_second": rate, "share_of_peak": rate / max(peak["before"], peak["after"])}
    found |= {"goal": None if quick else goal, "limit": None if quick else limit}
    if peers:
        found["ratio"] = best_peer(found)["median"] / main_median
    return found


def best_peer(record: dict[str, Any]) -> dict[str, Any]:
    """The entry of the fastest peer of the first of ours."""
    peers = (entry for entry in record["entries"] if not entry["ours"] and not entry["against"])
    return min(peers, key=lambda entry: entry["median"])


def fastest(variants: Mapping[str, Callable[[], Any]]) -> tuple[str, dict[str, float]]:
    """The settings that are fastest on a part of the work, and the seconds of all; the first try is a warm-up too."""
    times: dict[str, float] = {}
    for settings, run in variants.items():
        seconds = timed(run)[1].seconds
        again = 2 if seconds < BRIEF else 1 if seconds < SLOW and not times else 0
        times[settings] = min([seconds, *(timed(run)[1].seconds for _ in range(again))])
    return min(times, key=times.__getitem__), times


def once(name: str, run: Callable[[], Any]) -> dict[str, Any]:
    """The entry of something of ours that others are compared with and that can run only once: a first call."""
    spent = timed(run)[1]
    entry = Entry(name, False, "", {}, 1.0, "", spent.seconds)
    entry.add(spent)
    say(f"{name}: {spent.seconds:.3g} s")
    return entry.record()


def planned_rounds(contender: Contender, entry: Entry) -> int:
    """How many runs count: five of ours; of a peer, as many as its first run leaves time for."""
    slow = 1 if entry.first >= ONCE else 2 if entry.first >= SLOW else ROUNDS
    return ROUNDS if entry.ours else min(contender.rounds, slow)


def _first(contender: Contender, ours: bool) -> tuple[Entry, Any]:
    result, run = timed(contender.run)
    settings = contender.settings, contender.tried, contender.factor, contender.part
    entry = Entry(contender.name, ours, *settings, run.seconds, contender.against)
    entry.remember_device(run)
    if contender.grade is not None:
        entry.agreement = contender.grade(result)._asdict()
    if not ours and run.seconds >= SLOW:
        entry.add(run)
    say(f"{contender.name}: {run.seconds:.3g} s" + (f", {_verdict(entry.agreement)}" if entry.agreement else ""))
    return entry, result


def _verdict(agreement: dict[str, Any]) -> str:
    return f"{agreement['what']} within {agreement['worst_r']:.0e}" + ("" if agreement["holds"] else ", DISAGREES")
