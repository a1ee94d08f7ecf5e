"""Which jobs a call makes, compared with Hydra's own sweeper, and their names."""

import itertools

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from engine.errors import InputError
from engine.sweep import plan


@pytest.mark.parametrize(
    "words",
    [
        ["cv.folds=3,4", "dataset=sim", "model.name=a,b"],
        ["metric=[ridge],[rsa,cka]", "weights.seed=range(0,3)"],
        ["layers=[a,b]", "features='my file, 2.h5'"],
        ["cv.folds=3,4", "cv.seed=1", "cv.folds=5"],
    ],
)
def test_the_combinations_are_those_of_hydra(words: list[str]) -> None:
    parser = OverridesParser.create()
    (theirs,) = BasicSweeper.split_arguments(parser.parse_overrides(words), None)

    def values(jobs: list[list[str]]) -> list[dict[str, object]]:
        return [{each.key_or_group: each.value() for each in parser.parse_overrides(job)} for job in jobs]

    mine = values([list(job.words) for job in plan.jobs(words)])
    assert sorted(map(str, (sorted(job.items()) for job in mine))) == sorted(
        map(str, (sorted(job.items()) for job in values(theirs)))
    )


def test_a_name_is_the_same_in_any_order_and_for_any_output_and_differs_otherwise() -> None:
    first = [job.name for job in plan.jobs(["cv.folds=3,4", "dataset=sim"])]
    assert len(set(first)) == 2
    assert [job.name for job in plan.jobs(["dataset=sim", "memory.budget=1", "output=b", "cv.folds=3,4"])] == first
    assert not set(first) & {job.name for job in plan.jobs(["cv.folds=3,4", "dataset=other"])}
    (long,) = plan.jobs([f"features=/a/{'b' * 400}/c.h5"])
    assert len(long.name) < 120
    assert "/" not in long.name


def test_neighbours_share_the_model_or_the_recording() -> None:
    asked = plan.jobs(["dataset=a,b,c", "cv.seed=1,2", "model.name=x,y,z"])
    ordered = plan.neighbours(asked)
    assert sorted(job.name for job in ordered) == sorted(job.name for job in asked)
    pairs = [(job.words[2], job.words[0]) for job in ordered]
    changes = [(one[0] != two[0], one[1] != two[1]) for one, two in itertools.pairwise(pairs)]
    assert (True, True) not in changes
    assert (sum(model for model, _ in changes), sum(data for _, data in changes)) == (2, 3 * 2)


def test_values_given_twice_are_one_job() -> None:
    assert [job.label for job in plan.jobs(["cv.folds=3,3"])] == ["cv.folds=3"]


def test_who_runs_the_jobs_is_no_setting_of_a_job() -> None:
    own, rest = plan.launcher_words(["-m", "launcher=local", "cv.folds=3,4", "launcher.workers=2"])
    assert own == ["launcher=local", "launcher.workers=2"]
    assert rest == ["cv.folds=3,4"]
    for word in ("launcher=local,slurm", "hydra/launcher=joblib", "hydra.sweep.dir=a"):
        with pytest.raises(InputError, match="launcher"):
            plan.launcher_words(["-m", word])


def test_an_interval_has_no_list_of_values() -> None:
    with pytest.raises(InputError, match="separated by commas"):
        plan.jobs(["weights.seed=interval(0,1)"])
