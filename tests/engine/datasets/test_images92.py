"""The 92 images: small files of the same format, and the real ones where a mirror is named."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr

from engine.datasets.images92 import FILES, HUMANS_2008, IT, SUPPLEMENT_2008, load, recording
from engine.errors import InputError
from engine.fetch import Fetch
from engine.images import FileImages


def rdm(rng: np.random.Generator, images: int) -> np.ndarray:
    return squareform(rng.random(images * (images - 1) // 2))


def cells(rows: list[dict[str, object]]) -> np.ndarray:
    """A MATLAB struct array, 1 x n."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for place, row in enumerate(rows):
        for name, value in row.items():
            array[0, place][name] = value
    return array


def test_four_files_become_one_recording(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fifteen = np.stack([rdm(rng, 4) for _ in range(3)])
    np.savez(tmp_path / "evc.npz", Net_RDM=fifteen)
    np.savez(tmp_path / "it.npz", Net_RDM=2 * fifteen)
    people = [[rdm(rng, 4) for _ in range(2)] for _ in range(2)]
    sessions = np.empty((2, 2), dtype=[("RDM", object), ("name", object)])
    for person in range(2):
        for session in range(2):
            sessions[person, session]["RDM"] = people[person][session]
            sessions[person, session]["name"] = "hIT"
    savemat(tmp_path / "brain.mat", {"RDMs": sessions[None]})
    monkey = rdm(rng, 4)
    pictures = rng.integers(0, 256, (4, 5, 5, 3), dtype=np.uint8)
    stimuli = [
        {"category": f"kind {n}", "human": n == 0, "face": n == 1, "animal": n < 2, "natural": n < 3, "image": p}
        for n, p in enumerate(pictures)
    ]
    vectors = [
        {"name": "hITvisStim_316vx", "RDM": np.zeros((1, 6))},
        {"name": "mIT_674neurons", "RDM": squareform(monkey)[None]},
    ]
    savemat(tmp_path / "supplement.mat", {"RDMs_mIT_hIT_fig1": cells(vectors), "stimuli_92objs": cells(stimuli)})
    made = recording(*(tmp_path / name for name in ("evc.npz", "it.npz", "brain.mat", "supplement.mat")), {})
    assert made.rdms is not None
    assert made.regions == ["EVC", "IT", "IT-human-2008", "IT-monkey-2008"]
    np.testing.assert_array_equal(made.rdms["EVC"], fifteen)
    np.testing.assert_array_equal(made.rdms["IT"], 2 * fifteen)
    np.testing.assert_allclose(made.rdms["IT-human-2008"][1], (people[1][0] + people[1][1]) / 2)
    np.testing.assert_array_equal(made.rdms["IT-monkey-2008"], monkey[None])
    assert made.stimuli.loc["image_02"].to_list() == ["kind 1", True, False, True, True]
    assert made.images is not None
    np.testing.assert_array_equal(made.images[3], pictures[3])
    with pytest.raises(InputError, match="regression cannot be fitted"):
        _ = made.responses


@pytest.mark.real
def test_real_dissimilarities(real: Fetch) -> None:
    (made,) = load({}, real)
    assert made.rdms is not None
    shapes = {region: rdms.shape[0] for region, rdms in made.rdms.items()}
    assert shapes == {"EVC": 15, "IT": 15, "IT-human-2008": 4, "IT-monkey-2008": 1}
    for rdms in made.rdms.values():
        assert rdms.shape[1:] == (92, 92)
        np.testing.assert_allclose(rdms, rdms.transpose(0, 2, 1), atol=1e-12)
        assert (np.diagonal(rdms, axis1=1, axis2=2) == 0).all()
    assert made.stimuli["animate"].sum() == 48
    assert made.stimuli["face"].sum() == 24
    assert set(made.source) == {file.url for file in FILES}


@pytest.mark.real
def test_real_humans_average_to_the_published_rdm(real: Fetch) -> None:
    (made,) = load({}, real)
    assert made.rdms is not None
    published = loadmat(real(SUPPLEMENT_2008))["RDMs_mIT_hIT_fig1"].ravel()[1]
    assert published["name"].item() == "hITvisStim_316vx"
    ours = squareform(made.rdms["IT-human-2008"].mean(axis=0))
    np.testing.assert_allclose(ours, published["RDM"].ravel(), atol=1e-6)
    assert loadmat(real(HUMANS_2008))["RDMs"].shape == (1, 4, 2)


@pytest.mark.real
def test_real_sources_list_the_images_in_one_order(real: Fetch) -> None:
    """The pictures of both sources agree where the white background of the JPEGs ends, and so do the RDMs."""
    (made,) = load({}, real)
    assert made.images is not None
    assert made.rdms is not None
    folder = Path(real(IT)).parents[2] / "stimuli_data" / "92images"
    if not folder.is_dir():
        pytest.skip(f"needs the JPEG copies in {folder}")
    jpegs = FileImages([folder / f"{name}.jpg" for name in made.stimuli.index])
    inside = np.stack([jpegs[index].min(axis=2)[::5, ::5] < 240 for index in range(92)])
    white = np.stack([jpegs[index][::5, ::5].astype(float) for index in range(92)])
    grey = np.stack([made.images[index][::5, ::5].astype(float) for index in range(92)])
    for index in range(92):
        distance = np.abs(grey - white[index])[:, inside[index]].mean(axis=(1, 2))
        assert distance.argmin() == index
    mean = {region: squareform(rdms.mean(axis=0), checks=False) for region, rdms in made.rdms.items()}
    for region in ("IT-human-2008", "IT-monkey-2008"):
        assert spearmanr(mean["IT"], mean[region]).statistic > 0.4
