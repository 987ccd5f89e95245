"""Trainings as processes of their own, to be killed; they are forked, since importing takes seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pixelcnn.training.launch import environments

TESTS = Path(__file__).parents[1]


class Nursery:
    """A process that has everything imported and forks trainings. Use as a context."""

    def __enter__(self) -> "Nursery":
        paths = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "training.nursery"],
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def start(self, run: Path, place: dict[str, str] | None = None, **options: Any) -> int:
        """Starts a training, resumed if there is something to resume; gives its process id.

        Args:
            run: the run folder.
            place: environment of one process of several.
            **options: of :func:`training.trainings.exit_code`.
        """
        return self._ask([str(run), place or {}, options])

    def wait(self, pid: int) -> int:
        """The exit code of a training, or minus the signal that killed it."""
        return os.waitstatus_to_exitcode(self._ask(pid))

    def team(self, run: Path, size: int, **options: Any) -> list[int]:
        """Starts several processes that train together."""
        return [self.start(run, place, **options) for place in environments({}, size, nodes=1)]

    def finish(self, run: Path, size: int = 1, **options: Any) -> float:
        """Trains to the end; gives the seconds it took."""
        start = time.monotonic()
        pids = self.team(run, size, **options) if size > 1 else [self.start(run, **options)]
        assert [self.wait(pid) for pid in pids] == [0] * size
        return time.monotonic() - start

    def interrupt(self, run: Path, seconds: float, *signals: signal.Signals, **options: Any) -> int:
        """Starts a training, sends it signals after so many seconds; gives how it ended."""
        pid = self.start(run, **options)
        time.sleep(seconds)
        for number in signals:
            os.kill(pid, number)  # until it is waited for, the id is its own
            time.sleep(0.02)
        return self.wait(pid)

    def _ask(self, question: Any) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return int(self._read())

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the nursery has ended"
        return line.strip()


def tell(answer: object) -> None:
    """One line for the other side."""
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


def serve() -> None:
    """Forks a training for each one that stdin describes and tells its id; for an id, how it ended."""
    import torch._dynamo  # the first optimiser of a process would import it
    import torch.utils.tensorboard  # noqa: F401

    import pixelcnn.training.fitting  # noqa: F401
    from training import trainings

    tell("ready")
    for line in sys.stdin:
        question = json.loads(line)
        if isinstance(question, int):
            tell(os.waitpid(question, 0)[1])
            continue
        child = os.fork()
        if not child:
            os.dup2(2, 1)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            run, place, options = question
            os.environ.update(place)
            os._exit(trainings.exit_code(Path(run), **options))
        tell(child)


if __name__ == "__main__":
    serve()
