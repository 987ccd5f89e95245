"""The command line of the campaigns, and the table at its end."""

import argparse
import collections
import dataclasses
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from fuzz.campaigns import CAMPAIGNS
from fuzz.case import Campaign, Verdict, notes_of
from fuzz.supervisor import Worker

SHOWN = 10
"""Cases of one kind of fault that are shown, at most; ``--json`` names all."""


@dataclasses.dataclass
class Tally:
    """What a campaign found.

    Attributes:
        cases: tried.
        seconds: taken, preparation left out.
        refused: cases by exit code.
        faults: number of the case and its end.
    """

    campaign: str
    cases: int = 0
    seconds: float = 0.0
    refused: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    faults: list[tuple[int, Verdict]] = dataclasses.field(default_factory=list)

    def add(self, number: int, verdict: Verdict) -> None:
        """One more case."""
        self.cases += 1
        if verdict.kind:
            self.faults.append((number, verdict))
        elif verdict.code:
            self.refused[verdict.code] += 1

    @property
    def ok(self) -> int:
        """Cases that went through."""
        return self.cases - len(self.faults) - self.refused.total()

    def as_json(self) -> dict[str, object]:
        """The same as JSON."""
        faults = [dataclasses.asdict(v) | {"number": n} for n, v in self.faults]
        counts = {"cases": self.cases, "ok": self.ok, "refused": dict(sorted(self.refused.items()))}
        return {
            "campaign": self.campaign,
            **counts,
            "faults": faults,
            "seconds": round(self.seconds, 1),
        }


def main(words: Sequence[str] | None = None) -> int:
    """Runs campaigns; 1 if any of them found a fault, else 0."""
    options = parser().parse_args(words)
    os.environ.setdefault("MPLBACKEND", "agg")
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = options.campaigns or list(CAMPAIGNS)
    tallies = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        for name in chosen:
            if options.only is not None:
                return replay(CAMPAIGNS[name](), options, Path(scratch))
            tallies.append(tally(CAMPAIGNS[name](), options, Path(scratch) / name))
            if not options.json:
                say(row(tallies[-1]) if len(tallies) > 1 else f"{HEAD}\n{row(tallies[-1])}")
    if options.json:
        say(json.dumps({"seed": options.seed, "campaigns": [t.as_json() for t in tallies]}))
    else:
        say("".join(f"\n{line}" for t in tallies for line in faults(t, options.seed)))
    return int(any(t.faults for t in tallies))


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Attacks this tool with damaged files, hostile settings and ends at any moment. "
        "The case of a number, a campaign and a seed is always the same.",
        epilog="\n".join(f"  {name:12} {kind.about}" for name, kind in CAMPAIGNS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", choices=[[], *CAMPAIGNS])
    made.add_argument("--minutes", type=float, metavar="N", help="stop each campaign after so long")
    made.add_argument(
        "--cases", type=int, metavar="N", help="of each campaign; default: a full run"
    )
    made.add_argument("--few", action="store_true", help="a handful of cases of each campaign")
    made.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")
    made.add_argument("--only", type=int, metavar="K", help="replay one case, and say what is done")
    made.add_argument(
        "--keep", type=Path, metavar="DIR", help="with --only: leave its files in a new folder"
    )
    made.add_argument("--json", action="store_true", help="one JSON object in place of the table")
    return made


def numbers(campaign: Campaign, options: argparse.Namespace) -> Iterator[int]:
    """Cases to run; a campaign that is given time goes on beyond a full run only if it is asked for more."""
    count = options.cases or (campaign.few if options.few else campaign.full)
    start = time.monotonic()
    for number in range(count):
        if options.minutes is not None and time.monotonic() > start + 60 * options.minutes:
            return
        yield number


def tally(campaign: Campaign, options: argparse.Namespace, scratch: Path) -> Tally:
    """Runs a campaign."""
    found = Tally(campaign.name)
    (scratch / "shared").mkdir(parents=True)
    campaign.prepare(scratch / "shared")
    start = time.monotonic()
    with Worker(campaign, options.seed, scratch) as worker:
        for number in numbers(campaign, options):
            try:
                found.add(number, worker.run(number))
            except KeyboardInterrupt:  # what was found so far counts
                options.minutes = 0.0
    found.seconds = time.monotonic() - start
    return found


def replay(campaign: Campaign, options: argparse.Namespace, scratch: Path) -> int:
    """Runs one case and says everything about it."""
    (scratch / "shared").mkdir()
    campaign.prepare(scratch / "shared")
    keep = (options.keep or scratch / "kept").absolute()
    with Worker(campaign, options.seed, scratch) as worker:
        try:
            verdict = worker.try_in(keep, options.only)
        finally:
            say(notes_of(keep).read_text(encoding="utf-8") + worker.said())
    say(f"{verdict.kind or 'ok'} (exit code {verdict.code}) {verdict.detail}")
    return int(bool(verdict.kind))


HEAD = f"{'campaign':12} {'cases':>7} {'inputs':>7} {'ok':>7} {'refused':28} {'faults':>6} {'seconds':>8}"


def row(t: Tally) -> str:
    """A line of the table."""
    refused = ", ".join(f"{count} with {code}" for code, count in sorted(t.refused.items())) or "0"
    inputs = t.cases * CAMPAIGNS[t.campaign].inputs
    counts = f"{t.campaign:12} {t.cases:7} {inputs:7} {t.ok:7}"
    return f"{counts} {refused:28} {len(t.faults):6} {t.seconds:8.1f}"


def faults(t: Tally, seed: int) -> Iterator[str]:
    """Each kind of fault: how often, and of a few what, and the command that replays them."""
    for kind, count in collections.Counter(verdict.kind for _, verdict in t.faults).most_common():
        yield f"{t.campaign}: {count} x {kind}"
        for number, verdict in [each for each in t.faults if each[1].kind == kind][:SHOWN]:
            yield f"  {verdict.detail}: python -m tests.fuzz {t.campaign} --seed {seed} --only {number}"


def say(text: str) -> None:
    """A line, at once."""
    print(text, flush=True)  # noqa: T201
