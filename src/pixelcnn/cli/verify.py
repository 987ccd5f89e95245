"""``pixelcnn verify``: does a model keep its promises?"""

from typing import Annotated

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, result, say, table


def verify(
    model: options.Model,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough", help="Check every position, which takes longer.", show_default="off"
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Check what a model promises: it sees no future, all of its past, and sums to one.

    \b
    Examples:
      pixelcnn verify runs/digits
      pixelcnn verify model.safetensors --thorough

    Exit code 1 when a promise is broken.
    """
    from pixelcnn import checkpoint
    from pixelcnn.verify import check_model

    loaded = checkpoint.load(model)
    say("checking; this takes a moment")
    report = check_model(loaded, thorough=thorough)
    if json:
        emit({"passed": report.passed, "rows": [row._asdict() for row in report.rows]})
    else:
        rows = [("kept" if r.passed else "BROKEN", r.name, r.detail) for r in report.rows]
        table("", ("promise", "what", "detail"), rows)
        kept = sum(r.passed for r in report.rows)
        result(f"{kept} of {len(report.rows)} promises kept")
    if not report.passed:
        raise typer.Exit(1)
