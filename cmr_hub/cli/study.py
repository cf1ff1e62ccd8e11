"""Define the commands `cmr ablate` and `cmr report`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cmr_hub.cli.options import Cache, console
from cmr_hub.errors import CMRError, shown

Results = Annotated[Path, typer.Option(help="Folder of the results.")]


def ablate(
    grid_file: Annotated[
        Path, typer.Argument(metavar="GRID.toml", help="TOML file with the tables to measure.")
    ],
    results: Results = Path("results"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes. Default: one per core.")
    ] = None,
    image_weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="NAME=FILE: weights of an image encoder as safetensors. Default: "
            "downloaded by torchvision.",
        ),
    ] = None,
    cache: Cache = None,
    nested: Annotated[
        bool,
        typer.Option(
            "--nested", help="Run the nested tables, which choose the settings within each split."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the missing runs.")] = False,
) -> None:
    """Run every row of a grid with every seed, or resume an interrupted grid.

    Runs that are stored in RESULTS/runs.jsonl are skipped.
    """
    from cmr_hub.experiments.ablate import planned_cells, run_grid
    from cmr_hub.experiments.grid import read_grid

    grid = read_grid(grid_file, nested=nested)
    weights = _weights(image_weights)
    if dry_run:
        plan, cells, found = planned_cells(grid, results, weights)
        table = Table("cell", "tables", "row", "protocol", "seed")
        for cell in cells:
            rows = plan.rows_of(cell.key)
            tables = ", ".join(table.id for table, _ in rows)
            label = rows[0][1].label
            table.add_row(cell.key[:16], tables, label, cell.protocol, str(cell.seed))
        console.print(table)
        console.print(f"{len(cells)} to run, {found} already stored")
        return
    summary = run_grid(grid, results, image_weights=weights, workers=workers, cache=cache)
    console.print(
        f"{summary.run} run, {summary.found} already stored, {len(summary.failures)} failed"
    )
    for reason, failures in groupby(summary.failures, key=lambda failure: failure.reason):
        failed = "\n".join(f"failed: {failure.where}" for failure in failures)
        console.print(f"{failed}\n  {reason}", style="red", soft_wrap=True)
    if summary.failures:
        raise typer.Exit(1)
    console.print(f"Now: cmr report --results {results}", soft_wrap=True)


def _weights(pairs: list[str] | None) -> dict[str, Path]:
    weights: dict[str, Path] = {}
    for pair in pairs or []:
        name, equals, file = pair.partition("=")
        if not (name and equals and file):
            raise CMRError(f"--image-weights needs NAME=FILE, not {shown(pair)}")
        weights[name] = Path(file)
    return weights


def report(results: Results = Path("results")) -> None:
    """Write RESULTS/report.md, a CSV file per table, and figures from the stored runs."""
    from cmr_hub.experiments.report import write_report

    console.print(f"Wrote {write_report(results)}", soft_wrap=True)
