"""Groups, files of settings and the words that choose them: what is composed, and what is refused in which words."""

import re
import shlex
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from engine.commands import groups, settings
from engine.commands.harmonize_schema import typed as typed_harmonize
from engine.commands.schema import typed
from engine.commands.sweep import _studies
from engine.commands.words import overrides
from engine.errors import InputError
from engine.sweep import plan
from models import zoo
from tests.engine.commands.test_cli import run

FILES = sorted(groups.config_folder().rglob("*.yaml"))
PAGE = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
EXPERIMENTS = groups.options("experiment", [groups.config_folder()])


def name(path: Path) -> str:
    return path.relative_to(groups.config_folder()).as_posix()


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of settings of the user's own, in the working folder."""
    monkeypatch.chdir(tmp_path)
    files = {
        "experiment/good": "# @package _global_\ndefaults:\n  - override /metric: [rsa]\ncv:\n  folds: 3\n"
        "hydra:\n  sweeper:\n    params:\n      model: whole,mynet\n      dataset.seed: 1,2\n",
        "experiment/top": "# @package _global_\nmetrc:\n  ridge: 3\n",
        "experiment/inner": "# @package _global_\ncv:\n  fold: 3\n",
        "experiment/kind": "# @package _global_\ncv:\n  folds: many\n",
        "experiment/option": "# @package _global_\ndefaults:\n  - override /metric: [rigde]\n",
        "model/mynet": "defaults:\n  - whole\n  - _self_\nname: resnet18\nfit: crop\n",
        "model/typo": "defaults:\n  - whole\n  - _self_\nname: resnet5O\n",
        "dataset/typo": "name: sim\nstimulli: 30\n",
        "dataset/other": "name: simm\n",
        "launcher/two": "kind: local\nworkerz: 2\n",
        "harmonize/gentle": "# @package _global_\ntrain:\n  learning_rat: 1.0e-5\n",
    }
    for path, text in files.items():
        (tmp_path / "mine" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / f"{path}.yaml").write_text(text)
    return tmp_path / "mine"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_opens_with_its_command_which_is_taken(path: Path) -> None:
    first = path.read_text().splitlines()
    line = next(line for line in first if not line.startswith("# @package"))
    words = shlex.split(line.removeprefix("# "))
    words = [word for word in words if not word.startswith("CORTICALIGN_MIRROR=")]
    assert words[0] == "corticalign"
    given = overrides(words[2:], words[1])
    if words[2:3] == ["-m"]:
        (given,) = _studies(plan.launcher_words(given)[1]) if "experiment" in line else [given]
    settings.check(given, words[1])
    group = path.parent.name
    if path.parent != groups.config_folder():
        own = f"{group}={path.stem}" if group != "metric" else f"metric=[{path.stem}]"
        defaults = OmegaConf.load(groups.config_folder() / f"{words[1]}.yaml").defaults
        assert own in given or {group: path.stem} in defaults or path.stem == "file"


@pytest.mark.parametrize("line", sorted(set(re.findall(r"^corticalign (score [^#\n]+)", PAGE, re.MULTILINE))))
def test_a_command_of_the_page_is_taken(line: str, mine: Path) -> None:
    command, *words = shlex.split(line)
    if "--config-dir" in words:
        text = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
        (mine / "experiment" / "mine.yaml").write_text(text)
        mine.rename(mine.parent / "settings")
    given = overrides(words, command)
    for each in _studies(plan.launcher_words(given)[1]) if "-m" in words else [given]:
        settings.check(each, command)


def test_nothing_in_a_file_is_instantiated() -> None:
    assert not [path for path in FILES if "_target_" in path.read_text()]


@pytest.mark.parametrize("command", groups.OF)
def test_the_groups_of_a_command_are_those_of_its_defaults(command: str) -> None:
    config = OmegaConf.load(groups.config_folder() / f"{command}.yaml")
    assert isinstance(config, DictConfig)
    named = [key for each in config.defaults if isinstance(each, DictConfig) for key in each]
    assert sorted(key for key in named if not key.startswith("override")) == sorted(groups.OF[command])


def test_no_option_has_the_name_of_a_model() -> None:
    assert not set(groups.options("model", [groups.config_folder()])) & set(zoo.names())


def test_a_models_name_is_a_value_beside_an_option_of_its_group() -> None:
    assert overrides(["model=resnet50"]) == ["model.name=resnet50"]
    model = typed(settings.composed(overrides(["model=published", "model=resnet50"]))).model
    assert (model.name, model.fit, model.visual_degrees) == ("resnet50", "crop", None)
    model = typed(settings.composed(overrides(["model=vgg16", "model=brain-score"]))).model
    assert (model.name, model.fit, model.visual_degrees) == ("vgg16", "squash", 8)
    whole = typed(settings.composed(["model=whole"])).model
    assert whole == typed(settings.composed([])).model
    with pytest.raises(InputError, match=r"model.entry has no value; give model.entry=VALUE"):
        settings.check(["model=own"])
    with pytest.raises(InputError, match="do not mix in one list"):
        overrides(["model=published,resnet50"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_is_one_job_or_with_m_its_whole_study(experiment: str) -> None:
    settings.check([f"experiment={experiment}"])
    one = typed(settings.composed([f"experiment={experiment}"]))
    (words,) = _studies([f"experiment={experiment}"])
    settings.check(words)
    jobs = plan.jobs(words)
    assert len(jobs) > 1
    assert all(job.name.startswith(f"experiment={experiment}_model.name=") for job in jobs)
    assert len({job.name for job in jobs}) == len(jobs)
    last = typed(settings.composed(jobs[-1].words))
    assert (last.dataset, last.metric, last.ceiling) == (one.dataset, one.metric, one.ceiling)
    assert last.model.name != one.model.name


def test_the_users_words_count_over_those_of_an_experiment() -> None:
    (words,) = _studies(overrides(["experiment=neural-fit", "model=vgg16", "dataset=sim", "metric=ridge"]))
    (job,) = plan.jobs(words)
    wanted = typed(settings.composed(job.words))
    assert (wanted.model.name, wanted.dataset["name"], [*wanted.metric]) == ("vgg16", "sim", ["ridge"])
    assert wanted.ceiling.convention == "r^2/c"  # the study's, still
    both = [job.name for each in _studies(["experiment=rsa,reverse-mapping", "seed=1"]) for job in plan.jobs(each)]
    assert [each.split("_")[0] for each in both] == 3 * ["experiment=rsa"] + 2 * ["experiment=reverse-mapping"]


def test_recipes_of_the_harmonizer_are_as_published() -> None:
    """Numbers of the authors' training code and package, as their repositories give them."""
    small, training, released = (
        typed_harmonize(settings.composed([f"harmonize={each}"], "harmonize"))
        for each in ("small", "training", "released")
    )
    assert small == typed_harmonize(settings.composed([], "harmonize"))
    assert training.train.steps // training.every == 90
    assert training.every == (1_281_167 + 327_680) // training.train.batch
    assert (training.train.method, training.train.learning_rate, training.train.momentum) == ("sgd", 0.7, 0.9)
    assert (training.loss.map_weight, released.loss.map_weight, training.images.share) == (2, 1, 0.2)
    assert (training.loss.parity, released.loss.parity) == ("training", "released")
    assert released.train == training.train


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("experiment=top", "unknown setting 'metrc'; did you mean metric"),
        ("experiment=inner", "unknown setting 'cv.fold'; did you mean cv.folds"),
        ("experiment=kind", "cv.folds='many': wanted a whole number"),
        ("experiment=option", "unknown metric 'rigde'; did you mean ridge"),
        ("experiment=god", "unknown experiment 'god'; did you mean good"),
        ("model=typo", "unknown model 'resnet5O'; did you mean resnet50"),
        ("model=mynett", "unknown model 'mynett'; did you mean mynet"),
        ("dataset=typo", "unknown setting 'dataset.stimulli'; did you mean dataset.stimuli"),
        ("dataset=other", "unknown data set 'simm'; did you mean sim"),
        ("launcher=two", "unknown setting 'launcher.workerz'; did you mean launcher.workers"),
    ],
)
def test_files_of_ones_own_are_checked_alike(
    capsys: pytest.CaptureFixture[str], mine: Path, words: str, message: str
) -> None:
    for extra in ([], ["-m"], ["--cfg", "job"]):
        status, out, err = run(capsys, "score", "--config-dir", "mine", words, *extra)
        assert (status, out) == (2, "")
        assert message in err
    assert list(mine.parent.iterdir()) == [mine]


def test_a_folder_of_ones_own_is_used_wherever_it_is(mine: Path) -> None:
    words = overrides(["--config-dir", "mine", "-m", "experiment=good"])
    _, rest = plan.launcher_words(words)
    (study,) = _studies(rest)
    jobs = plan.jobs(study)
    wanted = [typed(settings.composed(job.words)) for job in jobs]
    assert [(each.model.name, each.model.fit, each.dataset["seed"]) for each in wanted] == [
        ("efficientnet-lite0", "squash", 1),
        ("efficientnet-lite0", "squash", 2),
        ("resnet18", "crop", 1),
        ("resnet18", "crop", 2),
    ]
    mine.rename(mine.parent / "moved")
    (moved,) = _studies(plan.launcher_words(overrides(["--config-dir=moved", "-m", "experiment=good"]))[1])
    assert [job.name for job in plan.jobs(moved)] == [job.name for job in jobs]
    with pytest.raises(InputError, match=r"unknown setting 'train.learning_rat'; did you mean train.learning_rate"):
        settings.check(overrides(["-cd", "moved", "harmonize=gentle"], "harmonize"), "harmonize")
    (mine.parent / "moved" / "cv").mkdir()
    (mine.parent / "moved" / "cv" / "kfold.yaml").write_text("kind: kfold\n")
    with pytest.raises(InputError, match="has the name of a file that comes with corticalign"):
        overrides(["--config-dir", "moved"])


def test_a_pattern_stands_for_the_names_that_fit() -> None:
    assert overrides(["model=glob(cornet-*,exclude=*s)"]) == ["model.name=cornet-z,cornet-rt"]
    assert overrides(["metric=glob([pls,*rsa])"]) == ["metric=[encoding_rsa],[pls],[rsa]"]
    assert overrides(["cv=glob(*)"]) == ["cv=kfold,shuffle"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("score -m model=glob(resnett*)", "'model=glob(resnett*)' fits none of alexnet, "),
        ("score -m model=glob(resnet*", "cannot read 'model=glob(resnet*'; wanted model=glob(PATTERN)"),
        ("score -m cv.folds=glob(3)", "'cv.folds=glob(3)': glob() is for model, dataset, metric, cv, launcher, exper"),
        ("score model=glob(cornet-*)", "several values; add -m for a job of each"),
        ("score metric.rsa.compareson=kendall", "'metric.rsa.compareson'; did you mean metric.rsa.comparison"),
        ("score metric.ras.distance=cosine", "'metric.ras.distance'; did you mean metric.rsa.distance"),
        ("score datset=sim", "unknown setting 'datset'; did you mean dataset"),
        ("score model=publishd", "unknown model 'publishd'; did you mean published?"),
        ("score metric=[ridge,rsaa]", "unknown metric 'rsaa'; did you mean rsa?"),
        ("score metric.rsa.distance=cosine", "'metric.rsa.distance' is a setting of metric=rsa, and the default is"),
        ("score cv=kfold cv.splits=3", "'cv.splits' is a setting of cv=shuffle, and cv=kfold is chosen"),
        ("score -m cv=kfold,shuffle cv.folds=3", "'cv.folds' is a setting of cv=kfold, and cv=shuffle is chosen"),
        ("score -m cv.folds=3,many", "cv.folds='many': wanted a whole number"),
        ("score cv.folds=null", "cv.folds=null: wanted a whole number"),
        ("score launcher=local launcher.workers=many", "launcher.workers='many': wanted a whole number or null"),
        ("score +datset.x=3", "unknown setting 'datset'; did you mean dataset?"),
        ("score ++cv.fold=3", "unknown setting 'cv.fold'; did you mean cv.folds"),
        ("score ~cv.folds", "cv.folds has no value; give cv.folds=VALUE"),
        ("score dataset=file", "dataset.path has no value; give dataset.path=VALUE"),
        ("score experiment=neural_fit", "unknown experiment 'neural_fit'; did you mean neural-fit?"),
        ("score experiment=one-to-one metric=rsa", "wanted metric=[rsa,one_to_one]"),
        ("score hydra.mode=MULTIRUN", "settings of Hydra's own are not taken; wanted output=FOLDER, -m"),
        ("score cv.folds=3,4", "cv.folds=3,4: several values; add -m for a job of each"),
        ("score -m cv.seed=interval(0,1)", "wanted values separated by commas, or range(FIRST,LAST)"),
        ("harmonize -m train.seed=0,1", "corticalign harmonize with -m train.seed=0,1: only score"),
        ("cotrain train.seed=0,1", "train.seed=0,1: several values; one run has one value"),
        ("score --cgf job", "unknown option '--cgf'; did you mean --cfg"),
        ("score -c jbo", "--cfg jbo: wanted one of job, hydra, all; did you mean job?"),
        ("score --config-dir nowhere", "--config-dir nowhere: there is no such folder"),
        ("score --config-name mine", "settings of your own go into a folder: --config-dir FOLDER"),
        ("harmonize harmonize=relesed", "unknown recipe 'relesed'; did you mean released?"),
        ("harmonize loss.partiy=null", "unknown setting 'loss.partiy'; did you mean loss.parity"),
        ("harmonize loss.parity=relesed", "loss.parity=relesed: wanted one of null, released, training"),
        ("harmonize train.method=adam", "train.method=adam: wanted one of adamw, sgd"),
        ("harmonize dataset=sim", "corticalign harmonize has no dataset=; its groups are harmonize"),
        ("harmonize model=published", "unknown model 'published'"),
        ("cotrain terms=[{layr:block11,region:V4}]", "unknown setting 'layr'; did you mean layer"),
        ("cotrain train.neural_bach=3", "unknown setting 'train.neural_bach'; did you mean train.neural_batch"),
        ("cotrain metric=[rigde]", "unknown metric 'rigde'; did you mean ridge"),
        ("results modl=x", "unknown filter 'modl'; did you mean model?"),
        ("results --bst", "unknown option '--bst'; did you mean --best"),
    ],
)
def test_a_wrong_word_of_any_kind_names_the_nearest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *line.split())
    assert (status, out) == (2, "")
    assert message in err
    assert err.startswith("corticalign: error: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", groups.OF)
def test_help_shows_the_commands_own_groups_and_settings(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    lines = out.splitlines()
    for group in groups.OF[command]:
        assert any(line.strip().startswith(f"{group}: ") for line in lines), group
    assert not any(line.startswith(f"{other}: ") for other in {"harmonize"} - {command} for line in lines)
    assert "output: results" in out


def test_info_and_the_settings_of_hydra_are_shown(capsys: pytest.CaptureFixture[str], mine: Path) -> None:
    status, out, _ = run(capsys, "score", "--info", "defaults", "--config-dir", "mine", "experiment=good")
    assert status == 0
    assert "experiment/good" in out
    assert "metric/rsa" in out
    status, out, _ = run(capsys, "score", "-c", "hydra")
    assert (status, "output_subdir: null" in out) == (0, True)
    status, out, _ = run(capsys, "score", "-c", "job", "-p", "cv")
    assert (status, "folds: 5" in out, "model:" in out) == (0, True, False)
