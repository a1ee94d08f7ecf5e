import numpy as np
import pandas as pd
import pytest

from engine.images import ArrayImages
from engine.recording import Recording
from tests.engine.recording_file.pictures import RNG


@pytest.fixture
def recording() -> Recording:
    """Five stimuli, three neuroids, four repetitions with gaps; columns of every type."""
    stimuli = pd.DataFrame(
        {
            "object/name": ["apple", None, "", "pärchen 🍐", "nan"],
            "frame": np.array([3, 1, 4, 1, 5], np.int32),
            "maybe": pd.array([1, None, 2**53 + 1, 4, 5], dtype="Int64"),
            "contrast": [0.1, np.nan, 1 / 3, 4.0, 5.0],
            "small": np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32),
            "natural": [True, False, True, True, False],
            "sure": pd.array([True, None, False, True, None], dtype="boolean"),
            ".": list("abcde"),
            "kind": pd.Categorical(["u", "v", "u", "v", "u"]),
            "mixed": pd.Series([1, None, 3, 4, 5], dtype=object).to_numpy(),
        },
        index=pd.Index(["007", "NA", "c", "d", "e"], dtype="str", name="stimulus"),
    )
    repeats = RNG.poisson(3.0, (4, 5, 3)).astype(np.float32)
    repeats[1, 2, 0] = np.nan
    return Recording(
        name="grüner Apfel",
        stimuli=stimuli,
        neuroids=pd.DataFrame(
            {"region": ["V4", "IT", "V4"], "subject": ["a", "a", "b"]},
            index=pd.Index(["x", "y", "z"], dtype="str", name="neuroid"),
        ),
        images=ArrayImages(RNG.integers(0, 255, (5, 8, 9, 3), np.uint8)),
        licence="CC0",
        citation="nobody 1900",
        repeats=repeats,
        truth=RNG.random((5, 3)),
        degrees=6.5,
        group="object/name",
        stratum="natural",
        source={"https://example.org/a b.npy": "sha256:00", "https://example.org/c": "sha1:11"},
        simulated=True,
    )
