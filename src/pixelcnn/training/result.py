"""What a finished run reached: measured once, and kept in its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pixelcnn import checkpoint, scoring
from pixelcnn.folders import read_inside, write_inside
from pixelcnn.json_text import json_text, strict_json
from pixelcnn.training import checkpoints
from pixelcnn.training.run import RunFolder, versions

FILE = "result.json"


def result_of(
    run: str | Path,
    split: str = "test",
    *,
    limit: int | None = None,
    device: str | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The likelihood of a run's best model, and what it took.

    It is measured on the images of the run's own recipe the first time, and read from ``result.json`` in the
    folder from then on, unless another model has become the best: images that report are looked at once.

    Args:
        run: the folder.
        split: ``test`` or ``val``: the part of the data whose images are scored in float32.
        limit: images, evenly spread; None for all.
        device: where to compute, see :func:`pixelcnn.devices.resolve_device`; None for the processor.
        callback: called with images done and images in all.

    Returns:
        In JSON types the keys of :meth:`pixelcnn.Score.as_json`; ``part``, which is ``split``; ``limit``;
        ``recipe``, a name, and its ``tables``; ``steps``, ``epochs`` and ``validation`` of the best model's
        record; ``seconds`` of the training, None if no checkpoint is left; ``versions``, and the model's
        ``fingerprint``.

    Raises:
        ConfigError, DataError, ModelError: the folder, its recipe, its data or its model cannot be used.
    """
    folder = RunFolder(run)
    if before := kept(run, split, limit):
        return before
    model, recipe = checkpoint.load(folder.best, device=device or "cpu"), folder.stored()
    images = recipe.load()._asdict()[split]
    score = scoring.evaluate(model, images, limit=limit, callback=callback)
    found = {
        "part": split,
        "limit": limit,
        "recipe": recipe.name,
        "tables": recipe.tables(),
        "steps": model.record.get("steps"),
        "epochs": model.record.get("epochs"),
        "seconds": seconds_of(folder),
        "validation": model.record.get("validation"),
        "versions": versions(),
        "fingerprint": checkpoint.describe(folder.best)["fingerprint"],
    } | score.as_json()
    write_inside(folder.path / FILE, (json_text(found, indent=2) + "\n").encode())
    return found


def kept(run: str | Path, split: str, limit: int | None = None) -> dict[str, Any]:
    """What :func:`result_of` has found already of a run's best model; empty if nothing."""
    folder = RunFolder(run)
    found, fingerprint = stored(folder.path), checkpoint.describe(folder.best)["fingerprint"]
    asked = {"fingerprint": fingerprint, "part": split, "limit": limit}
    return found if asked.items() <= (found | {"limit": found.get("limit")}).items() else {}


def stored(run: Path) -> dict[str, Any]:
    """What a folder says it reached; empty if it says nothing that can be read."""
    try:
        found = strict_json(read_inside(run / FILE))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def seconds_of(folder: RunFolder) -> float | None:
    """Seconds that a training took until its last checkpoint, all resumed parts together."""
    found = checkpoints.latest(folder.checkpoints, lambda _: None)
    return None if found is None else round(float(found["elapsed"]), 1)
