"""What was measured, as one table: each row a ratio against a peer of the same run.

    python benchmarks/table.py   # prints it and writes it into the documents again

Figures come from `results/benchmarks.json` and from nowhere else. In a document everything between
`<!-- benchmarks: NAME -->` and `<!-- end -->` is written by the function of that name in `BLOCKS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cmr_hub.atomic import atomic_file
from cmr_hub.evaluation.benchmarks import BENCHMARKS

HOME = Path(__file__).parents[1]
DOCUMENTS = (HOME / "README.md", HOME / "docs" / "benchmarks.md")
BLOCK = re.compile(r"(<!-- benchmarks: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Rows = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """A row of the table.

    Attributes:
        task: what is done.
        peer: who does it too.
        at: where its figures stand in the results.
        goal: what the peer's time over ours must be, at least; 1, not slower, where nothing else is
            said; None where none is set.
        ratio: the key of that ratio.
        memory: where the row `memory` has its figures; None where it has none.
    """

    task: str
    peer: str
    at: tuple[str, ...]
    goal: float | None = 1
    ratio: str = "peer_over_ours"
    memory: tuple[str, str] | None = None


def _search(count: int, peer: str, goal: float | None = None) -> Comparison:
    short = peer.split(maxsplit=1)[0].rstrip(",")
    memory = ("search", short) if count == 100_000 and short != "Milvus" else None
    task = f"one search in {count:,} vectors"
    return Comparison(task, peer, (f"search-{count}", peer), goal, memory=memory)


def _map(peer: str) -> Comparison:
    name = "mean-average-precision"
    return Comparison("MAP@all, 2,000 queries", peer, (name, peer), memory=(name, peer))


FLAT, SEMANTIC, MILVUS = (
    "FAISS IndexFlatIP",
    "sentence-transformers semantic_search",
    "Milvus HNSW",
)
MINILM = "sentence-transformers"
LOOP = "plain PyTorch loop"
SAME = f"{MINILM}, same weights"
TABLE = (
    Comparison("import", "numpy", ("importing", "numpy"), memory=("import", "numpy")),
    Comparison("import", MINILM, ("importing", "sentence_transformers"), memory=("import", MINILM)),
    Comparison("import and load the default", MINILM, ("loading", "from nothing"), 3),
    Comparison("load the default", MINILM, ("loading", "first"), memory=("load", MINILM)),
    Comparison("load it again", MINILM, ("loading", "again")),
    Comparison("a picture, compact", LOOP, ("images", "compact")),
    Comparison("a picture, MobileNetV2", LOOP, ("images", "mobilenet_v2"), memory=("images", LOOP)),
    Comparison(
        "a picture, MobileNetV2, decoded", "transformers pipeline", ("images", "pipeline"), 1
    ),
    Comparison("a picture, VGG16", LOOP, ("images", "vgg16")),
    Comparison(
        "a sentence, all-MiniLM-L6-v2", SAME, ("texts", "sentence"), memory=("texts", MINILM)
    ),
    Comparison("one sentence alone, all-MiniLM-L6-v2", SAME, ("texts", "sentence_query")),
    Comparison("a sentence, bag of words", "scikit-learn TfidfVectorizer", ("texts", "bow")),
    Comparison("a sentence, word vectors", "gensim get_mean_vector", ("texts", "word2vec")),
    Comparison("a sentence, text-cnn", LOOP, ("texts", "text-cnn")),
    Comparison(
        "a training step, one thread",
        LOOP,
        ("training", "one_thread"),
        1,
        memory=("training", LOOP),
    ),
    Comparison("a training step, all threads", LOOP, ("training", "all_threads")),
    *(_search(10_000, peer) for peer in (FLAT, SEMANTIC, MILVUS)),
    _search(100_000, FLAT, 1 / 1.3),
    _search(100_000, SEMANTIC, 10),
    _search(100_000, MILVUS),
    *(_search(1_000_000, peer) for peer in (FLAT, "FAISS, the same graph", SEMANTIC)),
    *map(_map, ("scikit-learn", "pytrec_eval", "torchmetrics")),
    *(
        Comparison(
            f"indexing a picture, {name}, {threads} thread{'s'[: threads - 1]}",
            "plain encoding of decoded pixels",
            ("indexing-throughput", f"{key}_{threads}_threads"),
            0.95,
            "ours_over_bare_loop",
            ("indexing", LOOP) if (key, threads) == ("compact", 2) else None,
        )
        for name, key, threads in (
            ("compact", "compact", 1),
            ("compact", "compact", 2),
            ("MobileNetV2", "mobilenet_v2", 2),
            ("VGG16", "vgg16", 2),
        )
    ),
    Comparison("t-SNE of 10,000 points", "scikit-learn", ("tsne",), 2, "ratio"),
    Comparison("an epoch of GloVe", "gensim word2vec CBOW", ("glove", "CBOW")),
    Comparison("an epoch of GloVe", "gensim word2vec skip-gram", ("glove", "skip-gram")),
)


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


@dataclass(frozen=True)
class Limit:
    """A figure without a peer, and what it must keep."""

    task: str
    at: tuple[str, ...]
    unit: str
    sign: str
    limit: float

    def cells(self, value: float) -> list[str]:
        """A row of the table."""
        met = value <= self.limit if self.sign == "≤" else value >= self.limit
        shown, limit = (f"{number:.4g}{self.unit}" for number in (value, self.limit))
        return [self.task, shown, f"{self.sign} {limit} {'met' if met else 'MISSED'}"]


MILLION = "gallery of 1,000,000"
LIMITS = (
    Limit(
        f"{MILLION}: a search, p50",
        ("gallery-scale", "curve", "-1", "p50_milliseconds"),
        " ms",
        "≤",
        2,
    ),
    Limit(f"{MILLION}: Recall@10", ("gallery-scale", "curve", "-1", "recall_at_10"), "", "≥", 0.98),
    Limit(
        f"{MILLION}: open to first answer",
        ("gallery-scale", "curve", "-1", "seconds_to_first_answer"),
        " s",
        "≤",
        2,
    ),
    *(
        limit
        for share in (10, 1)
        for limit in (
            Limit(
                f"{MILLION}: filtered ÷ unfiltered, {share} % pass",
                ("gallery-filters", f"{share}_percent_pass", "filtered_over_unfiltered"),
                "",
                "≤",
                3,
            ),
            Limit(
                f"{MILLION}: Recall@10, {share} % pass",
                ("gallery-filters", f"{share}_percent_pass", "recall_at_10"),
                "",
                "≥",
                0.98,
            ),
        )
    ),
    Limit(
        "index 7,000 pictures again, nothing new",
        ("indexing-again", "second_seconds"),
        " s",
        "≤",
        5,
    ),
    Limit(
        "rows lost or double after 50 kills", ("indexing-faults", "lost_or_double_rows"), "", "≤", 0
    ),
    Limit("page, 50 clients, plain HTTP, p95", ("page", "http", "p95_ms"), " ms", "≤", 500),
    Limit("page, 50 clients, Gradio's queue, p95", ("page", "gradio", "p95_ms"), " ms", "≤", 500),
    Limit("page, memory at the end ÷ after 1,000", ("page", "http", "memory_ratio"), "", "≤", 1.05),
    Limit(
        "dashboard over 5,000 runs, first page", ("dashboard", "first_page_seconds"), " s", "≤", 3
    ),
    Limit(
        "dashboard over 5,000 runs, a filter changed",
        ("dashboard", "filter_change_seconds"),
        " s",
        "≤",
        0.5,
    ),
)


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


def page(rows: Rows) -> str:
    """What the README says of the page."""
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
    "limits": limits,
    "image-batches": image_batches,
    "text-batches": text_batches,
    "map-curve": map_curve,
    "memory": memory,
    "runtimes": runtimes,
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
