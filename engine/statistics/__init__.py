"""Intervals, null distributions and comparisons of scores."""

from engine.statistics.bootstrap import bootstrap_median

__all__ = ["bootstrap_median"]
