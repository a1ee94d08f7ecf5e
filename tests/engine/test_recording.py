"""Recording: its checks, its averages over repeats, its digest."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.images import ArrayImages
from engine.recording import Recording


def table(ids: list[str], **columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.Index(ids, dtype="str"))


@pytest.fixture
def recording() -> Recording:
    """Three repetitions of four stimuli, two neuroids."""
    return Recording(
        name="small",
        stimuli=table(["a", "b", "c", "d"], movie=["x", "x", "y", "y"]),
        neuroids=table(["n1", "n2"], region=["V4", "IT"], subject=["s", "s"]),
        images=ArrayImages(np.zeros((4, 5, 6, 3), np.uint8)),
        licence="none",
        citation="none",
        repeats=np.random.default_rng(0).poisson(3.0, (3, 4, 2)).astype(float),
    )


def test_responses_average_the_presentations_that_exist(recording: Recording) -> None:
    assert recording.repeats is not None
    repeats = recording.repeats.copy()
    repeats[0, 1, 0] = np.nan
    repeats[:, 2, 1] = np.nan
    responses = replace(recording, repeats=repeats).responses
    assert responses[0, 0] == pytest.approx(repeats[:, 0, 0].mean())
    assert responses[1, 0] == pytest.approx(repeats[1:, 1, 0].mean())
    assert np.isnan(responses[2, 1])
    assert np.isnan(responses).sum() == 1


def test_averages_are_the_responses(recording: Recording) -> None:
    averages = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(replace(recording, repeats=None, averages=averages).responses, averages)


def test_rdms_alone_have_no_responses(recording: Recording) -> None:
    rdms = {"IT": np.zeros((2, 4, 4)), "EVC": np.zeros((1, 4, 4))}
    only = replace(recording, repeats=None, rdms=rdms, neuroids=recording.neuroids.iloc[:0])
    assert only.regions == ["IT", "EVC"]
    with pytest.raises(InputError, match="dissimilarity matrices only"):
        _ = only.responses


def test_maps_have_no_single_responses_but_a_digest_of_their_own(recording: Recording) -> None:
    maps = np.random.default_rng(0).normal(size=(4, 3, 5, 2))
    of_maps = replace(recording, repeats=None, maps=maps)
    assert of_maps.regions == ["V4", "IT"]
    with pytest.raises(InputError, match=r"recording 'small' holds maps .* score it with metric=spatial_map"):
        _ = of_maps.responses
    assert replace(of_maps, maps=maps.copy()).digest() == of_maps.digest()
    assert replace(of_maps, maps=maps[:, ::-1]).digest() != of_maps.digest()


def test_regions_in_order_of_appearance(recording: Recording) -> None:
    assert recording.regions == ["V4", "IT"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"repeats": None}, "it holds none"),
        ({"averages": np.zeros((4, 2))}, "it holds repeats and averages"),
        ({"stimuli": table(["a", "b", "a", "d"])}, "stimulus id 'a' stands 2 times"),
        ({"neuroids": table(["n", "n"], region=["V4", "V4"], subject=["s", "s"])}, "neuroid id 'n' stands 2 times"),
        ({"neuroids": table(["n1", "n2"], subject=["s", "s"])}, "lacks the column.* region"),
        ({"images": ArrayImages(np.zeros((3, 5, 6, 3), np.uint8))}, "3 images for 4 stimuli"),
        ({"group": "scene"}, "no column 'scene'"),
        ({"stratum": "scene"}, "no column 'scene'"),
        ({"repeats": np.zeros((3, 2, 4))}, r"repeats have shape \(3, 2, 4\).*4 stimuli and 2 neuroids"),
        ({"repeats": np.zeros((4, 2))}, r"repeats have shape \(4, 2\)"),
        ({"truth": np.zeros((4, 3))}, r"truth have shape \(4, 3\)"),
        ({"maps": np.zeros((4, 3, 5, 2))}, "it holds repeats and maps"),
        ({"repeats": None, "maps": np.zeros((4, 15, 2))}, r"maps have shape \(4, 15, 2\), wanted \(4, x, y, 2\)"),
        ({"repeats": None, "maps": np.zeros((4, 3, 5, 3))}, r"maps have shape \(4, 3, 5, 3\)"),
        ({"repeats": None, "rdms": {"IT": np.zeros((4, 4))}}, r"RDMs of IT have shape \(4, 4\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(recording: Recording, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(recording, **change)  # type: ignore[arg-type]  # wrong on purpose


def test_digest_depends_on_what_was_recorded_only(recording: Recording) -> None:
    assert recording.repeats is not None
    changed = recording.repeats.copy()
    changed[0, 0, 0] += 1
    digest = recording.digest()
    assert replace(recording, name="other", images=None).digest() == digest
    assert replace(recording, repeats=changed).digest() != digest
    assert replace(recording, stimuli=recording.stimuli.rename(index={"a": "z"})).digest() != digest
    assert replace(recording, neuroids=recording.neuroids.assign(region="V1")).digest() != digest
