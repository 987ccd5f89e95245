"""``python -m pixelcnn``, and the script ``pixelcnn``: the command line, once it is imported."""

import os
import signal
from types import FrameType

INTERRUPTED = 130


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. A class of its own, since Python does not end with our exit code after some of its own."""


def end() -> None:
    """Ends the process at once, with the line that Ctrl-C ends in."""
    os.write(2, b"pixelcnn: error: interrupted\n")
    os._exit(INTERRUPTED)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Signal handler: unwinds, so that files are closed and removed.

    While PyTorch is being imported nothing of ours has begun, and its C++ drops what is raised.
    """
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "torch":
            end()
        frame = frame.f_back
    raise Interrupted


def main() -> None:
    """Runs the command line; Ctrl-C ends in one line also while that is being imported."""
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, interrupt)
        from pixelcnn.cli import main as run

        run()
    except KeyboardInterrupt:
        end()
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # what Python leaves to do has no handlers


if __name__ == "__main__":
    main()
