"""The native engine under the compilers' sanitizers: right numbers, and no report, whatever the plan."""

import subprocess

import numpy as np
import pytest

from engines.native import harness
from engines.native.harness import ADDRESS, COMPILERS, TARGETS, THREAD, tolerance
from pixelcnn.codec.coding import encode

pytestmark = pytest.mark.slow

DAMAGED = 3_000
"""Damaged plans a build."""


@pytest.fixture
def sanitized(driver):
    """A driver with some sanitizers; the test is skipped where they do not work."""

    def build(compiler, target, flags):
        try:
            path = driver(compiler, target, "-O1", *flags)
        except AssertionError as error:
            if "cannot find" in str(error) or "asan" in str(error) or "tsan" in str(error):
                pytest.skip(f"{compiler} has no {flags[0]} here")
            raise
        probe = harness.run([path])
        if probe.returncode != 2 or not probe.stderr.startswith("usage"):
            pytest.skip(f"{flags[0]} does not run here: {probe.stderr[:200]}")
        return path

    return build


def results_of(path, jobs_at, jobs, folder):
    """What a driver computes."""
    out = folder / "results"
    done = harness.run([path, "run", jobs_at, out])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-4000:]
    return list(harness.read_results(out, jobs))


def assert_same(jobs, found, expected):
    """The same parameters, and the same images where products are in float32."""
    for job, mine, theirs in zip(jobs, found, expected, strict=True):
        assert mine.complaint == ""
        off = tolerance(job, theirs)
        np.testing.assert_allclose(mine.parameters, theirs.parameters, rtol=0, atol=off)
        if job.arithmetic == "single":
            np.testing.assert_array_equal(mine.drawn, theirs.drawn)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_sanitizer_reports_and_the_numbers_are_the_librarys(
    sanitized, jobs, expected, job_file, tmp_path, compiler, target
):
    path = sanitized(compiler, target, ADDRESS)
    assert_same(jobs, results_of(path, job_file(target), jobs, tmp_path), expected)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_target_gives_the_librarys_numbers(
    driver, jobs, expected, job_file, tmp_path, compiler, target
):
    assert_same(
        jobs, results_of(driver(compiler, target), job_file(target), jobs, tmp_path), expected
    )


def test_without_threads_one_does_the_work_of_all(driver, jobs, expected, job_file, tmp_path):
    path = driver("g++", "native", "-DNO_THREADS")
    assert_same(jobs, results_of(path, job_file("native"), jobs, tmp_path), expected)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_threads_share_nothing_they_write(sanitized, jobs, expected, job_file, tmp_path, compiler):
    path = sanitized(compiler, "native", THREAD)
    assert_same(jobs, results_of(path, job_file("native"), jobs, tmp_path), expected)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_damaged_plan_is_refused_or_runs(sanitized, job_file, compiler, target):
    """Another part of the damaged plans for each build; the last line of stderr names the culprit."""
    path = sanitized(compiler, target, ADDRESS)
    part = list(COMPILERS).index(compiler) * len(TARGETS) + list(TARGETS).index(target)
    done = harness.run([path, "damage", job_file(target), str(part * DAMAGED), str(DAMAGED)])
    assert done.returncode == 0, done.stderr[-4000:]
    refused, ran, _too_large = map(int, done.stdout.split())
    assert refused > DAMAGED // 10 and ran > DAMAGED // 10


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("flags", [ADDRESS, THREAD], ids=["address", "thread"])
def test_no_sanitizer_reports_on_the_coder(sanitized, coder_jobs, tmp_path, compiler, flags):
    """The words are the library's, whatever the threads, and their levels come back."""
    path, given, found = sanitized(compiler, "native", flags), tmp_path / "jobs", tmp_path / "words"
    harness.write_jobs(given, coder_jobs, None)
    done = harness.run([path, "code", given, found])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-4000:]
    for job, (complaint, words) in zip(
        coder_jobs, harness.read_words(found, coder_jobs), strict=True
    ):
        assert complaint == "" and np.array_equal(words, encode(job.model, job.levels))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_words_and_tables_of_no_encoder_are_refused_or_decoded(
    sanitized, coder_jobs, tmp_path, compiler
):
    path = sanitized(compiler, "native", ADDRESS)
    harness.write_jobs(tmp_path / "jobs", coder_jobs, None)
    done = harness.run([path, "miscode", tmp_path / "jobs", "0", "1000"])
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout) > 300


def test_the_damage_is_found_where_a_check_is_missing(tmp_path, job_file):
    """The same damage crashes an engine that does not check its weights."""
    checked = "require(offset >= 0 && count >= 0 && offset + count <= pool.size(), "
    found = 0
    for source in harness.SOURCES:
        text = source.read_text(encoding="utf-8")
        found += text.count(checked)
        (tmp_path / source.name).write_text(text.replace(checked, "require(true, "))
    assert found == 1
    command = [harness.compiler("g++"), "-std=c++17", "-O1", "-march=native", *ADDRESS]
    path = tmp_path / "driver"
    source = [f"-I{tmp_path}", str(harness.DRIVER), "-o", str(path), "-pthread"]
    subprocess.run([*command, *source], check=True)
    done = harness.run([path, "damage", job_file("native"), "0", "2000"])
    assert done.returncode != 0 and "Sanitizer" in done.stderr
