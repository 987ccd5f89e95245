"""Run folders: damaged, hostile, or with something else in place of a file; then the training goes on."""

import hashlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from fuzz import mutation, values
from fuzz.case import Campaign, Case, Fault
from pixelcnn.training import checkpoints
from training.trainings import killed_at, same, state, train

OPTIONS: dict[str, Any] = {
    "epochs": 2, "checkpoint_every": "0s", "sample_count": 0, "log_every": 1, "trackers": []
}  # fmt: skip
"""Two epochs of four steps, a checkpoint after each."""
STOP, MOST = 6, 64
"""The step after which the process is gone, and steps that a forged checkpoint may ask for."""
FILES = (
    "checkpoints/*", "checkpoints/*", "metrics.csv", "recipe.toml", "best.safetensors", "last.safetensors",
    "environment.json", "train.log", "run.lock",
)  # fmt: skip
SECRET = b"what somebody else wrote"


def check_same_end(run: Path, whole: Path, *, but: str = "") -> None:
    """Holds what a training left to what the undisturbed one left, to the bit.

    Args:
        run: the run folder.
        whole: that of the undisturbed training.
        but: a file that need not agree.

    Raises:
        Fault: something differs.
    """
    if not same(state(run), state(whole)):
        raise Fault("content", "the training ends in another state")
    for name in {"metrics.csv", "best.safetensors", "last.safetensors"} - {but}:
        if (run / name).read_bytes() != (whole / name).read_bytes():
            raise Fault("content", f"the training leaves another {name}")


class Checkpoints(Campaign):
    """A training goes on in a damaged folder as if nothing had happened, or refuses."""

    name = "checkpoints"
    about = "damaged and hostile run folders, resumed"
    full = 300
    few = 0
    seconds = 30.0

    def prepare(self, folder: Path) -> None:
        self.whole, self.stopped = folder / "whole", folder / "stopped"
        train(self.whole, **OPTIONS)
        with killed_at(STOP, saved=True):
            train(self.stopped, **OPTIONS)

    def run(self, case: Case) -> None:
        run, victim = case.folder / "run", case.write("victim", SECRET)
        shutil.copytree(self.stopped, run)
        kind = case.number % 3
        damage = (self.damage, self.replace, self.forge)[kind]
        damaged = [damage(case, run) for _ in range(case.draw.choice([1, 1, 2]))]
        history = case.call(train, run, resume=True, **OPTIONS)
        if victim.read_bytes() != SECRET:
            raise Fault(
                "content", f"a file outside the run folder was written to, through {damaged}"
            )
        if history is not None and kind != 2:
            check_same_end(run, self.whole, but="metrics.csv" if "metrics.csv" in damaged else "")

    def chosen(self, case: Case, run: Path) -> Path:
        """A file of the folder, which may be gone by now."""
        pattern = case.draw.choice(FILES)
        return case.draw.choice(sorted(run.glob(pattern)) or [run / pattern.rpartition("/*")[0]])

    def damage(self, case: Case, run: Path) -> str:
        """Damages bytes of a file."""
        path = self.chosen(case, run)
        if path.is_file() and not path.is_symlink():
            path.write_bytes(mutation.mutated(case.draw, path.read_bytes()))
        case.tell(f"{path.name} is damaged")
        return path.name

    def replace(self, case: Case, run: Path) -> str:
        """Puts something else in the place of a file, or nothing."""
        path = self.chosen(case, run)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.parent.is_dir():
            path.unlink(missing_ok=True)
        kind = case.draw.choice(
            ["nothing", "folder", "pipe", "victim", "link", "nowhere", "zero", "empty"]
        )
        case.tell(f"{path.name} becomes {kind}")
        if not path.parent.is_dir():  # what was damaged before was the folder itself
            return path.name
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "empty":
            path.write_bytes(b"")
        elif kind != "nothing":
            targets = {
                "victim": "../victim",
                "link": path.name,
                "nowhere": "../nowhere",
                "zero": "/dev/zero",
            }
            target = targets[kind]
            path.symlink_to(
                f"../{target}" if path.parent != run and target.startswith("..") else target
            )
        return path.name

    def forge(self, case: Case, run: Path) -> str:
        """Writes a checkpoint whose digest is right, and whose content is not."""
        path = case.draw.choice(sorted(run.glob("checkpoints/*.ckpt")))
        found = checkpoints.read(path)
        try:
            case.tell(values.altered(case.draw, found))
        except (TypeError, RuntimeError):
            found.pop(case.draw.choice(list(found)))
        plan = found.get("plan")
        if isinstance(plan, dict) and isinstance(plan.get("steps"), int):
            plan["steps"] = min(plan["steps"], MOST)  # who forges a long training gets one
        buffer = io.BytesIO()
        try:
            torch.save(found, buffer)
        except RecursionError:
            case.tell("no file can hold that")
            return path.name
        body = buffer.getvalue()
        mark = checkpoints.MARK + checkpoints.FORMAT
        path.write_bytes(body + mark + hashlib.sha256(body).digest())
        return path.name
