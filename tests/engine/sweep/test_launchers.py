"""Jobs in other processes, for real: devices and cores of each, workers that are killed, tasks queued again."""

import ast
import os
import shutil
import subprocess
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.sweep import launchers, local, status
from engine.sweep.launchers import Local, Ray, Slurm
from engine.sweep.status import Sweep
from tests.engine.sweep.jobs import note, sweep_of


def seen(sweep: Sweep, name: str) -> list[object]:
    return list(ast.literal_eval((sweep.place(name) / "seen").read_text()))


def states(sweep: Sweep) -> dict[str, str]:
    return {name: each.state for name, each in sweep.statuses().items()}


def test_cores_and_gpus_are_divided() -> None:
    four = local.slots(range(8), ["0", "1"], Local(workers=4))
    assert [slot.cores for slot in four] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in four] == ["0", "1", "0", "1"]
    assert {slot.environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] for slot in four} == {"0.450"}
    three = local.slots(range(8), ["0", "1"], Local(workers=3))
    assert [float(slot.environment["XLA_PYTHON_CLIENT_MEM_FRACTION"]) for slot in three] == [0.45, 0.9, 0.45]
    assert [core for slot in three for core in slot.cores] == list(range(8))
    assert len(local.slots(range(8), ["0", "3"], Local())) == 2  # one for each
    assert len(local.slots(range(8), [], Local())) == 2  # one for every four cores
    assert [slot.cores for slot in local.slots([5], [], Local(workers=2))] == [(5,), (5,)]


def test_workers_have_their_cores_and_one_that_is_killed_takes_only_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,9")
    before = os.sched_getaffinity(0)
    sweep = sweep_of(tmp_path, "dies", "once", "a", "b")
    local.launch(sweep, [job.name for job in sweep.jobs], Local(workers=2), note)
    assert states(sweep) == {"dies": "failed", "once": "done", "a": "done", "b": "done"}
    assert "killed, 2 times" in sweep.read("dies").reason
    assert (sweep.read("once").attempt, sweep.read("once").killed) == (2, 1)
    assert (sweep.read("dies").killed, sweep.read("a").killed) == (2, 0)
    wanted = {
        (slot.environment["CUDA_VISIBLE_DEVICES"], slot.cores)
        for slot in local.slots(local.cores(), ["7", "9"], Local(workers=2))
    }
    assert {(seen(sweep, name)[1], tuple(seen(sweep, name)[0])) for name in "ab"} <= wanted  # type: ignore[call-overload]  # lists read from JSON
    assert os.sched_getaffinity(0) == before


@pytest.mark.filterwarnings(  # submitit leaves the process that looks after a task to end by itself, after the task has
    "ignore:.*Popen.__del__:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed: pip install 'corticalign[slurm]'")
def test_a_task_whose_machine_is_taken_back_is_queued_again(tmp_path: Path) -> None:
    from engine.sweep import slurm

    sweep = sweep_of(tmp_path, "a", "requeued", "b")
    settings = Slurm(cluster="local", jobs_per_task=3, gpus=0, cpus=1, minutes=5)
    taken: list[int] = []

    def take_back() -> None:
        while not taken:
            running = sweep.read("requeued")
            if running.state == status.RUNNING:
                os.kill(running.process, slurm.preemption_signal())
                taken.append(running.process)
            time.sleep(0.05)

    thread = threading.Thread(target=take_back)
    thread.start()
    slurm.launch(sweep, ["a", "requeued", "b"], settings, note)
    thread.join()
    assert set(states(sweep).values()) == {"done"}
    assert (sweep.read("requeued").attempt, sweep.read("requeued").killed) == (2, 0)
    assert sweep.read("a").attempt == 1  # had ended and was not run again
    assert seen(sweep, "requeued")[2] != taken[0]


@pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed: pip install 'corticalign[slurm]'")
def test_what_sbatch_is_asked_for(tmp_path: Path) -> None:
    from submitit.slurm.slurm import _make_sbatch_string

    from engine.sweep import slurm

    settings = Slurm(partition="gpu", gpus=2, cpus=6, minutes=90, at_once=5, extra={"qos": "long"}, setup=["module x"])
    # The executor for SLURM asks for srun when it is made; its parameters, translated, do not.
    text = _make_sbatch_string("COMMAND", tmp_path, map_count=9, **slurm.sbatch_parameters(settings))
    lines = set(text.splitlines())
    assert {
        "#SBATCH --partition=gpu",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --cpus-per-task=6",
        "#SBATCH --time=90",
        "#SBATCH --array=0-8%5",
        "#SBATCH --qos=long",
        "#SBATCH --requeue",
        "#SBATCH --mem=32GB",
        "module x",
    } <= lines


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'corticalign[ray]'")
def test_ray_runs_a_job_again_whose_worker_was_killed(tmp_path: Path) -> None:
    from engine.sweep import ray

    sweep = sweep_of(tmp_path, "once", "a", "dies")
    ray.launch(sweep, ["once", "a", "dies"], Ray(cpus=1, retries=1), note)
    assert states(sweep) == {"once": "done", "a": "done", "dies": "failed"}
    assert sweep.read("once").attempt == 2
    assert "killed, 2 times" in sweep.read("dies").reason
    assert seen(sweep, "a")[3] == str(Path.cwd())


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_a_missing_package_is_named_before_the_sweep() -> None:
    with pytest.raises(InputError, match=r"pip install 'corticalign\[ray\]'"):
        launchers.check(Ray())


def answers(*command: str) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not answers("sinfo") or find_spec("submitit") is None, reason="no SLURM (and submitit) here")
def test_a_slurm_array_loses_only_the_job_that_is_killed_and_queues_a_preempted_one_again(tmp_path: Path) -> None:
    from engine.sweep import slurm

    sweep = sweep_of(tmp_path, "a", "dies", "requeued")
    taken: list[int] = []

    def take_back() -> None:
        while sweep.read("requeued").state != status.DONE:
            running = sweep.read("requeued")
            if running.state == status.RUNNING and not taken:
                os.kill(running.process, slurm.preemption_signal())
                taken.append(running.process)
            own = {path.name.split("_")[0] for path in sweep.folder.glob("slurm/*_submitted.pkl")}
            for number in own if taken else ():  # SLURM would hold it for two minutes
                subprocess.run(["scontrol", "update", f"jobid={number}", "StartTime=now"], capture_output=True)
            time.sleep(1)

    thread = threading.Thread(target=take_back, daemon=True)
    thread.start()
    slurm.launch(sweep, ["a", "dies", "requeued"], Slurm(gpus=0, cpus=1, memory_gb=0.5, minutes=5), note)
    thread.join(60)
    assert states(sweep) == {"a": "done", "dies": "failed", "requeued": "done"}
    assert "ended before the job" in sweep.read("dies").reason
    assert sweep.read("requeued").attempt == 2
