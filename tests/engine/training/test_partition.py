"""Nothing that is scored afterwards was trained on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.recording import Recording
from engine.training.partition import HeldOut, Part, Partition, check_disjoint, partition, restricted
from tests.engine.training.sessions import pictures, session


def three_sessions() -> tuple[list[Recording], list[np.ndarray]]:
    """Sessions 1 and 2 of one monkey, 3 of another; ten pictures of session 1 are shown in all, by other ids."""
    shown = [pictures(count, seed) for count, seed in ((40, 1), (50, 2), (30, 3))]
    for other in shown[1:]:
        other[:10] = shown[0][:10]
    monkeys = ["ann", "ann", "bea"]
    return [session(str(n + 1), monkeys[n], shown[n], 10, regions=("V4", "IT")) for n in range(3)], shown


def bytes_of(side: tuple[Part, ...], shown: list[np.ndarray]) -> set[bytes]:
    return {shown[part.recording][row].tobytes() for part in side for row in part.stimuli}


def ids_of(side: tuple[Part, ...], recordings: list[Recording]) -> set[str]:
    return {recordings[part.recording].neuroids.index[column] for part in side for column in part.neuroids}


def test_no_picture_and_no_neuroid_is_on_both_sides() -> None:
    recordings, shown = three_sessions()
    for seed in range(5):
        found = partition(recordings, HeldOut(0.25, 0.3, seed=seed), shown)
        assert not bytes_of(found.trained, shown) & bytes_of(found.held_out + found.new_stimuli, shown)
        assert not ids_of(found.trained, recordings) & ids_of(found.held_out, recordings)
        assert ids_of(found.new_stimuli, recordings) == ids_of(found.trained, recordings)
        everything = bytes_of(found.trained, shown) | bytes_of(found.held_out, shown)
        assert everything == {picture.tobytes() for one in shown for picture in one}
        for part, other in zip(found.trained, found.held_out, strict=True):
            assert len(part.stimuli) + len(other.stimuli) == len(shown[part.recording])
            regions = recordings[part.recording].neuroids["region"].to_numpy()
            assert (regions[other.neuroids] == "V4").sum() == (regions[other.neuroids] == "IT").sum() == 3


def test_shares_are_met_in_every_recording() -> None:
    recordings, _ = three_sessions()
    found = partition(recordings, HeldOut(0.2))
    assert [len(part.stimuli) for part in found.new_stimuli] == [8, 10, 6]
    assert found.held_out == ()  # no neuroid is kept
    assert [len(part.neuroids) for part in found.trained] == [20, 20, 20]


def test_without_pictures_the_same_one_under_two_ids_is_not_known() -> None:
    recordings, shown = three_sessions()
    found = partition(recordings, HeldOut(0.25))
    assert bytes_of(found.trained, shown) & bytes_of(found.new_stimuli, shown)
    with pytest.raises(ValueError, match="stimuli are trained on and held out"):
        check_disjoint(found, recordings, shown)


@pytest.mark.parametrize(("column", "value", "kept"), [("subject", "bea", [2]), ("session", "1", [0])])
def test_sessions_and_subjects_are_kept_whole(column: str, value: str, kept: list[int]) -> None:
    recordings, shown = three_sessions()
    found = partition(recordings, HeldOut(0.2, where={column: [value]}), shown)
    assert sorted({part.recording for part in found.trained}) == [n for n in range(3) if n not in kept]
    assert [part.recording for part in found.held_out] == kept
    assert len(found.held_out[0].neuroids) == 20
    # All its own pictures are kept, and of the ten shared ones those that are kept in the other sessions too.
    shared = {picture.tobytes() for picture in shown[0][:10]} - bytes_of(found.trained, shown)
    assert len(found.held_out[0].stimuli) == len(shown[kept[0]]) - 10 + len(shared)


def test_near_duplicates_stay_together() -> None:
    shown = pictures(40, 1)
    recording = session("1", "ann", shown, 6)
    movies = np.repeat(np.arange(8), 5)
    recording = replace(recording, stimuli=recording.stimuli.assign(movie=movies), group="movie")
    found = partition([recording], HeldOut(0.2))
    assert len(found.new_stimuli[0].stimuli) == 10  # two movies: the first alone is less than 8 stimuli
    assert not set(movies[found.trained[0].stimuli]) & set(movies[found.new_stimuli[0].stimuli])


def test_a_neuroid_recorded_in_two_sessions_is_on_one_side() -> None:
    recordings, _ = three_sessions()
    same = recordings[0].neuroids.index
    recordings[1] = replace(recordings[1], neuroids=recordings[1].neuroids.set_axis(same))
    found = partition(recordings[:2], HeldOut(0.2, 0.3))
    np.testing.assert_array_equal(found.trained[0].neuroids, found.trained[1].neuroids)
    assert not ids_of(found.trained, recordings) & ids_of(found.held_out, recordings)


def test_the_seed_decides() -> None:
    recordings, shown = three_sessions()

    def drawn(seed: int) -> list[list[int]]:
        return [part.stimuli.tolist() for part in partition(recordings, HeldOut(0.2, seed=seed), shown).trained]

    assert drawn(0) == drawn(0) != drawn(1)


def test_a_restricted_recording_holds_the_part() -> None:
    recordings, shown = three_sessions()
    found = restricted(recordings[1], Part(1, np.array([3, 7]), np.array([0, 12])))
    assert list(found.stimuli.index) == ["2/3", "2/7"]
    assert list(found.neuroids["region"]) == ["V4", "IT"]
    np.testing.assert_array_equal(found.responses, recordings[1].responses[[3, 7]][:, [0, 12]])
    assert found.images is not None
    np.testing.assert_array_equal(found.images[1], shown[1][7])
    assert found.digest() != recordings[1].digest()
    repeats = replace(recordings[1], averages=None, repeats=np.stack([recordings[1].responses] * 2))
    np.testing.assert_array_equal(
        restricted(repeats, Part(1, np.array([3, 7]), np.array([0, 12]))).responses, found.responses
    )


def test_what_is_refused() -> None:
    recordings, shown = three_sessions()
    for held_out, message in (
        (HeldOut(1.0), "less than 1"),
        (HeldOut(0.2, 0.01), "cannot be held out with some on both sides"),
        (HeldOut(0.0), "nothing is held out"),
        (HeldOut(0.2, where={"subject": ["ann", "bea"]}), "nothing to train on"),
        (HeldOut(0.2, where={"subject": ["anna"]}), "did you mean ann"),
        (HeldOut(0.2, where={"subjects": ["ann"]}), "did you mean subject"),
    ):
        with pytest.raises(InputError, match=message):
            partition(recordings, held_out, shown)
    both = Part(0, np.arange(3), np.arange(2))
    with pytest.raises(ValueError, match="2 neuroids are trained on"):
        check_disjoint(Partition((both,), (both._replace(stimuli=np.arange(3, 6)),), ()), recordings)
    rdms = replace(recordings[0], averages=None, rdms={"V4": np.zeros((1, 40, 40))}, neuroids=pd.DataFrame())
    with pytest.raises(InputError, match="dissimilarity matrices only"):
        partition([rdms], HeldOut())
    maps = replace(recordings[0], averages=None, maps=np.zeros((40, 2, 2, len(recordings[0].neuroids))))
    with pytest.raises(InputError, match="maps over positions"):
        partition([maps], HeldOut())
