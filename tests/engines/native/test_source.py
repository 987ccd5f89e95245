"""The native source compiles without a warning, on every compiler and for every kind of processor."""

import pytest

from engines.native import harness
from engines.native.harness import COMPILERS, INCLUDES, SOURCE, SOURCES, TARGETS, WARNINGS
from pixelcnn import compiling


@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_warnings(compiler):
    command = [harness.compiler(compiler), *harness.flags(), *TARGETS["native"], *WARNINGS]
    done = harness.run([*command, *INCLUDES, "-fsyntax-only", str(SOURCE)])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow  # some warnings come from the optimiser
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_warnings_of_the_optimiser(tmp_path, compiler, target):
    command = [harness.compiler(compiler), *harness.flags(), *harness.target(target), *WARNINGS]
    done = harness.run([*command, *INCLUDES, "-c", str(SOURCE), "-o", str(tmp_path / "engine.o")])
    assert (done.returncode, done.stderr) == (0, "")


def test_results_are_never_computed_with_relaxed_arithmetic():
    """Results would depend on how the compiler groups sums."""
    assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"} & set(compiling.FLAGS)
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert "fast-math" not in text and "fp_contract" not in text.lower()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_source_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
