"""The settings of cross-validation with their types."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class Kfold:
    kind: str = MISSING
    folds: int = MISSING
    seed: int = MISSING
    group: str | None = MISSING


@dataclass
class Shuffle:
    kind: str = MISSING
    splits: int = MISSING
    train_size: float = MISSING
    inner_folds: int = MISSING
    seed: int = MISSING
    stratify: str | None = MISSING
    group: str | None = MISSING


CV = {"kfold": Kfold, "shuffle": Shuffle}
