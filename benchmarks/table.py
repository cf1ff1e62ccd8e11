"""Tables of the documents, from the results of the benchmarks.

Figures come only from `results/benchmarks.json` and `results/growth.json`. In a document,
everything between `<!-- benchmarks: NAME -->` and `<!-- end -->` is written by the function of that
name in `BLOCKS`. `python -m benchmarks table` updates the documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plans import PLANS
from rows import HOME, Row

from cmr_hub.atomic import atomic_file

GROWTH = HOME / "results" / "growth.json"
DOCUMENTS = tuple(
    HOME / name
    for name in ("README.md", "docs/benchmarks.md", "docs/search-page.md", "docs/scale.md")
)
BLOCK = re.compile(r"(<!-- benchmarks: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))
MISSING = "not measured on a quiet machine yet"
SHOWN_FIRST = (
    "picture-efficientnet_lite2",
    "sentence",
    "search-100000",
    "graph-100000",
    "command-search",
    "command-index",
)
"""Rows of the table in the README."""
LIMITS: tuple[tuple[str, str, str, str, float], ...] = (
    ("gallery of 1,000,000: Recall@10", "gallery-scale/curve/-1/recall_at_10", "", "≥", 0.98),
    (
        "gallery of 1,000,000: open to first answer",
        "gallery-scale/curve/-1/seconds_to_first_answer",
        " s",
        "≤",
        2,
    ),
    *(
        limit
        for share in (10, 1)
        for limit in (
            (
                f"gallery of 1,000,000: filtered ÷ unfiltered, {share} % pass",
                f"gallery-filters/{share}_percent_pass/filtered_over_unfiltered",
                "",
                "≤",
                3,
            ),
            (
                f"gallery of 1,000,000: Recall@10, {share} % pass",
                f"gallery-filters/{share}_percent_pass/recall_at_10",
                "",
                "≥",
                0.98,
            ),
        )
    ),
    ("index 7,000 pictures again, nothing new", "indexing-again/second_seconds", " s", "≤", 5),
    ("rows lost or double after 50 kills", "indexing-faults/lost_or_double_rows", "", "≤", 0),
    ("page, 50 clients, plain HTTP, p95", "page/http/p95_ms", " ms", "≤", 300),
    ("page, 50 clients, Gradio's queue, p95", "page/gradio/p95_ms", " ms", "≤", 500),
    ("page, memory at the end ÷ after 1,000", "page/http/memory_ratio", "", "≤", 1.05),
    ("dashboard over 5,000 runs, first page", "dashboard/first_page_seconds", " s", "≤", 3),
    (
        "dashboard over 5,000 runs, another metric",
        "dashboard/metric_change_seconds",
        " s",
        "≤",
        0.5,
    ),
    (
        "dashboard over 5,000 runs, another filter",
        "dashboard/filter_change_seconds",
        " s",
        "≤",
        0.5,
    ),
)
"""Limits: description, location of the figure, unit, and bound."""

Rows = dict[str, Row]


def found(rows: Rows, at: str) -> Any:
    """Return the value at a location, or None."""
    here: Any = rows
    for key in at.split("/"):
        if isinstance(here, list):
            here = here[int(key)] if here else None
        else:
            here = here.get(key) if isinstance(here, dict) else None
    return here


def duration(seconds: float) -> str:
    """Format with two or three digits and a unit."""
    size, unit = next(
        (size, unit) for size, unit in UNITS if seconds >= size or (size, unit) == UNITS[-1]
    )
    value = seconds / size
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def times(ratio: float) -> str:
    """Format a ratio."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def markdown(head: Sequence[str], cells: list[list[str]], texts: int = 2) -> str:
    """Return a Markdown table whose first columns are texts."""
    rule = ["---" if at < texts else "---:" for at in range(len(head))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (list(head), rule, *cells))


def ratios(row: Row) -> dict[str, float]:
    """Return each peer's time divided by ours."""
    return {name: own["peer_over_ours"] for name, own in row["rivals"].items() if "against" in own}


def compared(rows: Rows) -> list[tuple[str, Row | None]]:
    """Return the rows with rivals in order of importance; None if not measured."""
    others = {limit[1].split("/")[0] for limit in LIMITS}
    others |= {"memory", "attacked", "gallery-codes", "indexing-writing"}
    return [(name, rows.get(name)) for name in PLANS if name not in others]


def who(name: str, own: Row) -> str:
    """Describe a rival with its version and settings."""
    version = f" {own['version']}" if "version" in own and "against" in own else ""
    recall = f"; Recall@10 {own['recall_at_10']:.3f}" if "recall_at_10" in own else ""
    settings = f" ({own['settings']}{recall})" if own["settings"] else recall
    return f"{name}{version}{settings}"


def table(rows: Rows) -> str:
    """Return the table of all comparisons, one line per peer, the strongest in bold."""
    cells = []
    for name, row in compared(rows):
        if row is None:
            cells.append([f"`{name}`", MISSING, "", "", ""])
            continue
        every = ratios(row)
        for peer, ratio in every.items():
            own = row["rivals"][peer]
            ours = row["rivals"][own["against"]]
            told = times(ratio)
            cells.append(
                [
                    f"{row['task']} (`{name}`)",
                    who(peer, own),
                    f"{duration(ours['seconds'])} ({who(own['against'], ours)})",
                    duration(own["seconds"]),
                    f"**{told}**" if ratio == min(every.values()) else told,
                ]
            )
    return markdown(("what", "peer", "ours", "peer's", "peer ÷ ours"), cells, 3)


def _fastest(rivals: Mapping[str, Any]) -> tuple[str, Any]:
    return min(rivals.items(), key=lambda pair: pair[1]["seconds"])


def speed(rows: Rows) -> str:
    """Return the summary: our best figure compared with the strongest peer."""
    cells = []
    for name, row in compared(rows):
        if name not in SHOWN_FIRST:
            continue
        if row is None:
            cells.append([f"`{name}`", MISSING, "", ""])
            continue
        rivals = row["rivals"]
        ours, _ = _fastest({peer: own for peer, own in rivals.items() if "against" not in own})
        peer, own = _fastest({peer: own for peer, own in rivals.items() if "against" in own})
        # The median of the turns, as in the full table, if both ran in turns.
        ratio = own["peer_over_ours"]
        if own["against"] != ours:
            ratio = own["seconds"] / rivals[ours]["seconds"]
        cells.append([row["task"], peer, duration(rivals[ours]["seconds"]), times(ratio)])
    return markdown(("what", "strongest peer", "ours", "peer ÷ ours"), cells)


def tried(rows: Rows) -> str:
    """Return the table of the settings tried for each peer."""
    cells = []
    for name, row in compared(rows):
        for peer, own in () if row is None else row["rivals"].items():
            if "tried" in own:
                each = [f"{key}: {setting(value)}" for key, value in own["tried"].items()]
                cells.append([f"`{name}`", peer, "; ".join(each)])
    return markdown(("row", "peer", "milliseconds of one, or seconds of a command"), cells, 3)


def setting(value: Any) -> str:
    """Format a figure of a tried setting."""
    if isinstance(value, dict):
        return f"{value['ms']:.3g} (Recall@10 {value['recall_at_10']:.3f})"
    return f"{value:.3g}"


def limits(rows: Rows) -> str:
    """Return the table of all measured limits."""
    cells = []
    for task, at, unit, sign, limit in LIMITS:
        value = found(rows, at)
        if value is not None:
            met = value <= limit if sign == "≤" else value >= limit
            verdict = "met" if met else "MISSED"
            cells.append([task, f"{value:.4g}{unit}", f"{sign} {limit:.4g}{unit} {verdict}"])
    return markdown(("what", "measured", "limit"), cells)


def memory(rows: Rows) -> str:
    """Return the table of memory, ours and the peer's."""
    cells = [
        [task, peer, f"{own['mebibytes']:,.0f} MiB", times(own["peer_over_ours"])]
        for task, peers in (found(rows, "memory/tasks") or {}).items()
        for peer, own in peers.items()
    ]
    return markdown(("task", "peer", "ours", "peer ÷ ours"), cells)


def machine(rows: Rows) -> str:
    """Describe the machine and its load."""
    there = [row for _, row in compared(rows) if row is not None]
    if not there:
        return f"The comparisons are {MISSING}.\n"
    lines = []
    for told in {
        json.dumps(row["machine"], sort_keys=True): row["machine"] for row in there
    }.values():
        lines.append(
            f"{told['processor']}, {told['cores']} cores, {told['threads']} threads, "
            f"{told['memory_gib']} GiB."
        )
    before = max(row["load_before"] for row in there)
    wide = max(own["spread"] for row in there for own in row["rivals"].values())
    lines.append(
        f"The load before each row was at most {before:.0%} of a core, and the spread of the"
    )
    lines.append(f"turns is at most {wide:.0%}.")
    if busy := rows.get("busy"):
        lines.append(f"Not published, because the machine was busy: {', '.join(busy)}.")
    return "".join(f"{line}\n" for line in lines)


def page(rows: Rows) -> str:
    """Return the table of the search page."""
    own = rows["page"]
    http, queue = (f"{own[way]['p95_ms']:,.0f} ms" for way in ("http", "gradio"))
    asked = own["http"]
    return (
        f"With {asked['clients']} concurrent clients and {asked['requests']:,} different queries "
        f"on {asked['processors']} cores\n(`python -m benchmarks page`), the 95th percentile of "
        f"the response time is {http} over\nplain HTTP and {queue} through Gradio's queue. On a "
        "busy machine, it can be more than twice as long.\n"
    )


def growth(_: Rows) -> str:
    """Return the table of the growth of each task's cost."""
    if not GROWTH.exists():
        return f"The growth is {MISSING}.\n"
    tasks = json.loads(GROWTH.read_text(encoding="utf-8"))["tasks"]
    sizes = sorted({int(size) for own in tasks.values() for size in own["seconds"]})
    cells = [
        [name, own["grows"], f"{own['exponent']:.2f}"]
        + [
            duration(own["seconds"][str(size)]) if str(size) in own["seconds"] else ""
            for size in sizes
        ]
        for name, own in tasks.items()
    ]
    return markdown(("task", "why", "exponent", *(f"{size:,}" for size in sizes)), cells)


BLOCKS: dict[str, Callable[[Rows], str]] = {
    block.__name__: block for block in (table, speed, tried, limits, memory, machine, page, growth)
}


def written(text: str, rows: Rows) -> str:
    """Return a document with its blocks updated from these rows."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{BLOCKS[block[2]](rows)}\n{block[3]}", text)


def write(rows: Rows, documents: Sequence[Path] = DOCUMENTS) -> None:
    """Update the blocks of all documents."""
    for document in documents:
        text = document.read_text(encoding="utf-8")
        with atomic_file(document) as file:
            file.write_text(written(text, rows), encoding="utf-8")
