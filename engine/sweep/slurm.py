"""Jobs of a sweep as a SLURM job array, through submitit (Facebook AI Research).

Each task of the array runs some jobs of the sweep. Near its time limit, or when the cluster takes its machine back,
it is queued again and goes on with the jobs that have not ended; layers and results of the interrupted one are kept.
submitit is used directly, not through a launcher of Hydra's, because every job here has a state of its own that
outlives the sweep.
"""

import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.sweep import status
from engine.sweep.launchers import Slurm, Work, missing
from engine.sweep.status import Sweep, load

EVERY = {"local": 1.0, "slurm": 5.0}  # seconds between looks
GRACE = 10.0  # seconds that a status file may come late over NFS, or a preempted task needs to be queued again


@dataclass(frozen=True)
class Task:
    """What a task of the array does; pickled by submitit."""

    folder: str
    work: Work

    def __call__(self, names: tuple[str, ...]) -> None:
        sweep = load(Path(self.folder))
        for name in names:
            if sweep.read(name).state not in status.FINAL:
                self.work(self.folder, name)

    def checkpoint(self, names: tuple[str, ...]) -> Any:
        """Called by submitit before it queues the task again."""
        from submitit.helpers import DelayedSubmission

        sweep = load(Path(self.folder))
        for name in names:
            if (running := sweep.read(name)).state == status.RUNNING:  # it was not killed for what it did
                sweep.write(name, replace(running, state=status.QUEUED, reason="its machine was taken back"))
        return DelayedSubmission(self, names)


def check(settings: Slurm) -> None:
    """Raises InputError where submitit or SLURM is missing."""
    try:
        import submitit  # noqa: F401  only whether it is there
    except ImportError as error:
        raise missing("submitit", "slurm", error) from error
    if settings.cluster == "slurm" and shutil.which("sbatch") is None:
        raise InputError(
            "launcher=slurm: no 'sbatch' here; start the sweep on a login node of the cluster, or use launcher=local"
        )


def launch(sweep: Sweep, names: Sequence[str], settings: Slurm, work: Work) -> None:
    """Submits the jobs and returns when each has ended; stopping to wait does not stop them."""
    tasks = executor(sweep, settings)
    size = settings.jobs_per_task
    groups = [tuple(names[at : at + size]) for at in range(0, len(names), size)]
    submitted = tasks.map_array(Task(str(sweep.folder), work), groups)
    waiting = dict(zip(submitted, groups, strict=True))
    missed: dict[Any, float] = {}  # since when a task is in no queue
    while waiting:
        time.sleep(EVERY[settings.cluster])
        queued = (
            _queued(list(waiting)) if settings.cluster == "slurm" else [task for task in waiting if not task.done()]
        )
        for task, group in list(waiting.items()):
            left = [name for name in group if sweep.read(name).state not in status.FINAL]
            if not left:
                del waiting[task]
            elif queued is None or task in queued:
                missed.pop(task, None)
            elif time.monotonic() - missed.setdefault(task, time.monotonic()) > GRACE:
                for name in left:
                    sweep.fail(name, f"SLURM task {task.job_id} ended before the job; see {task.paths.stderr}")
                del waiting[task]


def _queued(tasks: Sequence[Any]) -> list[Any] | None:
    """Those that SLURM still runs or will run; None where it does not answer.

    Asked of squeue: sacct, which submitit asks, answers only where accounting is kept.
    """
    arrays = sorted({str(task.job_id).partition("_")[0] for task in tasks})
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(arrays)}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode and "Invalid job id" not in answer.stderr:  # what it says when all have ended
        return None
    found = set(answer.stdout.split())
    return [task for task in tasks if str(task.job_id) in found]


def executor(sweep: Sweep, settings: Slurm) -> Any:
    """Submitit's executor with these resources; what it writes lies in ``slurm`` in the sweep's folder."""
    import submitit

    folder, limit = sweep.folder / "slurm", settings.requeues
    tasks: Any
    if settings.cluster == "local":
        tasks = submitit.LocalExecutor(folder=folder)
        tasks.update_parameters(timeout_min=settings.minutes, gpus_per_node=settings.gpus, setup=settings.setup)
    else:
        tasks = submitit.SlurmExecutor(folder=folder, max_num_timeout=limit)
        tasks.update_parameters(**sbatch_parameters(settings))
    return tasks


def sbatch_parameters(settings: Slurm) -> dict[str, Any]:
    """The resources of one task, as submitit's executor for SLURM names them."""
    optional = {"partition": settings.partition, "account": settings.account, "constraint": settings.constraint}
    return {
        "job_name": "corticalign",
        "time": settings.minutes,
        "cpus_per_task": settings.cpus,
        "mem": f"{settings.memory_gb:g}GB" if settings.memory_gb >= 1 else f"{settings.memory_gb * 1024:.0f}MB",
        "array_parallelism": settings.at_once,
        "setup": list(settings.setup),
        "additional_parameters": {"requeue": True, **settings.extra},
        **({"gpus_per_node": settings.gpus} if settings.gpus else {}),
        **{name: value for name, value in optional.items() if value is not None},
    }


def preemption_signal() -> int:
    """What submitit is sent before its machine is taken back."""
    from submitit.core.job_environment import JobEnvironment

    return int(JobEnvironment._usr_sig())
