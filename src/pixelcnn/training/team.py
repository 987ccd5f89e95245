"""The processes that train one model together, and the few words they exchange."""

import contextlib
import dataclasses
import datetime
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from pixelcnn.errors import ConfigError, PixelCNNError, TrainingError

JOINING = datetime.timedelta(minutes=5)
"""How long a process waits for the others to arrive."""

SILENCE = datetime.timedelta(minutes=30)
"""How long a process waits for the others in a training; one that is gone is noticed at once."""

T = TypeVar("T")


class Followed(PixelCNNError):
    """What ended the leader of a team, in the processes that follow it.

    Attributes:
        exit_code: the leader's.
    """

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


@dataclasses.dataclass(frozen=True)
class Team:
    """The place of this process among those of a training; alone, it exchanges nothing.

    Attributes:
        rank: of this process, from 0.
        size: processes.
        local_rank: among the processes of this machine.
        local_size: processes of this machine.

    Example:
        >>> Team().first(lambda: 3), Team().total(0.5), Team().highest(2, False)
        (3, 0.5, (2, 0))
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and speaks for all."""
        return self.rank == 0

    @property
    def nodes(self) -> int:
        """Machines."""
        return self.size // self.local_size

    def first(self, action: Callable[[], T]) -> T:
        """What ``action`` gives in the leader, in every process.

        Raises:
            Followed: in the others, instead of an error of this package that the leader raises.
        """
        if self.size == 1:
            return action()
        told: list[object] = [None, None]
        failure: PixelCNNError | None = None
        if self.leads:
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

    def total(self, value: float) -> float:
        """The sum of everyone's value."""
        return self.sum(np.array([value]))[0].item() if self.size > 1 else value

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sums of everyone's values, float64 ``(n,)``; zeros change nothing, to the bit."""
        if self.size == 1:
            return values
        summed = torch.from_numpy(values.astype(np.float64))
        dist.all_reduce(summed)
        return summed.numpy()

    def highest(self, *values: int) -> tuple[int, ...]:
        """The largest of everyone's values, one by one: how a team takes a decision."""
        if self.size > 1:
            known = torch.tensor([int(value) for value in values])
            dist.all_reduce(known, dist.ReduceOp.MAX)
            return tuple(known.tolist())
        return tuple(int(value) for value in values)

    def summing_seconds(self, count: int, device: torch.device) -> float:
        """Seconds that the sum of ``count`` gradients takes; nothing for one process."""
        if self.size == 1:
            return 0.0
        values, seconds = torch.zeros(count, device=device), []
        for _ in range(3):
            start = time.monotonic()
            dist.all_reduce(values)
            seconds.append(time.monotonic() - start)
        return self.first(lambda: min(seconds))


def placed(environment: Mapping[str, str]) -> Team | None:
    """The place that whoever started this process gave it: torchrun, SLURM's srun, or ``pixelcnn train``.

    Returns:
        None for a process that nobody placed.

    Raises:
        ConfigError: machines with different numbers of processes.

    Example:
        >>> placed({"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"})
        Team(rank=3, size=4, local_rank=1, local_size=2)
        >>> placed({"SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "2"})
        Team(rank=1, size=2, local_rank=1, local_size=2)
    """

    def number(key: str, otherwise: int) -> int:
        return int(environment.get(key, otherwise))

    if "RANK" in environment and "WORLD_SIZE" in environment:
        rank, size = number("RANK", 0), number("WORLD_SIZE", 1)
        return Team(rank, size, number("LOCAL_RANK", rank), number("LOCAL_WORLD_SIZE", size))
    tasks, nodes = number("SLURM_STEP_NUM_TASKS", 1), number("SLURM_STEP_NUM_NODES", 1)
    if tasks == 1 or "SLURM_PROCID" not in environment:
        return None  # a shell or a batch script: its tasks have not been started
    if tasks % nodes:
        raise ConfigError(
            f"{tasks} tasks on {nodes} machines: each machine needs the same number",
            hint="use srun --ntasks-per-node",
        )
    return Team(number("SLURM_PROCID", 0), tasks, number("SLURM_LOCALID", 0), tasks // nodes)


@contextlib.contextmanager
def assembled(devices: int, nodes: int) -> Iterator[Team]:
    """The team that this process belongs to, once all have arrived.

    Args:
        devices: processes a machine that were asked for; 1 takes those that were started.
        nodes: machines that were asked for, likewise.

    Raises:
        ConfigError: another number of processes was started.
        TrainingError: some did not arrive, or one has ended before its time.
    """
    team = placed(os.environ) or Team()
    check_size(team, devices, nodes)
    if team.size == 1:
        yield team
        return
    try:
        _join(team)
        yield team
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise TrainingError(
            "another process of this training has ended, or cannot be reached",
            hint="see what it said; then go on with --resume",
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def check_size(team: Team, devices: int, nodes: int) -> None:
    """Compares the processes that were started with those that were asked for.

    Raises:
        ConfigError: they differ; one device on one machine asks for nothing.
    """
    wanted = devices * nodes
    if wanted not in (1, team.size):
        raise ConfigError(
            f"{devices} devices on {nodes} machines are {wanted} processes, {team.size} started",
            hint=f"start it with pixelcnn train, or with torchrun --nproc-per-node {devices}"
            + (f" --nnodes {nodes}" if nodes > 1 else ""),
        )


def _join(team: Team) -> None:
    """Meets the others at ``MASTER_ADDR``; a sum on the CPU goes through gloo, on CUDA through NCCL."""
    if "MASTER_ADDR" not in os.environ:
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

        slurm = SLURMEnvironment(auto_requeue=False)
        os.environ["MASTER_ADDR"] = slurm.main_address
        os.environ["MASTER_PORT"] = str(slurm.main_port)
    meeting = rendezvous("env://", team.rank, team.size, timeout=JOINING)
    store, _, _ = next(iter(meeting))
    # torchrun keeps its store when it restarts processes: addresses of the dead must not be found there.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=PrefixStore(f"attempt {attempt}", store),
        rank=team.rank,
        world_size=team.size,
        timeout=SILENCE,
    )
