"""Rules of the source tree that no linter knows."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import pixelcnn

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
CODE = sorted(
    path
    for folder in ("src", "tests", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
)
MODULE_LINES = 300
FUNCTION_LINES = 40

UNSAFE_CALLS = {
    "eval", "exec", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load",
    "marshal.loads", "yaml.load", "yaml.unsafe_load", "os.system", "os.popen",
}  # fmt: skip
UNSAFE_KEYWORDS = {"shell=True", "weights_only=False", "allow_pickle=True"}


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def unsafe(source: str) -> list[str]:
    """The calls in a module that would run data as code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            keywords = {ast.unparse(keyword) for keyword in node.keywords}
            writes = function.endswith("save")
            if function in UNSAFE_CALLS or (keywords & UNSAFE_KEYWORDS and not writes):
                found.append(ast.unparse(node))
    return found


def test_nothing_runs_data_as_code():
    assert {label(path): found for path in CODE if (found := unsafe(text(path)))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "pickle.load(file)",
        "x = eval(text)",
        "yaml.load(text, Loader=None)",
        "subprocess.run(line, shell=True)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_unsafe_calls_are_recognised(source):
    assert unsafe(source)


def test_evaluation_mode_is_not_mistaken_for_eval():
    assert not unsafe("model.eval()\ntorch.load(path, weights_only=True)")


def test_writing_a_malicious_file_for_a_test_is_fine():
    assert not unsafe("np.save(path, objects, allow_pickle=True)")


def forks(source: str) -> bool:
    """Whether a module forks, or leaves it to the system how its workers start.

    PyTorch's threads do not come along into a forked process, which then waits for them for ever.
    """
    calls = [n.func for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    called = {ast.unparse(function) for function in calls}
    pools = {"ProcessPoolExecutor"} | (
        {"Pool", "Process"} if "multiprocessing" in source else set()
    )
    starts = {name.split(".")[-1] for name in called} & pools
    return "os.fork" in called or (bool(starts) and "spawn" not in source)


def test_nothing_forks():
    assert [label(path) for path in SOURCES if forks(text(path))] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os\nos.fork()", True),
        ("import multiprocessing\nmultiprocessing.Pool(4)", True),
        ("from concurrent.futures import ProcessPoolExecutor\nProcessPoolExecutor(4)", True),
        ("ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn'))", False),
        ("torch.random.fork_rng()", False),
    ],
)
def test_forks_are_recognised(source, expected):
    assert forks(source) is expected


def test_modules_stay_small():
    lines = {label(path): len(text(path).splitlines()) for path in (*SOURCES, *BENCHMARKS)}
    assert {name: count for name, count in lines.items() if count > MODULE_LINES} == {}


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_stay_small():
    nodes = ((path, node) for path in SOURCES for node in ast.walk(ast.parse(text(path))))
    functions = [(label(path), node) for path, node in nodes if isinstance(node, ast.FunctionDef)]
    assert [(name, f.name) for name, f in functions if body_lines(f) > FUNCTION_LINES] == []


def test_constraints_are_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [p for p in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", p)] == []
    assert not [line for line in lines if "://" in line or " @ " in line or "+" in line]


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *extras["bench"], *extras["docs"]]
    names = {re.split(r"[<>=!~\[ ]", line)[0] for line in wanted}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert names - {pin.split("==")[0] for pin in pins} == set()


@pytest.mark.parametrize(
    "file", ["pyproject.toml", "constraints.txt", "Makefile", ".ci/run", "setup/install.sh"]
)
def test_installing_names_no_address(file):
    assert "://" not in (ROOT / file).read_text(encoding="utf-8")


def test_every_statement_of_the_version_agrees():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert pixelcnn.__version__ == version
