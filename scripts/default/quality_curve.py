"""`python -m scripts.default quality-curve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.cli.options import console


def quality_curve(
    distilled: Annotated[Path, typer.Option(help="Output directory of `distill`.")],
    aligned: Annotated[Path, typer.Option(help="Output directory of `align --encoder` after it.")],
    undistilled: Annotated[
        Path, typer.Option(help="Output directory of `align` from random weights.")
    ],
    results: Annotated[Path, typer.Option(help="Folder to write the curves to.")] = Path("results"),
) -> None:
    """Plot the quality of the encoders against training time, with and without distillation.

    The settings and histories of the trainings are stored next to the plot.

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
