"""The metrics by name, each with its settings fixed and ready for a recording."""

from engine.metrics.catalogue.maps import spatial_map
from engine.metrics.catalogue.regression import linear, pls, ridge, ridgecv, variance_partition
from engine.metrics.catalogue.representation import cka, encoding_rsa, procrustes, rsa
from engine.metrics.catalogue.reverse import reverse
from engine.metrics.catalogue.units import one_to_one, population_decoding, soft_matching

__all__ = [
    "cka",
    "encoding_rsa",
    "linear",
    "one_to_one",
    "pls",
    "population_decoding",
    "procrustes",
    "reverse",
    "ridge",
    "ridgecv",
    "rsa",
    "soft_matching",
    "spatial_map",
    "variance_partition",
]
