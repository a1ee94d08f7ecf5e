"""The table in Markdown: a line for ours and one for every peer, then what stands behind each row."""

from collections.abc import Mapping
from typing import Any

ORDER = (
    "R1",
    "R2",
    "R3",
    "R4",
    "R5",
    "R6",
    "P1",
    "P2",
    "B1",
    "N1",
    "D1",
    "D2",
    "S1",
    "M1",
    "M2",
    "M3",
    "H1",
    "H2",
    "E1",
    "W1",
    "W2",
    "W3",
    "X1",
    "G1",
)
HEADER = (
    "row",
    "work / contender",
    "median (least to most), s",
    "runs",
    "compile, s",
    "peak memory",
    "Gflop/s (of peak)",
    "ours is faster by",
    "to reach",
    "agreement",
)


def header() -> str:
    """The two lines that open the table."""
    return line(HEADER) + "\n" + line(["---"] * len(HEADER))


def line(cells: tuple[str, ...] | list[str]) -> str:
    """One line of cells."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def row_lines(name: str, record: Mapping[str, Any]) -> str:
    """All lines of one row."""
    if not {"entries", "points"} & set(record):
        return line([name, f"{record['work']}: **{_why(record)}**", *[""] * 6, record["wanted"], ""])
    title = f"**{record['work']}**, {record['dtype']}" + (f" ({_why(record)})" if _why(record) else "")
    if "points" in record:
        return line([name, title, *[""] * 5, record["verdict"], record["wanted"], _agreement(record["agreement"])])
    lines = [line([name, title, *[""] * 5, _ratio(record), record["wanted"], ""])]
    ours = {entry["name"]: entry["median"] for entry in record["entries"] if entry["ours"]}
    first = record["entries"][0]["median"]
    for entry in sorted(record["entries"], key=lambda entry: not entry["ours"]):
        compared = "" if entry["ours"] else f"{entry['median'] / ours.get(entry.get('against'), first):.3g}x"
        rate = _rate(record) if entry is record["entries"][0] else ""
        cells = ["", _contender(entry), _times(entry), str(len(entry["runs"])), _compile(entry), _memory(entry)]
        lines.append(line([*cells, rate, compared, "", _agreement(entry["agreement"])]))
    return "\n".join(lines)


def seconds(value: float) -> str:
    """Three digits, from microseconds to hours."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _why(record: Mapping[str, Any]) -> str:
    words = {"measured": "", "disagrees": "DISAGREES with the reference"}.get(record["status"], record["status"])
    return f"{words}: {record['reason']}" if record.get("reason") else words


def _ratio(record: Mapping[str, Any]) -> str:
    if "ratio" not in record:
        return ""
    goal, limit = record.get("goal"), record.get("limit")
    met = [] if goal is None else [record["ratio"] >= goal]
    met += [] if limit is None else [max(entry["median"] for entry in record["entries"] if entry["ours"]) <= limit]
    reached = "" if not met else ", reached" if all(met) else ", not reached"
    return f"**{record['ratio']:.3g}x**{reached}"


def _contender(entry: Mapping[str, Any]) -> str:
    words = [entry["name"]]
    if entry["settings"]:
        words.append(entry["settings"])
    if entry["part"]:
        words.append(f"*{entry['part']}*")
    return ", ".join(words)


def _times(entry: Mapping[str, Any]) -> str:
    if len(entry["runs"]) == 1:
        return seconds(entry["median"])
    return f"{seconds(entry['median'])} ({seconds(entry['least'])} to {seconds(entry['most'])})"


def _compile(entry: Mapping[str, Any]) -> str:
    return seconds(entry["compile"]) if "compile" in entry else ""


def _memory(entry: Mapping[str, Any]) -> str:
    found = [f"{entry[kind] / 1e6:.0f} MB{suffix}" for kind, suffix in _KINDS if entry[kind] is not None]
    return " + ".join(found)


_KINDS = (("device", " on the device"), ("host", ""))


def _rate(record: Mapping[str, Any]) -> str:
    if "share_of_peak" not in record:
        return ""
    return f"{record['flops_per_second'] / 1e9:.0f} ({100 * record['share_of_peak']:.0f} %)"


def _agreement(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    words = f"{found.get('what', 'r')} within {found['worst_r']:.0e} (median {found['median_r']:.0e})"
    if found["predictions"] is not None:
        words += f"; predictions within {found['predictions']:.0e}"
    if found["other_penalties"]:
        choices = found.get("choices", "penalties")
        words += f"; {found['other_penalties']} other {choices}, losing {found['lost']:.0e} at most"
    return words if found["holds"] else f"{words}: **no**"


def markdown(document: Mapping[str, Any]) -> str:
    """The whole file."""
    machine = document["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:g} GB"
    if machine["accelerator"]:
        where += f"; {machine['accelerators']} x {machine['accelerator']}"
    rows = {name: document["rows"][name] for name in ORDER if name in document["rows"]}
    parts = [
        f"# Benchmark of {document['date']}" + (" (sizes shrunk with --quick)" if document["quick"] else ""),
        f"{where}; {machine['system']}. {_versions(rows)}",
        "\n".join([header(), *(row_lines(name, record) for name, record in rows.items())]),
        "Peak memory is what a warm run adds to what was there before it, inputs not counted. Rates count the flops "
        "of the row's cost model, those done; the peak is the best square matrix product at highest precision in the "
        "same invocation. Agreement is with float64: difference of the test Pearson r per fold and target at the "
        "penalty chosen, and the largest inner score that another choice of penalty gives away.",
        *(_details(name, record) for name, record in rows.items() if "entries" in record or "points" in record),
    ]
    return "\n\n".join(parts) + "\n"


def _versions(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Of everything; told per row where they differ."""
    sets: dict[str, list[str]] = {}
    for name, record in rows.items():
        if "versions" in record:
            words = ", ".join(f"{package} {version}" for package, version in record["versions"].items())
            sets.setdefault(words, []).append(name)
    if len(sets) == 1:
        return next(iter(sets)) + "."
    return " ".join(f"{', '.join(names)}: {words}." for words, names in sets.items())


def _details(name: str, record: Mapping[str, Any]) -> str:
    facts = []
    if "sizes" in record:
        facts.append(", ".join(f"{key} {_grouped(value)}" for key, value in record["sizes"].items()))
    if record.get("peak"):
        peak = record["peak"]
        facts.append(f"peak {peak['before'] / 1e9:.0f} Gflop/s before and {peak['after'] / 1e9:.0f} after the row")
    if "cost" in record:
        facts.append("flops: " + ", ".join(f"{part} {flops / 1e9:.4g} G" for part, flops in record["cost"].items()))
    facts.append(_load(record))
    if record.get("refits") is not None:
        facts.append(f"float64 reference and refits in NumPy differ by {record['refits']:.0e}")
    for entry in record.get("entries", ()):
        if entry["tried"]:
            tried = ", ".join(f"{settings} {seconds(t)} s" for settings, t in entry["tried"].items())
            facts.append(f"{entry['name']} on a part of the work: {tried}")
    text = f"**{name}**: " + "; ".join(fact for fact in [*facts, *record.get("notes", ())] if fact) + "."
    return "\n\n".join([text, points(record["points"])] if record.get("points") else [text])


def _grouped(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _load(record: Mapping[str, Any]) -> str:
    found = []
    if record.get("load") is not None:
        found.append(f"load average {record['load']:.2f} before")
    if record.get("other_work_cores") is not None:
        found.append(f"other work on {record['other_work_cores']:.2f} cores during it")
    return ", ".join(found)


def points(found: list[Mapping[str, Any]]) -> str:
    """Of the scaling row: measured against the model."""
    names = (
        "point",
        "time, s",
        "model, s",
        "ratio",
        "peak memory, MB",
        "model, MB",
        "ratio",
        "budget, MB",
        "Gflop/s (of peak)",
        "",
    )
    lines = [line(names), line(["---"] * len(names))]
    for point in found:
        flags = ["over 2x"] if max(point["time_ratio"], point["memory_ratio"]) > 2 else []
        flags += ["over budget"] if point["memory"] > point["budget"] else []
        cells = [
            point["name"],
            seconds(point["seconds"]),
            seconds(point["model_seconds"]),
            f"{point['time_ratio']:.2f}",
        ]
        cells += [f"{point[key] / 1e6:.0f}" for key in ("memory", "model_memory")]
        cells += [f"{point['memory_ratio']:.2f}", f"{point['budget'] / 1e6:.0f}", _rate(point), ", ".join(flags)]
        lines.append(line(cells))
    return "\n".join(lines)
