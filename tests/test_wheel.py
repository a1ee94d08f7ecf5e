"""The built package, installed elsewhere, not the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("corticalign-*.whl")
    return built


def test_holds_the_configs_the_pins_and_the_licence_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        assert f"engine/configs/{path.relative_to(ROOT / 'configs')}" in names
    assert "engine/datasets/pins/cowley2023_v4.tsv" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {
        "engine",
        "models",
        next(n for n in names if "dist-info" in n).split("/")[0],
    }


def test_runs_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True)
    # The installed copy comes first on the path; the checkout's is never reached.
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import engine; "
        f"assert engine.__file__.startswith({str(site)!r}); "
        "from engine.cli import main; main(['score', 'dataset.stimuli=20', 'dataset.neurons=2', 'layers=[head]'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stdout
    assert list(tmp_path.glob("results/sim/*/summary.json"))
