"""Noise ceilings: how well a perfect model could do, given how much the neuroids repeat themselves.

- ``split_half``: reliability of averages from random halves of the repetitions; Brain-Score's internal consistency.
- ``known``: the same for simulated responses, where the noise-free ones are known.
- ``noise``: noise-ceiling SNR, signal power, explainable variance and the share of it that is explained.
- ``oracle``: one response predicted by the others to the same stimulus.
- ``subjects``: one subject predicted by the others; ``rdms``: the same for dissimilarities; ``rdm_halves``:
  dissimilarities of one subject.
- ``corrected``: the conventions by which a ceiling enters a score, and thresholds on reliability.
- ``predictivity``: noise-corrected predictivity from a layer; ``from_neuroids``: from neuroids, whose own noise counts.

Behind them: ``halves``, ``moments``, ``maps``, ``correlation``.
"""

from engine.ceilings.correlation import masked_pearson, spearman_brown
from engine.ceilings.known import known
from engine.ceilings.split_half import CONVENTION, internal_consistency, split_half

__all__ = ["CONVENTION", "internal_consistency", "known", "masked_pearson", "spearman_brown", "split_half"]
