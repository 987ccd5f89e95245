"""The validations of one training."""

from pixelcnn.data import ImageSet
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.training.callbacks import TrainingState
from pixelcnn.training.likelihood import Validation, validate
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.processes import Processes
from pixelcnn.training.progress import Talk
from pixelcnn.training.signals import StopFlag

SMALLEST, LARGEST = 64, 256
"""Images a forward pass: enough to be fast, few enough to fit."""
SMALL = 3 * 32 * 32
"""Sub-pixels of an image: of larger ones the smallest pass takes fewer, as its memory goes with them all."""


class Validator:
    """Scores the validation set with the weights that a model has; a signal stops it, unless honoured.

    Args:
        model: in any mode.
        data: the validation set, frozen.
        options: how to train.
        precision: of the training.
        processes: of the training.
        stop: set by a signal.
        talk: says that it goes on.
    """

    def __init__(
        self,
        model: PixelModel,
        data: ImageSet,
        options: TrainingOptions,
        precision: str,
        processes: Processes,
        stop: StopFlag,
        talk: Talk,
    ) -> None:
        self.model, self.data, self.options, self.precision = model, data, options, precision
        self.processes, self.stop, self.talk = processes, stop, talk

    def __call__(self, state: TrainingState, *, full: bool = False) -> Validation:
        """One validation; errors as :func:`validate`.

        Args:
            state: of the training.
            full: in 32 bits where the training computes in bfloat16.
        """
        options = self.options
        few = max(1, min(SMALLEST, SMALLEST * SMALL // self.model.shape.dimensions))

        def told_to_stop() -> bool:
            self.talk.validating(state)
            return self.stop.agree(self.processes) and not self.stop.honoured

        return validate(
            evaluation_view(self.model),
            self.data,
            batch_size=max(few, min(LARGEST, options.micro_batch_size or options.batch_size)),
            precision="32" if full and self.precision == "bf16" else self.precision,
            channels_last=options.channels_last,
            processes=self.processes,
            stop=told_to_stop,
        )
