"""Imports stay light, the façade tells the truth, and every network and output is registered."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import pixelcnn
from pixelcnn import networks, outputs

HEAVY = {
    "accelerate", "constriction", "fastapi", "matplotlib", "pooch", "pyarrow", "tensorboard", "typer",
}  # fmt: skip
LAST_WORDS = (
    "import atexit, json, sys;"
    "atexit.register(lambda: print(json.dumps(sorted({m.split('.')[0] for m in sys.modules}))));"
)


def imported(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has imported at the end of ``code``."""
    command = [sys.executable, "-c", LAST_WORDS + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_imports_nothing_heavy():
    assert imported("import pixelcnn") & {*HEAVY, "torch", "numpy"} == set()


def test_the_check_for_heavy_imports_can_fail():
    assert "typer" in imported("import pixelcnn, typer")


def test_using_a_model_imports_no_framework():
    code = (
        "import pixelcnn as px;"
        "[px.PixelModel, px.load, px.save, px.sample, px.complete, px.score, px.evaluate];"
        "px.networks.PixelCNN, px.outputs.Bernoulli, px.data.load, px.verify.check_model"
    )
    assert imported(code) & HEAVY == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["trian"], ["sample", "-n"]]
)
def test_help_and_usage_errors_import_no_torch(arguments):
    code = f"from pixelcnn.cli import main; sys.argv = {['pixelcnn', *arguments]}; main()"
    found = imported(code)
    assert found & {"torch", "numpy", "matplotlib", "accelerate"} == set()
    assert "pixelcnn" in found


def declared() -> dict[str, str]:
    """Public names and the modules they come from, as type checkers are told."""
    tree = ast.parse(Path(pixelcnn.__file__).read_text(encoding="utf-8"))
    lines = [line for block in tree.body if isinstance(block, ast.If) for line in block.body]
    imports = [line for line in lines if isinstance(line, ast.ImportFrom)]
    return {alias.name: line.module for line in imports for alias in line.names}


def test_public_names_are_the_declared_ones():
    assert set(pixelcnn.__all__) == set(declared())
    assert list(pixelcnn.__all__) == sorted(pixelcnn.__all__)
    assert set(dir(pixelcnn)) >= set(pixelcnn.__all__)


@pytest.mark.parametrize("name", pixelcnn.__all__)
def test_public_names_resolve(name):
    assert getattr(pixelcnn, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = pixelcnn.no_such_thing


def test_no_submodule_takes_the_place_of_a_public_function():
    """Importing a submodule puts it where a function of the same name was."""
    things = [name for name, module in declared().items() if module != "pixelcnn"]
    code = (
        "import importlib, pkgutil, types, pixelcnn as px\n"
        "for module in pkgutil.walk_packages(px.__path__, 'pixelcnn.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        f"print([n for n in {things} if isinstance(getattr(px, n), types.ModuleType)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("package", "registry"), [(networks, networks.NETWORKS), (outputs, outputs.OUTPUTS)]
)
def test_every_file_is_registered(package, registry):
    files = {path.stem for path in Path(package.__file__).parent.glob("[a-z]*.py")} - {
        "base",
        "options",
    }
    registered = {registry[name].__module__.rpartition(".")[2] for name in registry}
    assert files == registered


def test_preparing_a_training_imports_neither_the_trainer_nor_the_compiler():
    code = (
        "sys.argv = ['pixelcnn', 'train', '--dry-run', 'digits'];"
        "from pixelcnn.cli import main;"
        "atexit.register(lambda: print(json.dumps(['torch._dynamo'] * ('torch._dynamo' in sys.modules))));"
        "main()"
    )
    command = [sys.executable, "-c", LAST_WORDS + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    compiler, packages = map(json.loads, done.stdout.splitlines()[-2:])
    assert compiler == []
    assert "torch" in packages
    assert "accelerate" not in packages
