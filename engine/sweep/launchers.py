"""Who runs the jobs of a sweep: settings with their types, and which launcher they mean."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from engine.errors import InputError, unknown
from engine.sweep.status import Sweep

Work = Callable[[str, str], str]  # (folder of the sweep, name of the job) -> state; can be sent to another process


@dataclass
class Sequential:
    kind: str = "sequential"


@dataclass
class Local:
    kind: str = "local"
    workers: int | None = None
    memory_fraction: float = 0.9
    retries: int = 1


@dataclass
class Slurm:
    kind: str = "slurm"
    cluster: str = "slurm"
    jobs_per_task: int = 1
    at_once: int = 64
    minutes: int = 240
    cpus: int = 8
    gpus: int = 1
    memory_gb: float = 32
    partition: str | None = None
    account: str | None = None
    constraint: str | None = None
    requeues: int = 3
    extra: dict[str, Any] = field(default_factory=dict)
    setup: list[str] = field(default_factory=list)


@dataclass
class Ray:
    kind: str = "ray"
    address: str | None = None
    cpus: float = 4
    gpus: float = 0
    retries: int = 3


KINDS = {"sequential": Sequential, "local": Local, "slurm": Slurm, "ray": Ray}
Launcher = Sequential | Local | Slurm | Ray
AT_LEAST = {
    "workers": 1,
    "jobs_per_task": 1,
    "at_once": 1,
    "minutes": 1,
    "cpus": 1,
    "gpus": 0,
    "retries": 0,
    "requeues": 0,
}


def typed(config: DictConfig) -> Launcher:
    """The settings of ``launcher``.

    Raises:
        InputError: a value of the wrong type or out of range; names the key.
    """
    if config.kind not in KINDS:
        raise unknown("launcher", config.kind, KINDS)
    try:
        settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(KINDS[config.kind]), config))
    except OmegaConfBaseException as error:
        raise InputError(f"cannot use the settings of launcher: {' '.join(str(error).split())}") from error
    assert isinstance(settings, Launcher)
    for name, least in AT_LEAST.items():
        value = getattr(settings, name, None)
        if value is not None and value < least:
            raise InputError(f"launcher.{name}={value:g}: wanted at least {least}")
    if isinstance(settings, Local) and not 0 < settings.memory_fraction <= 1:
        raise InputError(f"launcher.memory_fraction={settings.memory_fraction:g}: wanted above 0, at most 1")
    if isinstance(settings, Slurm) and settings.cluster not in ("slurm", "local"):
        raise unknown("launcher.cluster", settings.cluster, ("slurm", "local"))
    return settings


def check(settings: Launcher) -> None:
    """Raises InputError where the launcher's package or program is missing, before a sweep begins."""
    if isinstance(settings, Slurm):
        from engine.sweep.slurm import check as check_slurm

        check_slurm(settings)
    elif isinstance(settings, Ray):
        from engine.sweep.ray import check as check_ray

        check_ray()


def launch(sweep: Sweep, names: Sequence[str], settings: Launcher, work: Work) -> None:
    """Runs these jobs and returns when each has ended, in whatever way; which one, its status says."""
    if isinstance(settings, Local):
        from engine.sweep.local import launch as launch_local

        launch_local(sweep, names, settings, work)
    elif isinstance(settings, Slurm):
        from engine.sweep.slurm import launch as launch_slurm

        launch_slurm(sweep, names, settings, work)
    elif isinstance(settings, Ray):
        from engine.sweep.ray import launch as launch_ray

        launch_ray(sweep, names, settings, work)
    else:
        for name in names:
            work(str(sweep.folder), name)


def missing(package: str, extra: str, error: ImportError) -> InputError:
    """For a launcher whose package is not installed."""
    return InputError(f"launcher={extra} needs {package} ({error}); pip install 'corticalign[{extra}]'")


def environment() -> dict[str, str]:
    """What a worker on another machine must be told: where data and caches are."""
    told = ("CORTICALIGN_", "XDG_CACHE_HOME", "HF_HOME", "JAX_", "XLA_")
    return {name: value for name, value in os.environ.items() if name.startswith(told)}
