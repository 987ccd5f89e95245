"""The driver's builds and its jobs, shared by the tests of a session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engines.native import harness
from engines.native.harness import Job, Result, library_result
from engines.native.jobs import all_jobs
from engines.native.jobs import coder_jobs as jobs_of_coder

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds a driver (compiler, target, extra flags), each once."""
    folder, built = tmp_path_factory.mktemp("drivers"), {}

    def build(*kind: str) -> Path:
        if kind not in built:
            built[kind] = harness.compile_driver(folder / f"driver{len(built)}", *kind)
        return built[kind]

    return build


@pytest.fixture(scope="session")
def jobs() -> list[Job]:
    """Every job."""
    if reason := harness.native.why_not():
        pytest.skip(reason)
    return list(all_jobs())


@pytest.fixture(scope="session")
def coder_jobs() -> list[Job]:
    """Every job whose levels are coded."""
    if reason := harness.native.why_not():
        pytest.skip(reason)
    return list(jobs_of_coder())


@pytest.fixture(scope="session")
def expected(jobs: list[Job]) -> list[Result]:
    """What the library makes of them."""
    return [library_result(job) for job in jobs]


@pytest.fixture(scope="session")
def job_file(jobs: list[Job], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The jobs as a target's driver reads them, each file written once."""
    folder, written = tmp_path_factory.mktemp("jobs"), {}

    def write(target: str) -> Path:
        lanes = harness.LANES[target]
        if lanes not in written:
            written[lanes] = folder / f"jobs{lanes}"
            harness.write_jobs(written[lanes], jobs, lanes)
        return written[lanes]

    return write
