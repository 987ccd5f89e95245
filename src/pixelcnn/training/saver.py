"""Which weights of a training are kept: the best by validation, and the last."""

import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from pixelcnn import checkpoint
from pixelcnn.errors import ModelError
from pixelcnn.folders import check_inside, read_inside, write_inside
from pixelcnn.model import PixelModel
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.likelihood import Validation
from pixelcnn.training.processes import Processes
from pixelcnn.training.run import RunFolder


@dataclasses.dataclass
class Best:
    """The best validation so far.

    Attributes:
        nats: per image.
        step: when; -1 before the first.
        worse: validations since.
    """

    nats: float = math.inf
    step: int = -1
    worse: int = 0


class Saver:
    """Keeps the averaged weights that validated best, and in files the raw ones beside them.

    Args:
        model: with the raw weights of the training.
        average: of its weights.
        folder: where files go; without one the best weights stay in the processor's memory.
        processes: the main one keeps the files, and gives the best weights to all.
    """

    def __init__(
        self,
        model: PixelModel,
        average: WeightAverage,
        folder: RunFolder | None,
        processes: Processes,
    ) -> None:
        self.model, self.average, self.processes = model, average, processes
        self.folder = folder if processes.is_main else None
        self.best = Best()
        self._kept: dict[str, Tensor] = {}
        self._record: dict[str, Any] = {}

    def judge(self, step: int, found: Validation) -> None:
        """Keeps the model if it is the best so far; its record tells of this validation already."""
        if found.mean < self.best.nats:
            self.best = Best(found.mean, step)
            self._keep_best()
        else:
            self.best.worse += 1

    def restore(self, best: dict[str, Any]) -> str:
        """Goes on from a checkpoint; what was kept after it is forgotten.

        Returns:
            Why the best model cannot be read, so that the next validation makes another; empty if it can.
        """
        self.best = Best(**best)
        if self.folder is not None and self.folder.best_before.exists():
            os.replace(self.folder.best_before, self.folder.best)
        lost = self.processes.on_main(self._lost) if self.best.step >= 0 else ""
        if lost:
            self.best = Best()
        return lost

    def set_aside(self) -> None:
        """Keeps the best model so far for whoever resumes: a stopped training may judge once more."""
        if self.folder is not None and self.folder.best.exists():
            write_inside(self.folder.best_before, read_inside(self.folder.best))

    def keep_last(self) -> None:
        """Writes the model as it is now."""
        if self.folder is not None:
            raw = self._raw()
            with self.average.applied():
                self._write(self.folder.last, raw)

    def recall_best(self) -> None:
        """Puts the best weights, and their record, into the model of every process."""
        weights, self.model.record = self.processes.on_main(self._recalled)
        self.model.load_state_dict(weights)

    def annotate_best(self, found: dict[str, Any]) -> None:
        """Replaces keys in the record of the recalled best model, and of its file."""
        self.model.record = self.model.record | found
        if self.folder is not None:
            self._annotate(self.model, self.folder.best)

    def annotate_last(self, measure: Callable[[PixelModel], dict[str, Any]]) -> None:
        """Replaces keys in the record of the file of the last model by what is measured of it."""
        if self.folder is None or not self.folder.last.exists():
            return
        last = checkpoint.load(self.folder.last)
        before = dict(last.record)
        last.record |= measure(last)
        if last.record != before:
            self._annotate(last, self.folder.last)

    def _annotate(self, model: PixelModel, path: Path) -> None:
        """Writes a model anew whose record has changed, with the raw weights that its file holds."""
        averaged = checkpoint.describe(path)["record"].get("weights") == "averaged"
        raw = checkpoint.load(path, weights="raw").state_dict() if averaged else None
        check_inside(path)
        checkpoint.save(model, path, raw=raw)

    def _lost(self) -> str:
        if self.folder is None:
            return ""
        if not self.folder.best.is_file():
            return f"{self.folder.best.name} is not there"
        try:
            checkpoint.load(self.folder.best)
        except ModelError as error:
            return str(error)
        return ""

    def _recalled(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        if self.folder is None:
            return self._kept, dict(self._record)
        best = checkpoint.load(self.folder.best)
        return best.state_dict(), best.record

    def _keep_best(self) -> None:
        raw = self._raw()
        with self.average.applied():
            if self.folder is not None:
                self._write(self.folder.best, raw)
            elif self.processes.is_main:
                state = self.model.state_dict()
                self._kept = {n: value.detach().to("cpu", copy=True) for n, value in state.items()}
                told = {"weights": "averaged"} if self.average.decay else {}
                self._record = self.model.record | told  # as files tell it

    def _write(self, path: Path, raw: dict[str, Tensor] | None) -> None:
        check_inside(path)
        checkpoint.save(self.model, path, raw=raw)

    def _raw(self) -> dict[str, Tensor] | None:
        """A copy of the raw weights, if they differ from the average."""
        if not self.average.decay or self.folder is None:
            return None
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}
