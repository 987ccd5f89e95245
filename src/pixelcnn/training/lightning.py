"""The Lightning side of a training: one step, and the trainer around it.

Lightning sees one long pass over the step numbers. Epochs, batches and all randomness are functions of the
step (``batches.py``), so nothing of Lightning's loop state matters for an exact resume.
"""

import itertools
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor

from pixelcnn.data.files import printable
from pixelcnn.errors import TrainingError
from pixelcnn.model import PixelModel
from pixelcnn.training import validation
from pixelcnn.training.batches import Batches, seed_step
from pixelcnn.training.checkpoints import AtomicCheckpointIO
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.schedules import learning_rate, optimiser
from pixelcnn.training.team import Team

MAX_SKIPPED = 3

NAMED = 16
"""Images of a bad step that are named."""

PRECISIONS = {"32": "32-true", "bf16": "32-true", "64": "64-true"}
"""Lightning's names; bfloat16 is our own autocast around the network, so that logarithms stay in 32 bits."""


class Steps:
    """The numbers of the steps to take, without an end: the trainer knows where to stop.

    Without a length Lightning keeps no position of its own in it.
    """

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)


class TrainingModule(LightningModule):
    """A model with its loss, the mean negative log-likelihood in nats per sub-pixel.

    Attributes:
        loss: of the last step, over all processes; NaN if it was skipped.
        precision: ``32``, ``bf16`` or ``64``.
        taken: steps taken, those of an earlier run included.
    """

    def __init__(
        self,
        model: PixelModel,
        batches: Batches,
        options: TrainingOptions,
        steps: int,
        precision: str,
        team: Team,
    ) -> None:
        super().__init__()
        self.model, self.batches, self.options, self.steps = model, batches, options, steps
        self.precision, self.team, self.skipped, self.taken = precision, team, 0, 0
        self.loss = math.nan

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimiser(self.model, self.options)

    def training_step(self, step: int, batch_idx: int) -> Tensor:
        rate = learning_rate(self.options, step, self.steps)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        loss = self.batch_loss(step)
        self.taken = step + 1
        self.loss = self.team.total(loss.item()) / self.team.size
        if not math.isfinite(self.loss):
            self._not_finite(step)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if not math.isfinite(self.loss):  # without gradients the optimiser changes nothing
            self.zero_grad(set_to_none=True)

    def batch_loss(self, step: int) -> Tensor:
        """The loss of a step's images; its mean over processes is the loss of all of them."""
        seed_step(self.options.seed, step, self.batches.rank)
        batch = self.batches[step]
        found = validation.log_prob(
            self.model,
            batch.levels,
            batch.condition,
            self.precision,
            channels_last=self.options.channels_last,
        )
        return found.sum() * (-batch.weight / self.model.shape.dimensions)

    def _not_finite(self, step: int) -> None:
        """Stops, or says that the step is left out."""
        self.skipped += 1
        indices, names = self.batches.indices(step), self.batches.data.names
        shown = [printable(names[i]) if names else str(i) for i in indices[:NAMED].tolist()]
        more = ", ..." if len(indices) > NAMED else ""
        what = f"the loss of step {step + 1} is {self.loss}; its images: {', '.join(shown)}{more}"
        if self.options.on_nan == "stop" or self.skipped > MAX_SKIPPED:
            raise TrainingError(
                what,
                hint="start again with a lower training.learning_rate or training.gradient_clip = 1.0;"
                " what was saved before is untouched",
            )
        warnings.warn(what + "; skipped", stacklevel=2)


class Place(LightningEnvironment):
    """Tells Lightning where in the team this process is, so that it looks for no cluster itself."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self.team = team

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def world_size(self) -> int:
        return self.team.size

    def global_rank(self) -> int:
        return self.team.rank

    def local_rank(self) -> int:
        return self.team.local_rank

    def node_rank(self) -> int:
        return self.team.rank // self.team.local_size

    def teardown(self) -> None:
        """Leaves the environment as it is: another training of this process finds its place there."""


def strategy(team: Team) -> str | DDPStrategy:
    """How gradients of several processes become one: their mean, in buckets while others are computed.

    Masks are buffers, which are the same everywhere and need not travel.
    """
    if team.size == 1:
        return "auto"
    return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)


def make_trainer(
    options: TrainingOptions,
    steps: int,
    precision: str,
    place: tuple[str, int | list[int]],
    root: Path,
    callbacks: list[Callback],
    team: Team,
) -> Trainer:
    """A trainer that leaves batches, logs, validation and saving to us."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Trainer(
            accelerator=place[0],
            devices=place[1],
            num_nodes=team.nodes,
            strategy=strategy(team),
            precision=PRECISIONS[precision],  # type: ignore[arg-type]
            max_steps=steps,
            max_epochs=-1,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO(team), Place(team)],
            gradient_clip_val=options.gradient_clip or None,
            default_root_dir=root,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            log_every_n_steps=2**31,
        )
