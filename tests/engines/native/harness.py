"""Builds the C++ driver, writes plans to files for it, and reads what it computed."""

import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from pixelcnn import PixelModel, compiling
from pixelcnn.codec.coding import Integers
from pixelcnn.drawing import uniforms
from pixelcnn.engines import native
from pixelcnn.engines.native import Arithmetic, NativeEngine, Tables
from pixelcnn.engines.native.build import code
from pixelcnn.engines.trace import trace
from pixelcnn.program import Program
from pixelcnn.shapes import coding_order

SOURCE = Path(native.__file__).parent / "engine.cpp"
FOLDERS = (SOURCE.parent, Path(compiling.__file__).parent)
SOURCES = [SOURCE, *(header for folder in FOLDERS for header in sorted(folder.glob("*.h")))]
INCLUDES = tuple(f"-I{folder}" for folder in FOLDERS)
DRIVER = Path(__file__).parent / "driver.cpp"
COMPILERS = ("g++", "clang++")
TARGETS = {
    "native": ("-march=native",),
    "avx2": ("-march=native", "-mno-avx512f", "-mavx2"),
    "portable": ("-march=x86-64",),
}
"""Each has its own vectors and tiles: see the constants in the source."""

LANES = {"native": None, "avx2": 8, "portable": 4}
"""Floats in a vector, for which plans are made; None where the library says it."""

WARNINGS = (
    "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow",
    "-Wno-psabi",  # how wide vectors are passed differs between compilers: none leaves the source
)  # fmt: skip
ADDRESS = (
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
    "-D_GLIBCXX_ASSERTIONS", "-DLIMIT_MEMORY",
)  # fmt: skip
THREAD = ("-fsanitize=thread",)
SANITIZERS = {
    # Fake stacks are not aligned for AVX-512 (gcc's bug 110027). Damaged plans ask for any amount of memory.
    "ASAN_OPTIONS": "detect_stack_use_after_return=0:allocator_may_return_null=1:max_allocation_size_mb=16",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


class Job(NamedTuple):
    """One plan, and what it is run on."""

    model: PixelModel | Integers
    n: int
    condition: torch.Tensor | None
    threads: int = 1
    arithmetic: Arithmetic = "single"
    temperature: float = 1.0
    written: Program | None = None
    tables: Tables | None = None

    @property
    def program(self) -> Program:
        """The one that was written for it, or else the network's."""
        return self.written or trace(self.model.network)

    @property
    def levels(self) -> torch.Tensor:
        """Images ``(n, c, h, w)`` that the parameters are taken at."""
        generator = torch.Generator().manual_seed(self.n)
        return torch.randint(self.model.levels, (self.n, *self.model.shape), generator=generator)

    @property
    def known(self) -> torch.Tensor:
        """Which of them stay when the rest is drawn."""
        generator = torch.Generator().manual_seed(self.n + 1)
        return torch.rand(self.n, *self.model.shape, generator=generator) < 0.3

    @property
    def uniforms(self) -> torch.Tensor:
        """What the rest is drawn from."""
        return uniforms(5, range(self.n), self.model.shape)


class Result(NamedTuple):
    """What an engine made of a job: parameters ``(positions, n, out)``, images ``(n, c, h, w)``."""

    complaint: str
    parameters: np.ndarray
    drawn: np.ndarray


def tolerance(job: Job, expected: Result) -> float:
    """How far parameters of another build may be off: of float32 products, and of bfloat16 ones.

    Without fused multiply-adds sums differ in their last bits, and norms of nearly equal features enlarge
    that: PyTorch's float32 of one of these networks lies 8e-5 from its float64. One bit can turn a bfloat16.
    """
    share = 3e-2 if job.arithmetic == "half" else 1e-4
    return share * float(1 + np.abs(expected.parameters).max())


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Runs a command; sanitizers stop at their first report."""
    environment = os.environ | SANITIZERS
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@functools.cache
def compiler(name: str) -> str:
    """Path of a compiler; the test is skipped where there is none."""
    return shutil.which(name) or pytest.skip(f"no {name} here")


def target(name: str) -> tuple[str, ...]:
    """Flags of a kind of processor; the test is skipped where this one is no such."""
    if name != "native" and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip(f"{name} is a target for x86-64 processors")
    if name == "avx2" and "avx2" not in compiling.processor():
        pytest.skip("this processor has no AVX2")
    return TARGETS[name]


def flags() -> list[str]:
    """What the library is built with, but for its target and for what makes it a library."""
    return [flag for flag in compiling.FLAGS if flag not in ("-march=native", "-fPIC", "-shared")]


def compile_driver(path: Path, compiler_name: str, target_name: str, *extra: str) -> Path:
    """Builds the driver as the library builds the engine, with extra flags."""
    command = [compiler(compiler_name), *flags(), *target(target_name), *WARNINGS, "-g1", *extra]
    done = run([*command, *INCLUDES, str(DRIVER), "-o", str(path)])
    assert (done.returncode, done.stderr) == (0, "")
    return path


def write_jobs(path: Path, jobs: Sequence[Job], lanes: int | None) -> None:
    """A file of jobs as the driver reads it, with plans for vectors of so many floats."""
    with path.open("wb") as file:
        _write(file, np.array([len(jobs)], np.float64))
        for job in jobs:
            for array in arrays_of(job, lanes):
                _write(file, array)


def arrays_of(job: Job, lanes: int | None) -> Iterator[np.ndarray]:
    """Settings, words, weights, conditions, levels, known, uniforms, tables of the coder."""
    program = job.program
    plan = native.plan(job.model, program, lanes)
    yield np.array(
        [job.n, job.threads, code("arithmetic", job.arithmetic), job.temperature], np.float64
    )
    yield plan.words
    yield plan.weights
    yield native.condition_values(program, plan, job.condition)
    yield job.levels.numpy().astype(np.int32)
    yield job.known.numpy().astype(np.uint8)
    yield job.uniforms.contiguous().numpy()
    of_coder = job.tables and np.concatenate([[job.tables.limit], job.tables.numbers])
    yield np.zeros(0, np.int64) if of_coder is None else of_coder.astype(np.int64)


def read_results(path: Path, jobs: Iterable[Job]) -> Iterator[Result]:
    """What the driver wrote for each job."""
    with path.open("rb") as file:
        for job in jobs:
            complaint = _read(file, np.uint8).tobytes().decode()
            parameters = _read(file, np.float32)
            drawn = _read(file, np.int32).reshape(job.n, *job.model.shape)
            yield Result(complaint, parameters.reshape(-1, job.n, job.model.network.out), drawn)


def read_words(path: Path, jobs: Iterable[Job]) -> Iterator[tuple[str, np.ndarray]]:
    """What the driver wrote for each job whose levels were coded: its complaint, and the words."""
    with path.open("rb") as file:
        for _ in jobs:
            complaint = _read(file, np.uint8).tobytes().decode()
            yield complaint, _read(file, np.uint32)


def library_result(job: Job) -> Result:
    """The same from the library."""
    kind = {"threads": job.threads, "arithmetic": job.arithmetic}
    start = functools.partial(NativeEngine, job.model, job.program, job.n, job.condition, **kind)
    engine, levels = start(), job.levels
    parameters = [engine.parameters(levels, at).numpy() for at in coding_order(job.model.shape)]
    drawn = start().fill(levels, job.known, job.uniforms, job.temperature)
    return Result("", np.stack(parameters), drawn.numpy())


def _write(file, array: np.ndarray) -> None:
    np.array([array.size], np.int64).tofile(file)
    np.ascontiguousarray(array).tofile(file)


def _read(file, dtype: type) -> np.ndarray:
    (count,) = np.fromfile(file, np.int64, 1)
    return np.fromfile(file, dtype, int(count))
