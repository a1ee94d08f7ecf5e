"""Jobs of a sweep as tasks of a Ray cluster. Ray runs a job again whose worker or machine died.

Ray is used directly, not through a launcher of Hydra's, because every job here has a state of its own that outlives the
sweep.
"""

import os
from collections.abc import Sequence

from engine.sweep.launchers import Ray, Work, environment, missing
from engine.sweep.local import cores, killed
from engine.sweep.status import Sweep

LOCAL = "local"
MEMORY_FRACTION = 0.9  # of a GPU, for all jobs that share it


def check() -> None:
    """Raises InputError where Ray is missing."""
    try:
        import ray  # noqa: F401  only whether it is there
    except ImportError as error:
        raise missing("Ray", "ray", error) from error


def launch(sweep: Sweep, names: Sequence[str], settings: Ray, work: Work) -> None:
    """Runs the jobs and returns when each has ended. The sweep's folder must be seen from all machines."""
    import ray

    here = settings.address is None
    ray.init(
        address=LOCAL if here else settings.address,
        num_cpus=len(cores()) if here else None,
        include_dashboard=False if here else None,
        runtime_env={"env_vars": environment()},
        log_to_driver=False,
        logging_level="error",
    )
    try:
        # On this machine alone a job that asks for more cores than there are would wait for ever.
        cpus = min(settings.cpus, len(cores())) if here else settings.cpus
        resources = {"num_cpus": cpus, "num_gpus": settings.gpus, "max_retries": settings.retries}
        remote = ray.remote(**resources)(_run)
        task = {remote.remote(str(sweep.folder), name, sweep.started_in, settings.gpus, work): name for name in names}
        waiting = list(task)
        while waiting:
            ended, waiting = ray.wait(waiting, num_returns=1)
            for each in ended:
                try:
                    ray.get(each)
                except ray.exceptions.WorkerCrashedError:
                    sweep.fail(task[each], killed(settings.retries + 1))
                except ray.exceptions.RayError as error:
                    sweep.fail(task[each], f"{type(error).__name__}: {error}")
    finally:
        ray.shutdown()


def _run(folder: str, name: str, started_in: str, gpus: float, work: Work) -> str:
    """In a worker of the cluster, which was started in a folder of its own."""
    os.chdir(started_in)
    if gpus:
        os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{MEMORY_FRACTION * min(gpus, 1):.3f}"
    return work(folder, name)
