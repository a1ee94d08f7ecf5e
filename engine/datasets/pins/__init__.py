"""Tables of the files that data sets consist of, with the checksums they were published with."""

from importlib import resources


def table(name: str) -> list[dict[str, str]]:
    """Rows of the tab-separated table ``<name>.tsv`` beside this module, by the names in its first line."""
    text = resources.files(__name__).joinpath(f"{name}.tsv").read_text(encoding="utf-8")
    header, *rows = (line.split("\t") for line in text.splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]
