"""``pixelcnn train``: train a recipe."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, result, say

if TYPE_CHECKING:
    from pixelcnn.training import History
    from pixelcnn.training.train import Prepared


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
    settings: Annotated[
        list[str] | None,
        options.said(
            "--set",
            metavar="TABLE.KEY=VALUE",
            help="Change a value of the recipe, as in training.learning_rate=1e-4; repeatable.",
            default="nothing",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        options.said(metavar="DIR", help="The run folder.", default="runs/RECIPE-DATA"),
    ] = None,
    resume: Annotated[
        bool,
        options.said("--resume", help="Go on with what the run folder holds.", default="off"),
    ] = False,
    epochs: Annotated[
        int | None,
        options.said(metavar="N", help="Passes over the data.", default="the recipe's"),
    ] = None,
    max_time: Annotated[
        str | None,
        options.said(metavar="TIME", help="Longest training, as 45s or 10m.", default="none"),
    ] = None,
    batch_size: Annotated[
        int | None, options.said(metavar="N", help="Images a step.", default="the recipe's")
    ] = None,
    seed: Annotated[
        int | None,
        options.said(
            metavar="N",
            help="Of weights, batches and noise.",
            default="the recipe's, mostly 0",
        ),
    ] = None,
    device: Annotated[
        str | None,
        options.said(
            metavar="auto|cpu|cuda|mps", help="Where to compute.", default="auto: the fastest"
        ),
    ] = None,
    devices: Annotated[
        int | None, options.said(metavar="N", help="Processes a machine.", default="1")
    ] = None,
    nodes: Annotated[int | None, options.said(metavar="N", help="Machines.", default="1")] = None,
    precision: Annotated[
        str | None,
        options.said(metavar="auto|32|bf16|64", help="Bits of the arithmetic.", default="auto"),
    ] = None,
    size: options.Size = None,
    fit: options.Fit = None,
    layout: options.Layout = None,
    skip_bad: options.SkipBad = False,
    dry_run: Annotated[
        bool,
        options.said("--dry-run", help="Only check everything and show the model.", default="off"),
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
    from pixelcnn.training import train as training

    overrides = [
        *(settings or []),
        *training.settings(
            data__name=data,
            data__size=_size(size),
            data__fit=fit,
            data__layout=layout,
            data__skip_bad=skip_bad or None,
            training__epochs=epochs,
            training__max_time=max_time,
            training__batch_size=batch_size,
            training__seed=seed,
            training__device=device,
            training__devices=devices,
            training__nodes=nodes,
            training__precision=precision,
        ),
    ]
    if dry_run:
        _show(training.prepare(training.resolve(recipe).with_overrides(overrides)), json)
        return
    history = _trained(recipe, run, overrides, resume)
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
    say(f"look at it: pixelcnn sample {history.run}; measure it: pixelcnn evaluate {history.run}")
    result(str(history.run))


def _trained(recipe: str | None, run: Path | None, overrides: list[str], resume: bool) -> "History":
    """Trains in this process, or in others that it starts; of several, one speaks for all."""
    from pixelcnn.errors import TrainingError
    from pixelcnn.training import Interrupted, launch
    from pixelcnn.training import train as training
    from pixelcnn.training.team import Followed, placed

    team = placed(os.environ)
    if team is None:
        devices, nodes = training.processes(recipe, run, overrides, resume)
        if devices * nodes > 1:
            raise typer.Exit(launch.supervise(launch.this_command(), devices, nodes))
    try:
        history = training.train_recipe(recipe, run, overrides=overrides, resume=resume)
    except (Followed, Interrupted, TrainingError) as ending:
        if team is None or team.leads:
            raise
        raise typer.Exit(ending.exit_code) from ending
    if team is not None and not team.leads:
        raise typer.Exit
    return history


def _size(size: str | None) -> list[int] | None:
    pair = options.sides(size)
    return None if pair is None else list(pair)


def _show(prepared: "Prepared", json: bool) -> None:
    """What a training would start from."""
    from pixelcnn.cli import model_info

    for note in prepared.notes:
        say(f"note: {note}")
    summary: dict[str, Any] = model_info.summary(prepared.model)
    if json:
        emit(summary | {"recipe": prepared.recipe.tables()})
        return
    result(prepared.recipe.dumps())
    model_info.show(prepared.model, summary)
