"""A training whose process is gone, or its disk full, at the n-th operation on files; then it goes on."""

import os
import random
from collections.abc import Callable
from pathlib import Path

from faults import disk_full_at
from fuzz.campaigns.checkpoints import OPTIONS, check_same_end
from fuzz.case import Campaign, Case, Fault
from pixelcnn.errors import ResourceError
from pixelcnn.training import checkpoints
from training.trainings import train

GONE = 86
"""Exit code of a process that ends without a word."""


def exit_code(action: Callable[[], None]) -> int:
    """How a process of its own ends that does something; it is of the worker's group, and ends with it."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Interrupted(Campaign):
    """What the campaigns about trainings that end too early share."""

    seconds = 30.0

    def prepare(self, folder: Path) -> None:
        self.whole = folder / "whole"
        with disk_full_at(10**9) as disk:
            train(self.whole, **OPTIONS)
        self.operations = disk.used

    def place(self, case: Case) -> int:
        """The operation at which it happens: each once, in an order of the seed's own."""
        order = list(range(1, self.operations + 1))
        random.Random(case.seed).shuffle(order)
        return order[case.number % self.operations]

    def go_on(self, case: Case, run: Path) -> None:
        """Goes on, and holds the end to that of the undisturbed training."""
        damaged: list[str] = []
        checkpoints.latest(run / "checkpoints", damaged.append)
        if damaged:
            raise Fault("content", f"a checkpoint is damaged: {damaged[0]}")
        history = case.call(train, run, resume=True, **OPTIONS)
        if history is None:
            raise Fault("content", "the training cannot go on")
        check_same_end(run, self.whole)
        if left := list(run.glob("**/.*.tmp")):
            raise Fault("content", f"{left[0].name} is left behind")


class Exits(Interrupted):
    """The process ends at the n-th operation that needs room on the disk: as in a power cut."""

    name = "exits"
    about = "a training whose process ends at the n-th operation on files, then resumed"
    full = 173
    few = 0

    def run(self, case: Case) -> None:
        run, number = case.folder / "run", self.place(case)
        case.tell(f"the process ends at operation {number} of {self.operations}")

        def ends() -> None:
            with disk_full_at(number) as disk:
                need = disk.need

                def count() -> None:
                    try:
                        need()
                    except OSError:
                        os._exit(GONE)

                disk.need = count  # type: ignore[method-assign]
                train(run, **OPTIONS)

        if (code := exit_code(ends)) != GONE:
            raise Fault("campaign", f"the training ended with {code}")
        self.go_on(case, run)


class Disks(Interrupted):
    """The disk is full from the n-th operation on: said so, and nothing is lost once there is room."""

    name = "disks"
    about = "a training on a disk that is full at the n-th operation, then resumed"
    full = 173
    few = 2

    def run(self, case: Case) -> None:
        run, number = case.folder / "run", self.place(case)
        case.tell(f"the disk is full at operation {number} of {self.operations}")
        try:
            with disk_full_at(number):
                train(run, **OPTIONS)
        except ResourceError as error:
            case.tell(str(error))
            if error.exit_code != 5 or "free some space" not in error.hint:
                raise Fault("message", f"exit {error.exit_code}, hint: {error.hint}") from error
        except Exception as error:
            raise Fault(
                "exception", f"{type(error).__name__}: {error}, not ResourceError"
            ) from error
        else:
            raise Fault("content", "the training ended as if there were room")
        self.go_on(case, run)
