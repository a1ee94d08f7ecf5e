"""The simulated data set: the same every time, like photographs, and with the ceiling it claims."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine.datasets import sim
from engine.datasets.sim_images import PIXELS, draw
from engine.datasets.sim_neurons import DEGREES, gabor_energy, spike_counts, true_ceiling
from engine.errors import InputError
from engine.fetch import RemoteFile
from engine.recording import Recording

SMALL: dict[str, object] = {"stimuli": 30, "neurons": 5, "repetitions": 3}


def no_fetch(file: RemoteFile) -> Path:
    raise AssertionError(f"{file} was asked for")


def load(**options: object) -> Recording:
    [recording] = sim.load(options, no_fetch)
    return recording


def pixels(recording: Recording) -> np.ndarray:
    assert recording.images is not None
    return np.stack([recording.images[i] for i in range(len(recording.images))])


def fingerprint(recording: Recording) -> str:
    return hashlib.sha256(pixels(recording).tobytes() + recording.digest().encode()).hexdigest()


@pytest.fixture(scope="module")
def default() -> Recording:
    return load()


@pytest.fixture(scope="module")
def features() -> dict[str, np.ndarray]:
    return sim.generating_features({})


def test_says_that_it_is_simulated(default: Recording) -> None:
    assert default.simulated
    for text in (default.name, default.licence, default.citation, sim.INFO.summary, sim.INFO.licence):
        assert "SIMULATED" in text
    assert set(default.neuroids["subject"]) == {"simulated"}
    assert sim.files({}) == []


def test_sizes(default: Recording) -> None:
    assert default.repeats is not None
    assert default.repeats.shape == (8, 400, 120)
    assert default.regions == ["V1", "V4", "IT"]
    assert default.neuroids["region"].value_counts().tolist() == [40, 40, 40]
    assert pixels(default).shape == (400, PIXELS, PIXELS, 3)


def test_another_process_makes_the_same_bytes() -> None:
    code = "import test_sim as t; print(t.fingerprint(t.load(**t.SMALL)))"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    run = [sys.executable, "-c", code]
    there = subprocess.run(run, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == fingerprint(load(**SMALL))


def test_another_seed_makes_another_recording() -> None:
    one, other = load(**SMALL), load(**SMALL, seed=1)
    assert not (pixels(one) == pixels(other)).all(axis=(1, 2, 3)).any()
    assert one.truth is not None
    assert other.truth is not None
    assert np.abs(one.truth - other.truth).max() > 0.5
    assert not set(one.stimuli.index) & set(other.stimuli.index)


def test_a_scene_does_not_depend_on_how_many_there_are() -> None:
    np.testing.assert_array_equal(draw(3, seed=0).images, draw(5, seed=0).images[:3])


def test_shares_of_shapes_are_areas() -> None:
    share = draw(10, seed=0).share
    assert (share >= 0).all()
    assert (share.sum(axis=1) <= 1).all()
    assert share.sum() > 1


def test_amplitude_spectrum_falls_as_in_photographs(default: Recording) -> None:
    """Log amplitude on log frequency, averaged over orientations; photographs: about -1, between -0.8 and -1.5."""
    grey = pixels(default)[:100].mean(axis=-1)
    window = np.outer(np.hanning(PIXELS), np.hanning(PIXELS))
    power = (np.abs(np.fft.fft2((grey - grey.mean(axis=(1, 2), keepdims=True)) * window)) ** 2).mean(axis=0)
    cycles = np.hypot(*np.meshgrid(np.fft.fftfreq(PIXELS, 1 / PIXELS), np.fft.fftfreq(PIXELS, 1 / PIXELS)))
    rings = np.arange(2, 56)
    amplitude = [np.sqrt(power[(cycles >= k) & (cycles < k + 1)].mean()) for k in rings]
    for part in (slice(None), slice(0, 18), slice(18, 36), slice(36, None)):
        slope = np.polyfit(np.log(rings[part] + 0.5), np.log(amplitude[part]), 1)[0]
        assert -1.5 < slope < -0.8


def test_colours_vary_as_in_photographs(default: Recording) -> None:
    """Lightness more than blue against yellow, that more than red against green (Ruderman 1998)."""
    red, green, blue = np.moveaxis(pixels(default).astype(float), -1, 0)
    light, blue_yellow, red_green = (red + green + blue) / 3, blue - (red + green) / 2, (red - green) / 2
    assert light.std() > blue_yellow.std() > red_green.std()


def grating(x: float, y: float, orientation: float, frequency: float, width: float) -> np.ndarray:
    """A patch of bars: centre in degrees (y upwards), direction of the bars in degrees anticlockwise."""
    axis = (np.arange(PIXELS) + 0.5) * DEGREES / PIXELS - DEGREES / 2
    dx, dy = axis[None, :] - x, -axis[:, None] - y
    angle = np.deg2rad(orientation)
    across = dy * np.cos(angle) - dx * np.sin(angle)
    patch = np.exp(-((dx**2 + dy**2) / width**2)) * np.cos(2 * np.pi * frequency * across + 1.0)
    return np.repeat(np.round(128 + 100 * patch).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("cell", range(6))
def test_v1_cells_prefer_what_the_table_says(default: Recording, cell: int) -> None:
    v1 = default.neuroids[default.neuroids["region"] == "V1"].iloc[[cell]]
    x, y, orientation, frequency = v1[["x", "y", "orientation", "frequency"]].to_numpy(float)[0]
    own = {"x": x, "y": y, "orientation": orientation, "frequency": frequency, "width": 1 / frequency}
    probes: dict[str, tuple[float, ...]] = {
        "x": (-1.5, -0.5, 0, 0.5, 1.5),
        "y": (-1.5, -0.5, 0, 0.5, 1.5),
        "orientation": (0, 30, 60, 90, 120, 150),
        "frequency": (-0.4, -0.2, 0, 0.2, 0.4),
    }
    for name, steps in probes.items():
        images = np.stack([grating(**own | {name: own[name] + step}) for step in steps])
        assert steps[int(gabor_energy(images, v1)[:, 0].argmax())] == 0


def test_v1_cells_ignore_a_uniform_image_and_phase(default: Recording) -> None:
    v1 = default.neuroids[default.neuroids["region"] == "V1"]
    flat = np.full((1, PIXELS, PIXELS, 3), 200, np.uint8)
    axis = (np.arange(PIXELS) + 0.5) * DEGREES / PIXELS
    waves = [128 + 100 * np.sin(2 * np.pi * axis + phase) for phase in (0.0, 0.7, 1.4)]
    images = np.broadcast_to(np.stack(waves)[:, None, :, None], (3, PIXELS, PIXELS, 3)).round().astype(np.uint8)
    energy = gabor_energy(images, v1)
    assert gabor_energy(flat, v1).max() < 1e-4 * energy.max()
    # Cells tuned to the wave see its amplitude, not its phase; the others hardly respond.
    np.testing.assert_allclose(energy, energy[:1].repeat(3, axis=0), atol=0.05 * energy.max())


def test_noise_is_poisson(default: Recording) -> None:
    truth = default.truth
    assert truth is not None
    assert truth.min() > 0
    counts = spike_counts(truth, 400, np.random.default_rng(5))
    mean, variance = counts.mean(axis=0), counts.var(axis=0, ddof=1)
    z = (mean - truth) / np.sqrt(truth / 400)
    assert abs(z.mean()) < 0.02
    assert z.std() == pytest.approx(1, abs=0.02)
    order = np.argsort(truth, axis=None)
    for part in np.array_split(order, 8):  # from the smallest to the largest rates
        assert variance.ravel()[part].sum() / truth.ravel()[part].sum() == pytest.approx(1, abs=0.02)


def test_repetitions_are_independent(default: Recording) -> None:
    """Averages of R repetitions miss the truth by its variance / R."""
    assert default.repeats is not None
    assert default.truth is not None
    for count in (1, 2, 4, 8):
        error = default.repeats[:count].mean(axis=0, dtype=np.float64) - default.truth
        assert (error**2).mean() == pytest.approx(default.truth.mean() / count, rel=0.03)


def test_truth_is_affine_in_the_generating_features(default: Recording, features: dict[str, np.ndarray]) -> None:
    assert default.truth is not None
    for region, given in features.items():
        truth = default.truth[:, (default.neuroids["region"] == region).to_numpy()]
        design = np.column_stack([np.ones(len(given)), (given - given.mean(axis=0)) / given.std(axis=0)])
        residual = truth - design @ np.linalg.lstsq(design, truth)[0]
        assert np.linalg.norm(residual) < 1e-10 * np.linalg.norm(truth - truth.mean(axis=0))


def test_known_ceiling_is_the_correlation_with_the_truth(default: Recording) -> None:
    assert default.truth is not None
    reached = [np.corrcoef(a, b)[0, 1] for a, b in zip(default.responses.T, default.truth.T, strict=True)]
    assert np.mean(reached - true_ceiling(default.truth, 8)) == pytest.approx(0, abs=0.005)


def held_out_r(given: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Pearson r per neuroid, mean over five folds, of ridge with penalties chosen on the training stimuli."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 7), alpha_per_target=True))
    scores = []
    for train, test in KFold(5, shuffle=True, random_state=0).split(given):
        guess = model.fit(given[train], responses[train]).predict(given[test])
        scores.append([np.corrcoef(a, b)[0, 1] for a, b in zip(guess.T, responses[test].T, strict=True)])
    return np.mean(scores, axis=0)


@pytest.mark.parametrize("region", ["V1", "V4", "IT"])
def test_ridge_on_the_generating_features_reaches_the_ceiling_and_shuffled_responses_do_not(
    default: Recording, features: dict[str, np.ndarray], region: str
) -> None:
    assert default.truth is not None
    chosen = (default.neuroids["region"] == region).to_numpy()
    responses, ceiling = default.responses[:, chosen], np.median(true_ceiling(default.truth[:, chosen], 8))
    assert np.median(held_out_r(features[region], responses)) == pytest.approx(ceiling, abs=0.02)
    shuffled = np.random.default_rng(0).permutation(responses)
    # A correlation over 80 stimuli has a standard error of .11, its mean over five folds .05.
    assert np.median(held_out_r(features[region], shuffled)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stimuli": 5}, "stimuli must be a whole number from 20 to .*, got 5"),
        ({"stimuli": 100.5}, "got 100.5"),
        ({"neurons": 0}, "neurons must be"),
        ({"repetitions": "many"}, "got 'many'"),
        ({"repetitions": True}, "got True"),
        ({"seed": -1}, "seed must be"),
        ({"stimulus": 100}, "unknown .*'stimulus'; did you mean stimuli"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    for refuse in (lambda: load(**options), lambda: sim.files(options), lambda: sim.generating_features(options)):
        with pytest.raises(InputError, match=message):
            refuse()


def test_smallest_recording() -> None:
    recording = load(stimuli=20, neurons=1, repetitions=1)
    assert recording.truth is not None
    assert np.isfinite(recording.truth).all()
    assert isinstance(recording.neuroids, pd.DataFrame)
