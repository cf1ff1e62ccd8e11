"""What was measured, as one table: each row a ratio against a peer of the same run.

    python benchmarks/table.py   # prints it and writes it into the documents again

Figures come from `results/benchmarks.json` and from nowhere else. In a document everything between
`<!-- benchmarks: NAME -->` and `<!-- end -->` is written by the function of that name in `BLOCKS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comparisons import LIMITS, MINILM, SHOWN_FIRST, TABLE
from rich.console import Console
from rich.table import Table

from cmr_hub.atomic import atomic_file
from cmr_hub.experiments.benchmarks import BENCHMARKS

HOME = Path(__file__).parents[1]
DOCUMENTS = tuple(
    HOME / name for name in ("README.md", "docs/benchmarks.md", "docs/search-page.md")
)
BLOCK = re.compile(r"(<!-- benchmarks: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Rows = dict[str, Any]


def read(path: Path = HOME / BENCHMARKS) -> Rows:
    """All rows that the scripts wrote."""
    rows: Rows = json.loads(path.read_text(encoding="utf-8"))
    return rows


def found(rows: Rows, at: tuple[str, ...]) -> Any:
    """What stands there, or None."""
    here: Any = rows
    for key in at:
        if isinstance(here, list):
            here = here[int(key)] if here else None
        else:
            here = here.get(key) if isinstance(here, dict) else None
    return here


def lines(rows: Rows) -> list[list[str]]:
    """The cells of the table; comparisons that were not measured are left out."""
    cells = []
    for row in TABLE:
        figures = found(rows, row.at)
        if figures is None:
            continue
        ratio = figures[row.ratio]
        memory = found(rows, ("memory", "tasks", *row.memory)) if row.memory else None
        cells.append(
            [
                row.task,
                row.peer,
                duration(taken(figures)),
                times(ratio),
                "" if row.goal is None else goal(ratio, row.goal),
                "" if memory is None else f"{memory['mebibytes']:,.0f} MiB",
                "" if memory is None else times(memory["peer_over_ours"]),
            ]
        )
    return cells


UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))
HEAD = ("what", "peer", "ours", "peer ÷ ours", "goal", "memory", "peer ÷ ours")


def goal(ratio: float, least: float) -> str:
    """The goal, and whether it is met."""
    return f"≥ {least:.2g} {'met' if ratio >= least else 'MISSED'}"


def taken(figures: dict[str, float]) -> float:
    """Our seconds, however a script writes them."""
    if "images_per_second" in figures:
        return 1 / figures["images_per_second"]
    return figures["seconds"]


def duration(seconds: float) -> str:
    """Two or three digits and a unit."""
    size, unit = next(
        (size, unit) for size, unit in UNITS if seconds >= size or (size, unit) == UNITS[-1]
    )
    value = seconds / size
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def times(ratio: float) -> str:
    """A ratio as it is read."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def markdown(head: tuple[str, ...], cells: list[list[str]]) -> str:
    """A table of a document."""
    rule = ["---" if at < 2 else "---:" for at in range(len(head))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (list(head), rule, *cells))


def table(rows: Rows) -> str:
    """Every comparison."""
    return markdown(HEAD, lines(rows))


def speed(rows: Rows) -> str:
    """What a reader asks first: the rows of the table that the README shows."""
    chosen = [cells[:4] for cells in lines(rows) if (cells[0], cells[1]) in SHOWN_FIRST]
    return markdown(HEAD[:4], chosen)


def limits(rows: Rows) -> str:
    """Every limit that was measured."""
    values = [(limit, found(rows, limit.at)) for limit in LIMITS]
    cells = [limit.cells(value) for limit, value in values if value is not None]
    return markdown(("what", "measured", "limit"), cells)


def curve(rows: Rows, at: tuple[str, ...], head: dict[str, str]) -> str:
    """Points of a curve: `head` has the keys of their numbers and what stands above them."""
    points = found(rows, at) or []
    cells = [[f"{point[key]:,.4g}" for key in head] for point in points]
    return markdown(tuple(head.values()), cells)


def image_batches(rows: Rows) -> str:
    """Cost of a picture against the batch."""
    both = [found(rows, ("images", "batches", name)) or [] for name in ("compact", "mobilenet_v2")]
    cells = [
        [str(compact["batch"])]
        + [
            f"{point[key]:.1f}"
            for point in (compact, mobilenet)
            for key in ("milliseconds", "bare_milliseconds")
        ]
        for compact, mobilenet in zip(*both, strict=True)
    ]
    head = ("batch", "compact, ms", "plain loop, ms", "MobileNetV2, ms", "plain loop, ms")
    return markdown(head, cells)


def text_batches(rows: Rows) -> str:
    """Cost of a sentence against how many are encoded at once."""
    cells = [
        [
            str(point["sentences"]),
            f"{point['milliseconds']:.2f}",
            f"{point['peer_milliseconds']:.2f}",
        ]
        for point in found(rows, ("texts", "batches")) or []
    ]
    return markdown(("sentences at once", "ours, ms each", f"{MINILM}, ms each"), cells)


def map_curve(rows: Rows) -> str:
    """Cost of MAP@all against the number of queries and items."""
    names = ("ours", "scikit-learn", "pytrec_eval", "torchmetrics")
    cells = [
        [f"{point['queries']:,}"]
        + [duration(point["seconds"][name]) if name in point["seconds"] else "" for name in names]
        for point in found(rows, ("mean-average-precision", "curve")) or []
    ]
    return markdown(("queries and items", *names), cells)


def indexing(rows: Rows) -> str:
    """Indexing beside the encoder alone, and what the cores allow."""
    own = rows.get("indexing-throughput", {})
    cells = []
    for key in (key for key in own if key.endswith("_threads")):
        encoder, threads, _ = key.rsplit("_", 2)
        figures = own[key]
        beside = figures.get("bare_beside_decoding_over_bare_loop")
        cells.append(
            [
                encoder,
                threads,
                f"{figures['images_per_second']:.1f}",
                f"{figures['bare_images_per_second']:.1f}",
                times(figures["ours_over_bare_loop"]),
                f"{figures['decode_milliseconds']:.2f} ms",
                times(figures["cores_allow"]),
                times(beside) if beside else "",
            ]
        )
    head = (
        "encoder",
        "its threads",
        "indexed a second",
        "encoder alone",
        "ratio",
        "decoding, one core",
        "the cores allow",
        "encoder beside decoding",
    )
    return markdown(head, cells)


def memory(rows: Rows) -> str:
    """What each task takes, ours and the peer's."""
    cells = [
        [task, peer, f"{own['mebibytes']:,.0f} MiB", times(own["peer_over_ours"])]
        for task, peers in (found(rows, ("memory", "tasks")) or {}).items()
        for peer, own in peers.items()
    ]
    return markdown(("task", "peer", "ours", "peer ÷ ours"), cells)


def runtimes(rows: Rows) -> str:
    """What else the processor offers."""
    own = rows.get("runtimes", {})
    cells = []
    for name, figures in own.get("compact", {}).items():
        other = own["mobilenet_v2"].get(name)
        cells.append(
            [
                name,
                duration(figures["seconds"]),
                times(figures["ours_over_this"]),
                times(other["ours_over_this"]) if other else "",
                f"{figures['least_cosine']:.5f}",
                f"{figures['recall_at_1']:.3f}",
                f"{figures['map_avg']:.3f}",
            ]
        )
    head = (
        "",
        "compact, a picture",
        "times as fast as ours",
        "MobileNetV2",
        "least cosine",
        "Recall@1",
        "class MAP",
    )
    return markdown(head, cells)


def machine(rows: Rows) -> str:
    """How busy the machine was."""
    cpus = rows["training"]["versions"]["cpus"]
    loads = {
        row.task: rows[row.at[0]]["load"] for row in TABLE if "load" in rows.get(row.at[0], {})
    }
    # A benchmark keeps all processors busy by itself, and a little more.
    busy = {task: load for task, load in loads.items() if load > 2 * cpus}
    quiet = [load for task, load in loads.items() if task not in busy]
    text = f"These figures are of {cpus} processors"
    if quiet:
        text += f", whose load was from {min(quiet):.1f} to {max(quiet):.1f}"
    lines = [f"{text}."]
    if busy:
        named = ", ".join(f"{task} (load {load:.0f})" for task, load in busy.items())
        lines += [
            f"They worked for others too in these: {named}.",
            "There, rivals that use several threads lose more than those that use one.",
        ]
    return "".join(f"{line}\n" for line in lines)


def page(rows: Rows) -> str:
    """What the documents say of the page."""
    own = rows["page"]
    http, queue = (f"{own[way]['p95_ms']:,.0f} ms" for way in ("http", "gradio"))
    asked = own["http"]
    return (
        f"With {asked['clients']} clients at once and {asked['requests']:,} different queries on "
        f"{asked['processors']} processors\n(`python benchmarks/page.py`), 95 % of the answers "
        f"come within {http} by plain HTTP and {queue}\nthrough Gradio's queue. On a machine that "
        "is busy with other work it can take more than twice as long.\n"
    )


BLOCKS: dict[str, Callable[[Rows], str]] = {
    "table": table,
    "speed": speed,
    "limits": limits,
    "image-batches": image_batches,
    "text-batches": text_batches,
    "map-curve": map_curve,
    "indexing": indexing,
    "memory": memory,
    "runtimes": runtimes,
    "machine": machine,
    "page": page,
}


def written(text: str, rows: Rows) -> str:
    """A document with its blocks as these rows have them."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{BLOCKS[block[2]](rows)}\n{block[3]}", text)


def show(rows: Rows) -> None:
    """The table, for the terminal."""
    shown = Table(title="peer ÷ ours: above 1, ours is faster or smaller")
    for name in HEAD:
        shown.add_column(name, justify="left" if name in HEAD[:2] else "right")
    for cells in lines(rows):
        shown.add_row(*cells, style="red" if "MISSED" in cells[4] else None)
    console = Console(width=None if Console().is_terminal else 140)
    console.print(shown)
    missed = [cells for cells in lines(rows) if "MISSED" in cells[4]]
    console.print(f"{len(missed)} goals missed" if missed else "every goal met")


def main() -> None:
    rows = read()
    show(rows)
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        with atomic_file(document) as file:
            file.write_text(written(text, rows), encoding="utf-8")


if __name__ == "__main__":
    main()
