"""``pixelcnn verify``: does a model keep its promises?"""

from typing import Annotated

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, result, table


def verify(
    model: options.Model,
    thorough: Annotated[
        bool, options.switch("--thorough", help="Check every position, which takes longer.")
    ] = False,
    device: options.Device = None,
    json: options.Json = False,
) -> None:
    """Check that a model keeps its promises.

    \b
    Examples:
      pixelcnn verify runs/digits-digits
      pixelcnn verify runs/digits-digits --thorough

    It must see nothing of its future and all of the past that it claims, its probabilities must
    sum to one, and drawing must agree with scoring. Exit code 1 when a promise is broken.
    """
    from pixelcnn.cli import models
    from pixelcnn.verify import check_model

    loaded = models.load(model, device=device)
    with progress("checking") as advance:
        report = check_model(
            loaded, thorough=thorough, progress=lambda done, total, name: advance(done, total)
        )
    if json:
        emit(report.as_json())
    else:
        rows = [(r.state, r.name, r.detail) for r in report.rows]
        table("", ("", "promise", "what was found"), rows)
        promises = [r for r in report.rows if not r.noted]
        result(f"{sum(r.passed for r in promises)} of {len(promises)} promises kept")
    if not report.passed:
        raise typer.Exit(1)
