"""`python -m scripts.default quality-curve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.cli.options import console


def quality_curve(
    distilled: Annotated[Path, typer.Option(help="As `distill` wrote it.")],
    aligned: Annotated[Path, typer.Option(help="As `align --encoder` wrote it after that.")],
    undistilled: Annotated[Path, typer.Option(help="As `align` wrote it from random weights.")],
    results: Annotated[Path, typer.Option(help="Where the curves are written.")] = Path("results"),
) -> None:
    """Quality of the release's encoders against training time, with and without distillation.

    What the trainings were asked for and their histories are kept beside it.

    Example: `python -m scripts.default quality-curve --distilled compact --aligned aligned
    --undistilled aligned-random`
    """
    from scripts.default.curves import (
        keep_record,
        quality_curve,
        write_quality_curves,
    )

    for training in (distilled, aligned, undistilled):
        keep_record(training, results / "default" / training.name)
    table = results / "default" / "quality.csv"
    picture = results / "figures" / "default-quality.png"
    curves = {
        "distilled first": quality_curve(distilled, aligned),
        "not distilled": quality_curve(None, undistilled),
    }
    write_quality_curves(curves, table, picture)
    console.print(f"Saved {table} and {picture}.", soft_wrap=True)
