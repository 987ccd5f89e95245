"""The built wheel holds everything, and works away from the source tree."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Runs a command without this project's environment variables; returns its stdout."""
    hidden = ("PYTHONPATH", "PIXELCNN_DATA")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built without the network by the installed build back end."""
    out = tmp_path_factory.mktemp("wheel")
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    run(sys.executable, *build, cwd=out)
    (file,) = out.glob("pixelcnn-*.whl")
    return file


@pytest.fixture(scope="module")
def outside(tmp_path_factory, wheel) -> Path:
    """A folder with a fresh environment in ``venv``: the wheel, and the libraries of this one."""
    folder = tmp_path_factory.mktemp("outside")
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    install = ("--python", python, "install", "--no-index", "--no-deps", "--quiet", wheel)
    run(sys.executable, "-m", "pip", *install, cwd=folder)
    # A path in a .pth file is searched after the environment's own packages, and .pth files in it
    # (such as this tree's editable installation) are not followed.
    libraries = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    )
    Path(libraries.strip(), "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_the_wheel_holds_all_of_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "pixelcnn"
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    inside = {name for name in names if name.startswith("pixelcnn/")}
    assert inside == {f"pixelcnn/{path.relative_to(package)}" for path in files}
    assert {
        "pixelcnn/py.typed",
        "pixelcnn/data/digits.npz",
        "pixelcnn/recipes/digits.toml",
    } <= inside
    rest = {name.split("/", 1)[1] for name in names - inside}
    assert rest >= {"METADATA", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"}
    assert all(".dist-info/" in name for name in names - inside)


def test_the_installed_wheel_trains_and_samples_digits(outside):
    python, pixelcnn = outside / "venv" / "bin" / "python", outside / "venv" / "bin" / "pixelcnn"
    where = run(python, "-c", "import pixelcnn; print(pixelcnn.__file__)", cwd=outside)
    assert Path(where.strip()).is_relative_to(outside)
    run(pixelcnn, "train", "digits", "--epochs", "1", "--run", "run", cwd=outside)
    run(pixelcnn, "sample", "run", "-n", "3", "--out", "samples.npy", cwd=outside)
    assert np.load(outside / "samples.npy").shape == (3, 1, 8, 8)
    assert "bits" in run(pixelcnn, "evaluate", "run", "--limit", "20", cwd=outside)
