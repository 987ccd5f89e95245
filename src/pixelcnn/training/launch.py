"""Starts the processes of a training on this machine, and looks after them."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from pixelcnn.cores import cores
from pixelcnn.errors import ConfigError
from pixelcnn.training.processes import number_in
from pixelcnn.training.signals import stop_signals

GRACE = 60.0
"""Seconds that the others have to end by themselves after one has failed."""

POLL = 0.1
"""Seconds between looks at the processes."""

log = logging.getLogger("pixelcnn")


def this_command() -> list[str]:
    """This process's command line, for others like it.

    With ``-c`` Python would import what lies in the working folder, whatever that is, before its own modules.
    """
    apart = [] if {"", os.getcwd()} & {*sys.path} else ["-P"]
    program = "from pixelcnn.__main__ import main; main()"
    return [sys.executable, *apart, "-c", program, *sys.argv[1:]]


def supervise(command: Sequence[str], devices: int, nodes: int) -> int:
    """Runs one process a device, passes signals on, and waits for all.

    Each of several machines runs this, with ``NODE_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT`` in its
    environment.

    Args:
        command: what every process runs; its environment tells it its place, as torchrun does.
        devices: processes on this machine.
        nodes: machines.

    Returns:
        0, or the exit code of the first process that failed; 1 for one that was killed.

    Raises:
        ConfigError: several machines that have not been told where to meet, or where they stand.
    """
    places = list(environments(os.environ, devices, nodes))
    started: list[subprocess.Popen[bytes]] = []
    signals: list[int] = []  # passed on once all have started, so that each gets each of them once
    before = {
        each: signal.signal(each, lambda number, _: signals.append(number))
        for each in stop_signals()
    }
    try:
        # A session of its own for each: a terminal's Ctrl-C reaches it once, through here.
        for place in places:  # one by one, so that those that run are known if one does not start
            process = subprocess.Popen(
                command, env=place, stdin=subprocess.DEVNULL, start_new_session=True
            )
            started.append(process)
        return _wait(started, signals)
    finally:
        for process in started:
            process.kill()
            process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def environments(
    environment: Mapping[str, str], devices: int, nodes: int
) -> Iterator[dict[str, str]]:
    """The environment of each process on this machine: its place, and where to meet.

    Example:
        >>> [place["RANK"] for place in environments({}, devices=3, nodes=1)]
        ['0', '1', '2']
    """
    if nodes > 1 and not {"NODE_RANK", "MASTER_ADDR", "MASTER_PORT"} <= set(environment):
        raise ConfigError(
            f"{nodes} machines have to be told where to meet",
            hint="set MASTER_ADDR, MASTER_PORT and NODE_RANK on each, or use torchrun or srun",
        )
    node = number_in(environment, "NODE_RANK", 0) if nodes > 1 else 0
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())} if nodes == 1 else {}
    threads = str(max(1, cores() // devices))
    if environment.get("OMP_NUM_THREADS") == str(cores()):  # all of them, which are to be shared
        environment = {**environment, "OMP_NUM_THREADS": threads}
    for local in range(devices):
        yield {
            "OMP_NUM_THREADS": threads,
            **environment,
            **meeting,
            "RANK": str(node * devices + local),
            "WORLD_SIZE": str(nodes * devices),
            "LOCAL_RANK": str(local),
            "LOCAL_WORLD_SIZE": str(devices),
        }


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(started: list[subprocess.Popen[bytes]], signals: list[int]) -> int:
    """Waits for all and passes signals on; once one has failed, the others have some time to notice."""
    failed, deadline = 0, float("inf")
    while any(process.poll() is None for process in started):
        while signals:
            number = signals.pop(0)
            for process in started:
                process.send_signal(number)
        codes = [process.poll() for process in started]
        if failed == 0 and any(codes):
            failed, deadline = _first_failure(codes), time.monotonic() + GRACE
        if time.monotonic() > deadline:
            break
        time.sleep(POLL)
    codes = [process.poll() for process in started]
    for number, code in enumerate(codes):
        if code is not None and code < 0:  # it could not say anything itself
            why = ", as where memory runs out" if code == -9 else ""
            log.error("process %d on this machine was ended by signal %d%s", number, -code, why)
    return failed or _first_failure(codes)


def _first_failure(codes: list[int | None]) -> int:
    """The exit code of the first process that failed; a signal's is negative and counts as 1."""
    return next((max(code, 1) for code in codes if code), 0)
