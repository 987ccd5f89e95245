"""What compression needs to know of a trained model, measured at the end of its training."""

from collections.abc import Callable
from typing import Any

import torch

from pixelcnn.codec.calibration import LOSS, calibrate
from pixelcnn.codec.integers import PRECISION, RANGES
from pixelcnn.conditioning import condition_of
from pixelcnn.data import ImageSet
from pixelcnn.errors import PixelCNNError
from pixelcnn.memory import ran_out
from pixelcnn.model import PixelModel
from pixelcnn.training.trainer import Trainer


def calibrate_kept(trainer: Trainer) -> None:
    """Measures the best model, whose weights are recalled, and the last; notes it in their records."""
    model, saver, processes = trainer.model, trainer.saver, trainer.processes
    images, most = trainer.val, trainer.options.calibration_images
    before = dict(model.record)
    say = trainer.recorder.talk.say
    found = processes.on_main(lambda: measured(model, images, most, say))
    if LOSS in found:
        say(f"ready to compress, within {abs(found[LOSS]):.2%} of these bits")
    if before != before | found:
        saver.annotate_best(found)
    same = saver.best.step == trainer.state.step
    processes.on_main(
        lambda: saver.annotate_last(lambda last: found if same else measured(last, images, most))
    )


def measured(
    model: PixelModel, images: ImageSet, most: int, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """The keys of a model's record that compression reads; nothing for a model that has no integer form.

    Args:
        model: trained, on any device; left as it is but for its record.
        images: like those that are to be compressed, frozen.
        most: images that are looked at; 0 for none, and nothing is measured.
        say: told why, if nothing can be.
    """
    if most and RANGES not in model.record:
        some = images.limit(most)
        levels = some.levels_at(torch.arange(len(some)), 0, 0)
        try:
            calibrate(model, levels, condition_of(model, some), most=most)
        except Exception as error:  # to be trained is no promise to be compressed
            if not (isinstance(error, PixelCNNError) or ran_out(error)):
                raise
            if say is not None:
                say(f"not ready to compress: {error or 'out of memory'}")
            return {}
    return {key: model.record[key] for key in (RANGES, PRECISION, LOSS) if key in model.record}
