"""`python -m scripts.default`: distill, align, release, quality-curve."""

from __future__ import annotations

import typer

from cmr_hub.cli import main
from scripts.default.align import align
from scripts.default.distill import distill
from scripts.default.quality_curve import quality_curve
from scripts.default.release import release

app = typer.Typer(
    help=(
        "Train the models bundled with the package. The model `photos` needs only `release`; the "
        "model `sketch` needs `distill`, `align` and `release`, in this order."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (distill, align, release, quality_curve):
    app.command()(command)

if __name__ == "__main__":
    main(app)
