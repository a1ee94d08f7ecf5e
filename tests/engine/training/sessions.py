"""Simulated recordings with a known answer: every neuroid follows three sums of pixels, whatever the session."""

import numpy as np
import pandas as pd

from engine.images import ArrayImages
from engine.recording import Recording

SIDE = 4
PIXELS = SIDE * SIDE * 3


def pictures(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 1]).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def session(
    name: str, subject: str, shown: np.ndarray, neuroids: int, *, regions: tuple[str, ...] = ("V4",)
) -> Recording:
    """Three sums of the pixels shown, the same in all sessions, weighted by each neuroid, and noise."""
    causes = np.random.default_rng(99).normal(size=(PIXELS, 3)) / PIXELS**0.5
    rng = np.random.default_rng([int(name), 2])
    weights = rng.normal(size=(3, neuroids * len(regions)))
    signal = (shown.reshape(len(shown), -1) / 74 - 1.7) @ causes @ weights
    return Recording(
        name=f"sim/{name}",
        stimuli=pd.DataFrame(index=pd.Index([f"{name}/{i}" for i in range(len(shown))], name="stimulus_id")),
        neuroids=pd.DataFrame(
            {"region": np.repeat(regions, neuroids), "subject": subject, "session": name},
            index=pd.Index([f"{name}/{i}" for i in range(neuroids * len(regions))], name="neuroid_id"),
        ),
        images=ArrayImages(shown),
        averages=signal + 0.3 * rng.normal(size=signal.shape),
        licence="none",
        citation="SIMULATED",
        simulated=True,
    )
