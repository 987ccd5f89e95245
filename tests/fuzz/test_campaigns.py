"""The campaigns: a handful of cases of each, a minute of each, and tools so broken that each must notice."""

import json
import mmap
import os
import signal
import subprocess
import sys
import time
import types

import pytest
import torch

import pixelcnn as px
from fuzz import case as cases
from fuzz.campaigns import CAMPAIGNS
from fuzz.case import Campaign, Fault, Outcome, attempt, judge
from fuzz.supervisor import Worker
from pixelcnn import checkpoint, data, scoring
from pixelcnn.codec import archive
from pixelcnn.training import checkpoints, recipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched as on Linux")

LONG = ("records", "checkpoints", "exits", "disks")
"""Campaigns that take seconds before their first case."""
MOST = 40
"""Cases in which a campaign must find what is broken."""


def fuzz(root, *words):
    """What the command says as JSON, and how it ended."""
    command = [sys.executable, "-m", "tests.fuzz", "--json", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)["campaigns"], done.returncode


def test_a_few_cases_of_each_campaign_find_nothing(root):
    found, code = fuzz(root, "--few", *(name for name, kind in CAMPAIGNS.items() if kind.few))
    assert [fault for each in found for fault in each["faults"]] == []
    assert code == 0 and all(each["cases"] for each in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", CAMPAIGNS)
def test_a_minute_of_each_campaign_finds_nothing(name, root):
    (found,), code = fuzz(root, name, "--minutes", "1")
    assert (found["faults"], code) == ([], 0)


@pytest.mark.parametrize(
    ("code", "out", "err", "kind"),
    [
        (1, "", "pixelcnn: error: unexpected ValueError: x\nhint: this is a bug\n", "bug"),
        (1, "", "Traceback (most recent call last):\n", "bug"),
        (1, "", "pixelcnn: error: no\n", "exit code"),
        (139, "", "", "exit code"),
        (3, "", "pixelcnn: error: a\npixelcnn: error: b\n", "errors"),
        (5, "", "pixelcnn: error: out of memory\nhint: less\n", "memory"),
        (3, "", "pixelcnn: error: no file a\x1b[2J\n", "terminal"),
        (0, "class \x9b1m\n", "", "terminal"),
        (0, "a\u202etxt\n", "", "terminal"),
    ],
)
def test_a_command_that_breaks_a_rule_is_a_fault(code, out, err, kind):
    with pytest.raises(Fault) as caught:
        judge(Outcome(code, out, err))
    assert caught.value.kind == kind


@pytest.mark.parametrize("code", sorted(cases.CODES))
def test_a_command_that_keeps_the_rules_is_none(code):
    judge(Outcome(code, "two\nlines\n", "pixelcnn: error: a\nhint: b\n" if code else ""))


def another_model(path):
    """A reader that gives another model than the file's."""
    model = px.load("mnist")
    model.record = {}
    return model


def without_numbers(*_, **__):
    """An evaluation that counts, and comes to nothing."""
    return types.SimpleNamespace(as_json=lambda: {"nats_per_image": float("nan")})


def without_first_row(*arguments, **options):
    """A reader that takes the first row for names, whatever it holds."""
    return WHOLE(*arguments, **options)[1:]


WHOLE = data.load_all


def raising(error):
    """A reader that lets an exception through."""

    def read(*_, **__):
        raise error

    return read


def undigested(path):
    """A reader of checkpoints that compares no digest."""
    body = path.read_bytes()[: -len(checkpoints.MARK + checkpoints.FORMAT) - checkpoints.DIGEST]
    (path.parent / "body").write_bytes(body)
    return torch.load(path.parent / "body", "cpu", weights_only=True)


def in_place(path, content):
    """A writer that a crash may meet half way."""
    path.write_bytes(content)


BROKEN = {
    "models": (checkpoint, "load", another_model),
    "records": (scoring, "evaluate", without_numbers),
    "tables": (data, "load_all", without_first_row),
    "arrays": (data, "load_all", raising(ValueError("bad header"))),
    "pictures": (data, "load_all", raising(IndexError("no such palette"))),
    "settings": (recipe.toml, "parse_value", raising(RecursionError())),
    "checkpoints": (checkpoints, "read", undigested),
    "exits": (checkpoints, "write_atomically", in_place),
    "disks": (checkpoints, "write_atomically", in_place),
    "packed": (archive, "decode", raising(ValueError("no such word"))),
}
"""What is broken for each campaign, and how."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in BROKEN]
)
def test_each_campaign_finds_a_broken_tool(name, tmp_path, monkeypatch):
    campaign = CAMPAIGNS[name]()
    (tmp_path / "shared").mkdir()
    campaign.prepare(tmp_path / "shared")
    monkeypatch.setattr(*BROKEN[name])
    found = (attempt(campaign, 0, number, tmp_path / str(number)) for number in range(MOST))
    assert next((verdict.kind for verdict in found if verdict.kind), "") not in ("", "campaign")


def test_every_campaign_has_a_broken_tool():
    assert set(CAMPAIGNS) == set(BROKEN)


class Ends(Campaign):
    """Cases that end their process, each in another way; the last one does nothing."""

    name, about, full = "ends", "processes", 6
    seconds, room = 1.0, 2**26

    def run(self, case):
        def spin():
            while time.monotonic():
                pass

        (
            lambda: os.kill(os.getpid(), signal.SIGSEGV),
            lambda: os._exit(3),
            lambda: time.sleep(60),
            spin,
            # Mapped, for an array may lie in memory that earlier tests freed: nothing grows then.
            lambda: mmap.mmap(-1, 2**27).write(bytes(2**27)),
            lambda: os.write(2, b"libtiff: \x1b[2J"),
            lambda: None,
        )[case.number]()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_case_that_ends_its_process_is_a_fault_and_the_next_one_runs(tmp_path):
    with Worker(Ends(), 0, tmp_path) as worker:
        found = [worker.run(number) for number in range(7)]
    kinds = ["crash", "crash", "hang", "hang", "memory", "terminal", ""]
    assert [verdict.kind for verdict in found] == kinds
    assert "SIGSEGV" in found[0].detail and "exit 3" in found[1].detail
    assert not list(tmp_path.glob("case*"))


@pytest.mark.parametrize(
    "name",
    [
        "tables",
        pytest.param("models", marks=pytest.mark.slow),
        pytest.param("settings", marks=pytest.mark.slow),
    ],
)
def test_a_case_is_the_same_whenever_it_runs(name, tmp_path):
    campaign = CAMPAIGNS[name]()
    (tmp_path / "shared").mkdir()
    campaign.prepare(tmp_path / "shared")
    notes = []
    for place in ("one", "two"):
        attempt(campaign, 3, 5, tmp_path / place / "case")
        notes.append((tmp_path / place / "case.txt").read_text().replace(f"/{place}/", "/"))
    assert notes[0] == notes[1]
