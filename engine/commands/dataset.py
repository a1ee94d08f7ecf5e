"""``corticalign dataset``: the public recordings, and recordings made of one's own arrays."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from engine import datasets, fetch
from engine.report.table import print_whole


def run(given: list[str]) -> int:
    """``list``, ``show NAME`` or ``import FILE``."""
    parser = argparse.ArgumentParser(
        prog="corticalign dataset", description="The public recordings, and recordings of your own arrays."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="list | show NAME | import FILE")
    actions.add_parser("list", help="name every data set, its size, and whether it is on disk")
    show = actions.add_parser("show", help="size, options, licence and citation of one data set, or of a .h5 file")
    show.add_argument("name")
    _import_arguments(actions.add_parser("import", help="make a recording of your own arrays"))
    arguments = parser.parse_args(given)
    if arguments.action == "list":
        _list()
    elif arguments.action == "show":
        _show(arguments.name)
    else:
        _import(arguments)
    return 0


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Makes a recording (one .h5 file) of arrays: Y, stimuli x neuroids or repetitions x stimuli x neuroids, "
        "NaN where missing; X, the images as uint8, stimuli x height x width x 3, or a folder of images; or "
        "rdm_<region>. Then: corticalign score dataset=FILE.h5"
    )
    parser.add_argument("arrays", type=Path, metavar="FILE", help=".npz or HDF5 file with X and Y")
    parser.add_argument("--name", required=True, help="what to call the recording")
    parser.add_argument("--out", type=Path, help="file to write (default: NAME.h5)")
    parser.add_argument("--stimuli", type=Path, help="table of stimuli, CSV or Parquet, a row each")
    parser.add_argument("--neuroids", type=Path, help="table of neuroids, CSV or Parquet, with a column 'region'")
    parser.add_argument("--images", type=Path, help="folder of images, instead of X")
    parser.add_argument("--region", help="region of all neuroids, where there is no table")
    parser.add_argument("--subject", default="unknown", help="subject of all neuroids (default: unknown)")
    parser.add_argument("--degrees", type=float, help="width of a stimulus in degrees of visual angle")
    parser.add_argument("--group", help="stimulus column that marks near-duplicates, such as movie")
    parser.add_argument("--stratum", help="stimulus column to balance over random splits, such as object")
    parser.add_argument("--licence", default="not stated")
    parser.add_argument("--citation", default="not stated")
    parser.add_argument("--overwrite", action="store_true", help="replace the file where it exists")


def _list() -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("data set", "regions", "MB", "on disk", "what it is"):
        table.add_column(column, justify="right" if column == "MB" else "left", no_wrap=column != "what it is")
    for name in datasets.names():
        info = datasets.info(name)
        size = "-" if info.megabytes is None else f"{info.megabytes:.0f}"
        table.add_row(name, ", ".join(info.regions), size, _present(name), info.summary)
    print_whole(table)


def _present(name: str) -> str:
    if datasets.info(name).address:
        return "bring it"
    have, total = datasets.on_disk(name, {}, fetch.default_mirror(), fetch.default_cache())
    if total == 0:
        return "generated"
    return "yes" if have == total else "no" if have == 0 else f"{have} of {total} files"


def _show(name: str) -> None:
    console = _console()
    if name.endswith((".h5", ".hdf5")):
        _show_file(Path(name), console)
        return
    info = datasets.info(name)
    console.print(f"[bold]{info.name}[/bold]: {info.summary}")
    console.print(f"regions   {', '.join(info.regions)}")
    if info.address:
        console.print(f"get it    {info.address}: unpack it yourself; without a published checksum it is not fetched")
    else:
        console.print(f"size      {info.megabytes:.0f} MB with default options; on disk: {_present(name)}")
    for option, meaning in info.options.items():
        console.print(f"option    dataset.{option}: {meaning}", markup=False)
    console.print(f"licence   {info.licence}")
    console.print(f"citation  {info.citation}")
    needed = " dataset.path=FOLDER metric=spatial_map" if info.address else ""
    console.print(f"\nscore it  corticalign score dataset={info.name}{needed}")


def _show_file(path: Path, console: Console) -> None:
    from engine.recording import FORMS
    from engine.recording_file import read

    recording = read(path)
    form = next(form for form in FORMS if getattr(recording, form) is not None)
    console.print(f"[bold]{recording.name}[/bold]{' (SIMULATED)' if recording.simulated else ''}: {path}")
    images = "with images" if recording.images is not None else "without images"
    console.print(
        f"stimuli   {len(recording.stimuli)}, {images}; columns: {', '.join(map(str, recording.stimuli)) or 'none'}"
    )
    if form == "rdms":
        console.print(f"RDMs      {', '.join(recording.regions)}")
    else:
        counts = recording.neuroids["region"].value_counts(sort=False)
        console.print(f"neuroids  {', '.join(f'{region} {count}' for region, count in counts.items())}")
        if recording.maps is not None:
            console.print(f"maps      {recording.maps.shape[1]} x {recording.maps.shape[2]} positions")
        else:
            repetitions = len(recording.repeats) if recording.repeats is not None else "averages only"
            console.print(f"repeats   {repetitions}")
    console.print(f"licence   {recording.licence}")
    console.print(f"citation  {recording.citation}")


def _import(arguments: argparse.Namespace) -> None:
    from engine.datasets.user import from_arrays
    from engine.recording_file import write

    out = arguments.out or Path(f"{arguments.name}.h5")
    recording = from_arrays(
        arguments.arrays,
        name=arguments.name,
        stimuli=arguments.stimuli,
        neuroids=arguments.neuroids,
        images=arguments.images,
        region=arguments.region,
        subject=arguments.subject,
        degrees=arguments.degrees,
        group=arguments.group,
        stratum=arguments.stratum,
        licence=arguments.licence,
        citation=arguments.citation,
    )
    write(recording, out, overwrite=arguments.overwrite)
    _show_file(out, _console())
    print(f"\nscore it  corticalign score dataset={out}")


def _console() -> Console:
    return Console(soft_wrap=True, highlight=False)
