"""``pixelcnn train``: train a recipe."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, result, results, say
from pixelcnn.text import as_word, counted

if TYPE_CHECKING:
    from pixelcnn.training import History
    from pixelcnn.training.train import Prepared, Request


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe by name (see 'pixelcnn info'), or a .toml file.",
            show_default="digits, or what --resume finds",
        ),
    ] = None,
    data: Annotated[
        str | None,
        options.said(metavar="DATA", help=options.DATA_HELP, default="the recipe's own data set"),
    ] = None,
    settings: options.Settings = None,
    run: Annotated[
        Path | None,
        options.said(
            metavar="DIR", help="The run folder.", default="runs/RECIPE-DATA, or the next free one"
        ),
    ] = None,
    resume: Annotated[
        bool, options.switch("--resume", help="Go on with what the run folder holds.")
    ] = False,
    epochs: Annotated[
        int | None,
        options.said(metavar="N", help="Passes over the data.", default="the recipe's"),
    ] = None,
    max_time: options.MaxTime = None,
    batch_size: Annotated[
        int | None, options.said(metavar="N", help="Images a step.", default="the recipe's")
    ] = None,
    seed: options.TrainingSeed = None,
    device: options.Device = None,
    devices: Annotated[
        int | None, options.said(metavar="N", help="Processes a machine.", default="1")
    ] = None,
    nodes: Annotated[int | None, options.said(metavar="N", help="Machines.", default="1")] = None,
    precision: Annotated[
        str | None,
        options.said(metavar="auto|32|bf16|64", help="Bits of the arithmetic.", default="auto"),
    ] = None,
    init: Annotated[
        str | None,
        options.said(
            metavar="MODEL",
            help="Start from this model's weights: a file, a run folder, or a shipped model.",
            default="new weights",
        ),
    ] = None,
    *,
    own: options.Reading,
    dry_run: Annotated[
        bool, options.switch("--dry-run", help="Only check everything and show the model.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Train a model on a data set or on your own images.

    \b
    Examples:
      pixelcnn train digits --max-time 2m
      pixelcnn train gated-mnist --data photos/ --size 32 --set training.learning_rate=5e-4

    The model is RUN/best.safetensors, the one that validated best. Ctrl-C stops and keeps it;
    the same command with --resume goes on. 'pixelcnn info RECIPE' shows what a recipe builds.
    """
    from pixelcnn.training.recipe import Setting, parse_setting
    from pixelcnn.training.train import rehearse, request

    source = {"name": data} | own.asked()
    how: dict[str, Any] = {"epochs": epochs, "max_time": max_time, "batch_size": batch_size}
    how |= {"seed": seed, "device": device, "devices": devices, "nodes": nodes}
    how |= {"precision": precision, "init": init}
    overrides = [
        *map(parse_setting, settings or []),
        *(Setting("data", key, value) for key, value in source.items() if value is not None),
        *(Setting("training", key, value) for key, value in how.items() if value is not None),
    ]
    wanted = request(recipe, run, overrides=overrides, resume=resume)
    if dry_run:
        _show(rehearse(wanted), wanted.run, json)
        return
    history = trained(wanted)
    if json:
        emit(
            {
                "run": history.run,
                "steps": history.steps,
                "validation_nats_per_image": history.best,
                "reason": history.reason,
            }
        )
        return
    where = as_word(history.run)
    say(f"look at it: pixelcnn sample {where}; measure it: pixelcnn evaluate {where}")
    result(str(history.run))


def trained(wanted: "Request") -> "History":
    """Trains in this process, or in others that it starts; of several one goes on, and the rest exits."""
    from pixelcnn.errors import TrainingError
    from pixelcnn.training import Interrupted, launch, train_recipe
    from pixelcnn.training.processes import Followed, placed

    processes = placed(os.environ)
    if processes is None and wanted.processes > 1:
        training = wanted.recipe.options
        command = launch.this_command()
        # Not typer.Exit, of which 130 means that this process was interrupted, and has to say so.
        raise SystemExit(launch.supervise(command, training.devices, training.nodes))
    try:
        history = train_recipe(wanted)
    except (Followed, Interrupted, TrainingError) as ending:
        if processes is None or processes.is_main:
            raise
        raise SystemExit(ending.exit_code) from ending
    if processes is not None and not processes.is_main:
        raise typer.Exit
    return history


def _show(prepared: "Prepared", run: Path, json: bool) -> None:
    """What a training would start from; what is looked for comes last, above the prompt."""
    from pixelcnn.cli import model_info

    for note in prepared.notes:
        say(f"note: {note}")
    summary: dict[str, Any] = model_info.summary(prepared.model)
    parts = {name: len(images) for name, images in prepared.splits._asdict().items()}
    if json:
        emit(summary | {"recipe": prepared.recipe.tables(), "splits": parts})
        return
    options, (train, val, test) = prepared.recipe.options, parts.values()
    results(prepared.recipe.dumps())
    model_info.show(prepared.model, summary)
    batch = min(options.batch_size, train)
    steps = counted(math.ceil(train / batch), "step")
    result(
        f"data             {prepared.splits.train.name}: {train:,} images train, {val:,} validate,"
        f" {test:,} test"
    )
    epochs = f"{counted(options.epochs, 'epoch')} of {steps}"
    length = f"{options.limit}, at {steps} an epoch" if options.limit else epochs
    result(f"training         {length}, {counted(batch, 'image')} a step")
    result(f"run folder       {run}")
