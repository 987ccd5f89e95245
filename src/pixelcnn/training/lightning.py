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
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from pixelcnn.errors import TrainingError
from pixelcnn.model import PixelModel
from pixelcnn.training import validation
from pixelcnn.training.batches import Batches, seed_step
from pixelcnn.training.checkpoints import AtomicCheckpointIO
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.schedules import learning_rate, optimiser

MAX_SKIPPED = 3

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
        loss: of the last step; NaN if it was skipped.
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
    ) -> None:
        super().__init__()
        self.model, self.batches, self.options, self.steps = model, batches, options, steps
        self.precision, self.skipped, self.taken = precision, 0, 0
        self.loss = math.nan

    def on_fit_start(self) -> None:
        self.batches.rank = self.trainer.global_rank
        self.batches.processes = self.trainer.world_size

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimiser(self.model, self.options)

    def training_step(self, step: int, batch_idx: int) -> Tensor | None:
        rate = learning_rate(self.options, step, self.steps)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        loss = self.batch_loss(step)
        self.taken = step + 1
        self.loss = loss.item()
        if math.isfinite(self.loss):
            return loss
        return self._not_finite(step)

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
        return found.sum() * (
            -self.batches.processes / (batch.images * self.model.shape.dimensions)
        )

    def _not_finite(self, step: int) -> Tensor | None:
        """Stops, or leaves the step out: without gradients the optimiser changes nothing."""
        self.skipped += 1
        images = ", ".join(map(str, self.batches[step].indices[:16].tolist()))
        what = f"the loss of step {step + 1} is {self.loss}; its images: {images}"
        if self.options.on_nan == "stop" or self.skipped > MAX_SKIPPED:
            raise TrainingError(
                what + (", ..." if len(self.batches[step].indices) > 16 else ""),
                hint="start again with a lower training.learning_rate or training.gradient_clip = 1.0;"
                " what was saved before is untouched",
            )
        warnings.warn(what + "; skipped", stacklevel=2)
        self.zero_grad(set_to_none=True)
        return None


def make_trainer(
    options: TrainingOptions,
    steps: int,
    precision: str,
    place: tuple[str, int | list[int]],
    root: Path,
    callbacks: list[Callback],
) -> Trainer:
    """A trainer that leaves batches, logs, validation and saving to us."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Trainer(
            accelerator=place[0],
            devices=place[1],
            num_nodes=options.nodes,
            precision=PRECISIONS[precision],  # type: ignore[arg-type]
            max_steps=steps,
            max_epochs=-1,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO()],
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
