"""From the ``cv`` settings to the folds of a recording, and to a sentence that says what was held out."""

from collections.abc import Sequence

from engine import splits
from engine.commands.cv_schema import Kfold, Shuffle
from engine.errors import unknown
from engine.recording import Recording
from engine.solvers.folds import Split


def split(recording: Recording, cv: Kfold | Shuffle) -> list[Split]:
    """The folds of a recording, by its own groups and strata where the settings say ``auto``.

    Recordings of maps are held out image by image, whatever the settings say: their metric is defined so.

    Raises:
        InputError: no such column, too few stimuli or groups.
    """
    if recording.maps is not None:
        return splits.leave_one_out(len(recording.stimuli))
    groups = _column(recording, cv.group, recording.group, "cv.group")
    count = len(recording.stimuli)
    if isinstance(cv, Kfold):
        return splits.kfold(count, folds=cv.folds, seed=cv.seed, groups=groups)
    return splits.shuffle_splits(
        count,
        splits=cv.splits,
        train_size=cv.train_size,
        inner_folds=cv.inner_folds,
        seed=cv.seed,
        strata=_column(recording, cv.stratify, recording.stratum, "cv.stratify"),
        groups=groups,
    )


def sentence(recording: Recording, cv: Kfold | Shuffle) -> str:
    """What was held out, in words."""
    if recording.maps is not None:
        return f"{len(recording.stimuli)} images, each held out by itself as the metric is defined, whatever cv says"
    group = recording.group if cv.group == "auto" else cv.group
    if isinstance(cv, Kfold):
        kind = f"{cv.folds} folds, seed {cv.seed}"
    else:
        stratum = recording.stratum if cv.stratify == "auto" else cv.stratify
        balanced = f", balanced over '{stratum}'" if stratum and not group else ""
        kind = f"{cv.splits} random splits, {cv.train_size:.0%} to train{balanced}, seed {cv.seed}"
    if group:
        why = "as the recording declares" if cv.group == "auto" else "as asked"
        return f"{kind}; every '{group}' is held out whole, {why}"
    return f"{kind}; single stimuli are held out"


def _column(recording: Recording, setting: str | None, own: str | None, key: str) -> Sequence[object] | None:
    name = own if setting == "auto" else setting
    if name is None:
        return None
    if name not in recording.stimuli:
        raise unknown(f"stimulus column of {recording.name} for {key}", name, recording.stimuli.columns)
    return list(recording.stimuli[name])
