"""The native engine under sanitizers: mutated plans, and every job in threads."""

from pathlib import Path

import numpy as np
import torch

from engines.native import harness
from engines.native.jobs import all_jobs
from fuzz.case import Campaign, Case, Fault

AVOIDED = 10**6
"""Plans of one seed; the next seed begins behind them."""


class Plans(Campaign):
    """A mutated plan is refused or runs; no sanitizer reports."""

    name = "plans"
    about = "mutated plans of the native engine under AddressSanitizer, 100 a case"
    full = 588
    few = 0
    inputs = 100
    seconds = 300.0
    room = 2**31
    addresses = 0  # sanitizers reserve terabytes

    def prepare(self, folder: Path) -> None:
        self.driver = harness.compile_driver(
            folder / "driver", "g++", "native", "-O1", *harness.ADDRESS
        )
        self.jobs = folder / "jobs"
        harness.write_jobs(self.jobs, list(all_jobs()), None)

    def run(self, case: Case) -> None:
        first = case.seed * AVOIDED + case.number * self.inputs
        command = [self.driver, "damage", self.jobs, str(first), str(self.inputs)]
        done = harness.run(command)
        case.tell(
            f"plans {first} to {first + self.inputs - 1}: {done.stdout.strip()} {done.stderr[-2_000:]}"
        )
        if done.returncode:
            raise Fault("crash", f"a sanitizer reports: {done.stderr.strip().splitlines()[-1:]}")


class Jobs(Campaign):
    """Threads of the native engine share nothing that they write, and the numbers are the library's."""

    name = "jobs"
    about = "jobs of the native engine under ThreadSanitizer"
    full = 414
    few = 0
    seconds = 300.0
    room = 2**31
    addresses = 0

    def prepare(self, folder: Path) -> None:
        self.driver = harness.compile_driver(
            folder / "driver", "g++", "native", "-O1", *harness.THREAD
        )
        self.jobs = list(all_jobs())

    def run(self, case: Case) -> None:
        job = self.jobs[case.number % len(self.jobs)]
        given, found = case.folder / "jobs", case.folder / "results"
        torch.manual_seed(case.number)
        harness.write_jobs(given, [job], None)
        done = harness.run([self.driver, "run", given, found])
        case.tell(done.stderr[-4_000:])
        if done.returncode or done.stderr:
            raise Fault("crash", f"a sanitizer reports: {done.stderr.strip().splitlines()[:1]}")
        (mine,), theirs = harness.read_results(found, [job]), harness.library_result(job)
        off = harness.tolerance(job, theirs)
        if mine.complaint or not np.allclose(mine.parameters, theirs.parameters, rtol=0, atol=off):
            raise Fault("content", f"other numbers than the library's: {mine.complaint}")
        if job.arithmetic == "single" and not np.array_equal(mine.drawn, theirs.drawn):
            raise Fault("content", "other images than the library's")
