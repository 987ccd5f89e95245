"""``pixelcnn evaluate``: the likelihood of a data set."""

from typing import TYPE_CHECKING, Annotated

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, result, with_error
from pixelcnn.text import printable

if TYPE_CHECKING:
    from pixelcnn.scoring import Score


def evaluate(
    model: options.Model,
    data: options.Data = None,
    split: Annotated[
        str, typer.Option(metavar="train|val|test|all", help="Which part of the data.")
    ] = "test",
    limit: options.Limit = None,
    *,
    own: options.Given,
    batch_size: options.BatchSize = 64,
    device: options.Device = None,
    weights: Annotated[
        str, typer.Option(metavar="averaged|raw", help="Which weights of the model file.")
    ] = "averaged",
    compare: Annotated[
        str | None,
        options.said(
            metavar="CODEC,...",
            help="Say, too, what png, webp, jxl and jbig need for the same images.",
            default="none",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure the likelihood of a data set.

    \b
    Examples:
      pixelcnn evaluate runs/digits-digits --split val --limit 100 --json
      pixelcnn evaluate runs/digits-digits --compare png,webp,jxl,jbig

    Gives nats per image and bits per dimension with standard errors. Lower is better.
    Numbers compare only for equal data, split, levels and binarisation. --compare takes at most 1,000
    images, evenly spread, the same for all; cjxl and pbmtojbg are in libjxl-tools and jbigkit-bin.
    """
    from pixelcnn import scoring
    from pixelcnn.cli import comparison, models, sources

    codecs = comparison.names(compare) if compare is not None else None
    loaded = models.load(model, weights=weights, device=device)
    images = sources.images_for(loaded, data, own, split, folder=model)
    with progress("evaluating") as advance:
        score = scoring.evaluate(
            loaded, images, limit=limit, batch_size=batch_size, callback=advance
        )
    compared = None
    if codecs is not None:
        compared = comparison.compare(loaded, images.frozen().limit(limit), codecs)
    if json:
        emit(score.as_json() | ({} if compared is None else {"compared": compared}))
        return
    show(score)
    if compared is not None:
        comparison.show(compared, score.images)


def show(score: "Score") -> None:
    """Prints a score as aligned lines."""
    result(f"nats/image  {with_error(score.nats, score.stderr)}")
    if score.nats_density is not None:
        density = with_error(score.nats_density, score.stderr_density)
        result(f"density     {density} nats/image, in the units of the values")
    result(f"bits/dim    {with_error(score.bits_per_dim, score.bits_per_dim_stderr)}")
    result(f"images      {score.images:,} of {score.data} ({score.split})")
    bins = "" if score.quantisation == "none" else f", quantisation {score.quantisation}"
    result(f"levels      {score.levels}, binarisation {score.binarisation}{bins}")
    if score.augmentation != "none":
        result(f"trained     on augmented images: {printable(score.augmentation)}")
    result(f"model       {score.parameters:,} parameters, {score.weights} weights")
