"""The processes that train one model together, and the few words they exchange."""

import contextlib
import ctypes
import dataclasses
import datetime
import functools
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from pixelcnn.annotations import shown
from pixelcnn.errors import ConfigError, PixelCNNError, TrainingError

JOINING = datetime.timedelta(minutes=5)
"""How long a process waits for the others to arrive."""

SILENCE = datetime.timedelta(minutes=30)
"""How long a process waits for the others in a training; one that is gone is noticed at once."""

T = TypeVar("T")


class Followed(PixelCNNError):
    """What ended the main process, in the others.

    Attributes:
        exit_code: the main process's.
    """

    def __init__(self, message: str, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


@dataclasses.dataclass(frozen=True)
class Processes:
    """The place of this process among those of a training; alone, it exchanges nothing.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
        local_rank: among the processes of this machine.
        local_size: processes of this machine.

    Example:
        >>> alone = Processes()
        >>> alone.on_main(lambda: 3), alone.sum(np.ones(1)).tolist(), alone.maximum(2, False)
        (3, [1.0], (2, 0))
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and speaks for all."""
        return self.rank == 0

    def on_main(self, action: Callable[[], T]) -> T:
        """What ``action`` gives in the main process, in every process.

        Raises:
            Followed: in the others, instead of an error of this package that the main one raises.
        """
        if self.size == 1:
            return action()
        told: list[object] = [None, None]
        failure: PixelCNNError | None = None
        if self.is_main:
            try:
                told[0] = action()
            except PixelCNNError as error:
                failure, told[1] = error, (str(error), error.hint, error.exit_code)
        dist.broadcast_object_list(told, 0)
        if failure is not None:
            raise failure
        if isinstance(told[1], tuple):
            raise Followed(*told[1])
        return told[0]  # type: ignore[return-value]

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sums of everyone's values, float64 ``(n,)``; zeros change nothing, to the bit."""
        if self.size == 1:
            return values
        summed = torch.from_numpy(values.astype(np.float64))
        dist.all_reduce(summed)
        return summed.numpy()

    def maximum(self, *values: int) -> tuple[int, ...]:
        """The largest of everyone's values, one by one: how several processes take a decision."""
        if self.size > 1:
            known = torch.tensor([int(value) for value in values])
            dist.all_reduce(known, dist.ReduceOp.MAX)
            return tuple(known.tolist())
        return tuple(int(value) for value in values)

    def check_same(self, value: str, what: str) -> None:
        """Compares a value of all processes.

        Raises:
            ConfigError: this process has another one than the main one.
        """
        if value != self.on_main(lambda: value):
            raise ConfigError(
                f"process {self.rank} of {self.size} has other {what} than process 0",
                hint="give every machine the same files",
            )

    def device(self, device: str) -> str:
        """The device of this process: its own GPU, or a share of the processor.

        Raises:
            ConfigError: a device that cannot be shared out, or fewer GPUs than processes.

        Example:
            >>> Processes(rank=1, size=2, local_rank=1, local_size=2).device("cpu")
            'cpu'
        """
        if self.size == 1 or device == "cpu":
            return device
        if device != "cuda":
            raise ConfigError(
                f"device {device!r} serves one process, not {self.local_size}",
                hint="use --device cuda or --device cpu",
            )
        if self.local_size > torch.cuda.device_count():
            raise ConfigError(
                f"{self.local_size} processes, but there are {torch.cuda.device_count()} GPUs",
                hint=f"use --devices {torch.cuda.device_count()}",
            )
        return f"cuda:{self.local_rank}"


def placed(environment: Mapping[str, str]) -> Processes | None:
    """The place that ``accelerate launch``, torchrun, SLURM's srun or ``pixelcnn train`` gave this process.

    Returns:
        None for a process that nobody placed.

    Raises:
        ConfigError: machines with different numbers of processes, what is no number, or no place among them.

    Example:
        >>> placed({"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"})
        Processes(rank=3, size=4, local_rank=1, local_size=2)
        >>> placed({"SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "2"})
        Processes(rank=1, size=2, local_rank=1, local_size=2)
    """
    number = functools.partial(number_in, environment)
    if "RANK" in environment and "WORLD_SIZE" in environment:
        rank, size = number("RANK", 0), number("WORLD_SIZE", 1)
        local_rank, local_size = number("LOCAL_RANK", rank), number("LOCAL_WORLD_SIZE", size)
        _check_place("RANK", rank, "WORLD_SIZE", size)
        _check_place("LOCAL_RANK", local_rank, "LOCAL_WORLD_SIZE", local_size)
        return Processes(rank, size, local_rank, local_size)
    tasks, nodes = number("SLURM_STEP_NUM_TASKS", 1), max(1, number("SLURM_STEP_NUM_NODES", 1))
    if tasks == 1 or "SLURM_PROCID" not in environment:
        return None  # a shell or a batch script: its tasks have not been started
    if tasks % nodes:
        raise ConfigError(
            f"{tasks} tasks on {nodes} machines: each machine needs the same number",
            hint="use srun --ntasks-per-node",
        )
    rank, local_rank = number("SLURM_PROCID", 0), number("SLURM_LOCALID", 0)
    _check_place("SLURM_PROCID", rank, "SLURM_STEP_NUM_TASKS", tasks)
    _check_place("SLURM_LOCALID", local_rank, "tasks of a machine", tasks // nodes)
    return Processes(rank, tasks, local_rank, tasks // nodes)


def number_in(environment: Mapping[str, str], key: str, otherwise: int) -> int:
    """What an environment variable counts; raises :class:`ConfigError` if that is no number."""
    text = environment.get(key, str(otherwise))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ConfigError(
            f"the environment variable {key} must be a number from 0 on, got {shown(text)}",
            hint="leave it to the launcher, or unset it",
        )
    return int(text)


def _check_place(place: str, number: int, count: str, size: int) -> None:
    """Refuses a process beyond those that there are."""
    if number >= size:
        raise ConfigError(
            f"{place} = {number} is no place among {size} processes ({count}): places count from 0",
            hint="leave these environment variables to the launcher, or unset them",
        )


@contextlib.contextmanager
def joined(devices: int, nodes: int) -> Iterator[Processes]:
    """This process's place, once all have arrived.

    A process group that the caller has made already is used, and left as it is.

    Args:
        devices: processes a machine that were asked for; 1 takes those that were started.
        nodes: machines that were asked for, likewise.

    Raises:
        ConfigError: another number of processes was started.
        TrainingError: some did not arrive, or one has ended before its time.
    """
    processes = placed(os.environ) or Processes()
    check_size(processes, devices, nodes)
    if processes.size == 1 or dist.is_initialized():
        yield processes
        return
    before = dict(os.environ)
    try:
        _join(processes)
        yield processes
    except BaseException as error:
        # A DistributedDataParallel that the traceback keeps would be the group's last owner: it ends the
        # group's threads while it holds the interpreter's lock, for which one of them may wait.
        traceback.clear_frames(error.__traceback__)
        lost = isinstance(error, dist.DistError) or "gloo" in str(error)
        if not (isinstance(error, RuntimeError) and lost):
            raise
        # Frames that still run cannot be cleared, and a sum that is never finished waits for that lock:
        # the group of those that are left is never taken down, and ends with the process.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(dist.group.WORLD))
        raise TrainingError(
            "another process of this training has ended, or cannot be reached",
            hint="see what it said; then go on with --resume",
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def check_size(processes: Processes, devices: int, nodes: int) -> None:
    """Compares the processes that were started with those that were asked for.

    Raises:
        ConfigError: they differ; one device on one machine asks for nothing.
    """
    wanted = devices * nodes
    if wanted not in (1, processes.size):
        raise ConfigError(
            f"{devices} devices on {nodes} machines are {wanted} processes, {processes.size} started",
            hint=f"start it with pixelcnn train, or with torchrun --nproc-per-node {devices}"
            + (f" --nnodes {nodes}" if nodes > 1 else ""),
        )


def first_host(hosts: str) -> str:
    """The first of the host names that SLURM lists.

    Example:
        >>> first_host("gpu[007-009,12],login1"), first_host("one,two")
        ('gpu007', 'one')
    """
    found = re.match(r"([^,\[]+)(?:\[(\d+))?", hosts)
    return "".join(part or "" for part in found.groups()) if found else "127.0.0.1"


def _join(processes: Processes) -> None:
    """Meets the others at ``MASTER_ADDR``; a sum on the CPU goes through gloo, on CUDA through NCCL."""
    place = {
        "RANK": processes.rank,
        "WORLD_SIZE": processes.size,
        "LOCAL_RANK": processes.local_rank,
        "LOCAL_WORLD_SIZE": processes.local_size,
    }
    os.environ.update({name: str(value) for name, value in place.items()})
    if "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = first_host(os.environ.get("SLURM_JOB_NODELIST", "127.0.0.1"))
    if "MASTER_PORT" not in os.environ:
        os.environ["MASTER_PORT"] = str(15_000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 20_000)
    meeting = rendezvous("env://", processes.rank, processes.size, timeout=JOINING)
    store, _, _ = next(iter(meeting))
    # A store may outlive a meeting, and torchrun keeps its own when it restarts processes: addresses that
    # nobody listens to any more must not be found there.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = PrefixStore(f"attempt {attempt}", store)
    meetings = store.add(f"meetings of {processes.rank}", 1)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=PrefixStore(f"meeting {meetings}", store),
        rank=processes.rank,
        world_size=processes.size,
        timeout=SILENCE,
    )
