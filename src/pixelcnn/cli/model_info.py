"""What there is to know about a model: its layers, its parameters, and what it sees."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn import extent, physical
from pixelcnn.cli.console import result, table, with_error
from pixelcnn.data import tags
from pixelcnn.layers import masked_weights
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS
from pixelcnn.record import classes_seen
from pixelcnn.text import counted, printable
from pixelcnn.verify.probing import random_condition
from pixelcnn.verify.receptive_field import receptive_field

SIDE = 33
"""Side of the image on which reach is measured: larger ones add nothing but time."""
NAMED = 12
"""Classes that are named."""
CONTAINERS = (nn.ModuleList, nn.Sequential)


def summary(model: PixelModel) -> dict[str, Any]:
    """The numbers of a model in JSON types; those of large images are measured on a part of one."""
    side = min(SIDE, 1 + math.isqrt(extent.MOST_NUMBERS // (8 * extent.widest(model.network))))
    height, width = min(model.shape.height, side), min(model.shape.width, side)
    field = receptive_field(model.network, height, width)
    shown, bins = extent.representative(model), physical.bins_of(model)
    return {
        "network": NETWORKS.name_of(type(model.network)),
        "output": OUTPUTS.name_of(type(model.output)),
        "shape": list(model.shape),
        "levels": model.levels,
        "bins": None if bins is None else bins.as_record(),
        "condition": tags.of(model).kind,
        "condition_features": features(model),
        "tags": tags.of(model).count,
        "parameters": model.parameters_count,
        "live_parameters": model.live_parameters_count,
        "receptive_field": field.as_json() | {"image": [height, width]},
        "blind_spot": field.blind,
        "layers": layers(shown),
        "layers_image": [shown.shape.height, shown.shape.width],
    }


def layers(model: PixelModel) -> list[dict[str, Any]]:
    """The layers of a model's network in the order in which they run, as readers of Keras know them.

    Returns:
        For each its name in the network, its kind, the shape of its output for one image (features first; of
        several outputs the last), its stored parameters, and the live ones, which no mask switches off.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> layers(PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7)))[0]
        {'name': 'input', 'kind': 'MaskedConv2d', 'shape': (8, 5, 7), 'parameters': 400, 'live': 200}
    """
    rows: list[dict[str, Any]] = []
    handles = []
    for name, module in parts(model.network):

        def note(called: nn.Module, _: Any, output: Any, name: str = name) -> None:
            last: Tensor = output[-1] if isinstance(output, tuple) else output
            stored = sum(p.numel() for p in called.parameters())
            shape, live = tuple(last.shape[1:]), stored - masked_weights(called)
            row = {"name": name, "kind": type(called).__name__, "shape": shape}
            rows.append(row | {"parameters": stored, "live": live})

        handles.append(module.register_forward_hook(note))
    told = random_condition(model.network, 1, *model.shape[1:], seed=0)
    if told is not None and told.is_floating_point():
        told = told.to(model.dtype)
    try:
        with torch.inference_mode():
            evaluation_view(model)(torch.zeros(1, *model.shape, dtype=torch.int64), told)
    finally:
        for handle in handles:
            handle.remove()
    return rows


def parts(module: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """The modules directly inside a module; lists and sequences are opened."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        if isinstance(child, CONTAINERS):
            found += parts(child, f"{prefix}{name}.")
        else:
            found.append((prefix + name, child))
    return found


def show(model: PixelModel, numbers: dict[str, Any]) -> None:
    """Prints the layer table and the numbers below it."""
    rows = [
        (name, kind, _by(shape), f"{parameters:,}", f"{live:,}")
        for name, kind, shape, parameters, live in map(dict.values, numbers["layers"])
    ]
    table("", ("layer", "kind", "output shape", "parameters", "live"), rows, right=(3, 4))
    field, whole = numbers["receptive_field"], list(model.shape[1:])
    if numbers["layers_image"] != whole:
        result(f"(output shapes are those of a part of {_by(numbers['layers_image'])} pixels)")
    result(f"network          {numbers['network']}, output {numbers['output']}")
    result(f"images           {model.shape} (channels x height x width), {model.levels} levels")
    if (bins := physical.bins_of(model)) is not None:
        result(f"values           {bins.describe()}")
    told = tags.of(model)
    if told.kind:
        result(f"condition        {condition(model)}")
    if told.count > 1:
        result(f"tags             {told.count}: images as they are, and as they were augmented")
    live = f"{numbers['live_parameters']:,} of them not masked"
    result(f"parameters       {numbers['parameters']:,}, {live}")
    result(
        f"receptive field  {field['pixels']} of {field['past']} earlier pixels "
        f"({field['coverage']:.0%}); reach {field['up']} up, {field['left']} left, "
        f"{field['right']} right"
        + (f"; of {_by(field['image'])} pixels" if field["image"] != whole else "")
        + (f"; LEAK of {counted(field['leak'], 'pixel')}" if field["leak"] else "")
    )
    blind = counted(numbers["blind_spot"], "pixel")
    result(f"blind spot       {f'{blind} within reach' if numbers['blind_spot'] else 'none'}")


def features(model: PixelModel) -> list[dict[str, Any]]:
    """What the features of a vector or map were in training: names, means, deviations and ranges."""
    known = model.statistics
    if known is None:
        return []
    numbers = zip(known.mean, known.std, known.low, known.high, strict=True)
    return [
        {"name": known.name(at), "mean": mean, "std": std, "low": low, "high": high}
        for at, (mean, std, low, high) in enumerate(numbers)
    ]


def condition(model: PixelModel) -> str:
    """What a model is given besides the image, in words."""
    own = tags.of(model)
    kind, size = own.kind, own.size
    if kind == "label":
        seen = len(classes_seen(model.record, size))
        names = ", ".join(map(printable, model.record.get("classes", [])[:NAMED]))
        gaps = "" if seen == size else f", {seen} of them seen in training"
        return f"label of {size} classes{gaps}" + (f": {names}" if names else "")
    known = "" if model.statistics is None else f": {model.statistics.described()}"
    return f"{kind} of {counted(size, 'feature')}{known}"


def _by(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))


def history(record: dict[str, Any]) -> list[str]:
    """What a training record says, as lines; nothing of an untrained model.

    Example:
        >>> history({"recipe": "digits", "data": {"name": "digits"}, "steps": 900})
        ['trained          900 steps of recipe digits on digits']
    """
    lines = []
    if "steps" in record:
        recipe = f" of recipe {printable(record['recipe'])}" if record.get("recipe") else ""
        name = printable(record.get("data", {}).get("name") or "own data")
        lines.append(f"trained          {counted(record['steps'], 'step')}{recipe} on {name}")
    if (augmentation := record.get("augmentation", "none")) != "none":
        lines.append(f"augmented        {printable(augmentation)}")
    if found := record.get("validation"):
        lines.append(
            f"validation       {with_error(found['nats_per_image'], found['stderr'])} nats/image, "
            f"{found['bits_per_dim']:.4f} bits/dim"
        )
    if (loss := record.get("integer_loss")) is not None:
        lines.append(f"compression      {loss:+.2%} bits, in whole numbers")
    return lines
