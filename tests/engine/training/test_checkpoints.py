import multiprocessing
import resource
from pathlib import Path

import jax
import numpy as np
import pytest

from engine.errors import InputError
from engine.training.checkpoints import Checkpoints, Progress
from engine.training.optimiser import Settings
from engine.training.state import TrainState
from tests.engine.training.toy import ADAMW, batch, begin, digest, parameters

SETTINGS = {"model": "toy", "optimiser": {"learning_rate": 0.02}, "seed": 3}


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def numbered(state: TrainState, step: int) -> TrainState:
    return state._replace(step=jax.numpy.int32(step))


def test_a_state_comes_back_bit_for_bit_although_training_went_on(tmp_path: Path) -> None:
    _, step, state = begin(ADAMW, 10)
    with_step = {}
    checkpoints = Checkpoints(tmp_path, SETTINGS, keep=3)
    for number in (1, 2, 3):
        state, _, _ = step.run(state, step.place(batch(number)))
        with_step[number] = digest(state)
        checkpoints.save(state, Progress({"drawn": number}))
    for number in (4, 5, 6):  # each step uses up the state whose arrays may still be written
        state, _, _ = step.run(state, step.place(batch(number)))
    checkpoints.close()
    again = Checkpoints(tmp_path, SETTINGS, keep=3)
    for number, wanted in with_step.items():
        found = again.restore(begin(ADAMW, 10)[2], number)
        assert digest(found) == wanted
        assert jax.tree.structure(found) == jax.tree.structure(state)
        assert again.progress(number) == Progress({"drawn": number})
    again.close()


def test_the_latest_and_the_best_are_kept_also_after_a_restart(tmp_path: Path) -> None:
    _, _, state = begin(ADAMW, 10)
    for first in (0, 4):
        checkpoints = Checkpoints(tmp_path, SETTINGS, keep=2)
        for number in range(first, first + 4):
            checkpoints.save(numbered(state, number), Progress(best_step=1 if number else 0, best_score=0.5))
        checkpoints.close()
    assert steps(tmp_path) == ["1", "6", "7"]
    again = Checkpoints(tmp_path, SETTINGS)
    assert (again.latest, again.best) == (7, 1)
    again.close()


def test_a_checkpoint_of_another_run_is_refused_naming_both(tmp_path: Path) -> None:
    _, _, state = begin(ADAMW, 10)
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    checkpoints.save(state, Progress())
    checkpoints.close()
    with pytest.raises(InputError, match="of another run: model is toy there and vgg16 here; give another folder"):
        Checkpoints(tmp_path, SETTINGS | {"model": "vgg16"})
    with pytest.raises(InputError, match="seed is 3 there and not set here, images is not set there and 5 here"):
        Checkpoints(tmp_path, {name: SETTINGS[name] for name in ("model", "optimiser")} | {"images": 5})


def test_a_state_of_other_shapes_is_refused_naming_both(tmp_path: Path) -> None:
    _, _, state = begin(ADAMW, 10)
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    checkpoints.save(state, Progress())
    wider = parameters() | {"last": {"weight": np.zeros(9, np.float32)}}
    with pytest.raises(InputError, match=r"params.last.weight is float32\[5\] there and float32\[9\] here") as raised:
        checkpoints.restore(state._replace(params=wider), 0)
    assert "of another model or optimiser" in str(raised.value)
    with pytest.raises(InputError, match="of another model or optimiser"):
        checkpoints.restore(begin(Settings("sgd", 0.1), 10)[2], 0)
    checkpoints.close()


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    _, _, state = begin(ADAMW, 10)
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    checkpoints.save(state, Progress())
    checkpoints.wait()
    for file in (tmp_path / "0" / "state").rglob("*"):
        if file.is_file() and file.parent.name == "d":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cannot be read .*; remove that folder to go on from an earlier one"):
        checkpoints.restore(state, 0)
    (tmp_path / "0" / "about" / "metadata").write_text('{"settings": ')
    with pytest.raises(InputError, match="cannot be read"):
        checkpoints.progress(0)
    checkpoints.close()


def test_unfinished_checkpoints_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    left = tmp_path / "7.orbax-checkpoint-tmp"
    left.mkdir()
    (left / "part").write_text("x")
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    assert checkpoints.latest is None
    checkpoints.save(begin(ADAMW, 10)[2], Progress())
    checkpoints.close()
    assert steps(tmp_path) == ["0"]


def test_too_little_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    _, _, state = begin(ADAMW, 10)
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    checkpoints.save(state, Progress())
    # An array of 4 EB that takes 4 bytes: no disk has room for it.
    large = numbered(state, 1)._replace(params=np.broadcast_to(np.float32(0), (10**9, 10**9)))
    with pytest.raises(
        InputError, match=r"No space left on device \(4.*MB are needed.*the last good one, .*/0, is kept"
    ):
        checkpoints.save(large, Progress())
    checkpoints.close()
    assert steps(tmp_path) == ["0"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to the output folder"):
        Checkpoints(tmp_path / "file" / "checkpoints", SETTINGS)
    with pytest.raises(InputError, match="keep=0"):
        Checkpoints(tmp_path, SETTINGS, keep=0)
    checkpoints = Checkpoints(tmp_path / "gone", SETTINGS)
    (tmp_path / "gone").rmdir()
    (tmp_path / "gone").write_text("")
    with pytest.raises(InputError, match=r"a checkpoint could not be written to .*gone: .*; there is no earlier one"):
        checkpoints.save(begin(ADAMW, 10)[2], Progress())


def write_limited(folder: Path) -> None:
    """One checkpoint, then one whose files may not grow as large: what a full quota does, in the background."""
    _, _, state = begin(ADAMW, 10)
    random = np.random.default_rng(0).normal(size=100_000).astype(np.float32)  # hardly compressible
    checkpoints = Checkpoints(folder, SETTINGS)
    checkpoints.save(state._replace(params=random), Progress())
    checkpoints.wait()
    (folder.parent / "good").write_text(digest(state._replace(params=random)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        checkpoints.save(numbered(state, 1)._replace(params=random), Progress())
        checkpoints.wait()
    except InputError as error:
        (folder.parent / "told").write_text(str(error))


def test_a_write_that_fails_in_the_background_is_told_and_the_last_good_one_stays(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engine.training.toy"])
    folder = tmp_path / "checkpoints"
    process = context.Process(target=write_limited, args=(folder,))
    process.start()
    process.join()
    told = (tmp_path / "told").read_text()
    assert told.startswith(f"a checkpoint could not be written to {folder}: File too large; the last good one, ")
    again = Checkpoints(folder, SETTINGS)
    assert again.latest == 0
    like = begin(ADAMW, 10)[2]._replace(params=jax.numpy.zeros(100_000))
    assert digest(again.restore(like, 0)) == (tmp_path / "good").read_text()
    again.save(numbered(like, 1), Progress())
    again.close()
    assert steps(folder) == ["0", "1"]
