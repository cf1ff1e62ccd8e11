"""Write `results/report.md` from the store: our tables with the published figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmr_hub.atomic import atomic_file
from cmr_hub.errors import CMRError, DataNotFoundError
from cmr_hub.experiments.artifacts import DRAWN_DIMENSIONS
from cmr_hub.experiments.figures import draw_figures
from cmr_hub.experiments.grid import NESTED
from cmr_hub.experiments.plan import RUNS, Plan, PlannedRow, saved_plans
from cmr_hub.experiments.published import PublishedFigure, published_figures, published_systems
from cmr_hub.experiments.run_index import run_index
from cmr_hub.experiments.space import answers
from cmr_hub.experiments.stored_space import read_stored_space, stored_spaces
from cmr_hub.experiments.tables import (
    Column,
    RowResult,
    Significance,
    TableResult,
    holm,
    table_result,
    write_csv,
)
from cmr_hub.metrics.retrieval import bootstrap_interval, mean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cmr_hub.experiments.run_record import RunRecord
    from cmr_hub.experiments.stored_space import StoredSpace

REPORT = "report.md"
FIGURES = "figures"


def write_report(results: str | Path) -> Path:
    """Write `report.md`, a CSV per table and the plots; equal stores produce equal bytes.

    Raises:
        DataNotFoundError: no grid has been run into this folder.
        ModelFormatError: a plan, a curve or embeddings in it are damaged.
        CMRError: two grids have a table with the same id, or matplotlib is missing.
    """
    home = Path(results)
    plans = saved_plans(home)
    if not plans:
        raise DataNotFoundError(f"no grid has been run into {home}: run `cmr ablate` first")
    ids = Counter(table.id for plan in plans for table in plan.tables)
    twice = [table for table, count in ids.items() if count > 1]
    if twice:
        raise CMRError(f"two grids have a table {', '.join(twice)}: rename one in its grid")
    index = run_index(home / RUNS, superseded=True)
    stored = index.of_cells(cell for plan in plans for cell in plan.cells)
    current = [record for record in stored if record.superseded is None]
    spaces = {one.cell: one for one in stored_spaces(home)[0]}
    parts = [_HEAD]
    reported: dict[str, RunRecord] = {}
    for plan in plans:
        parts.append(f"## {plan.title}\n")
        records = stored if plan.superseded else current
        found = [table_result(table, records) for table in plan.tables]
        if not any(result.ranked for result in found):
            file = plan.name.removesuffix(NESTED) + ".toml"
            nested = " --nested" if plan.name.endswith(NESTED) else ""
            parts.append(f"Not run here: `cmr ablate grids/{file}{nested}` fills these rows.\n")
        for result in found:
            write_csv(result, home / f"{result.table.id}.csv")
            pictures = {} if plan.superseded else draw_figures(result, home, home / FIGURES)
            shown = {title: path.relative_to(home) for title, path in pictures.items()}
            parts.append(_section(result, shown, _over_queries(result, spaces)))
            for row in result.rows:
                reported |= {record.cell or "": record for record in row.records.values()}
    circumstances = list(reported.values()), len(index.problems), len(index)
    parts.append(_circumstances(plans, *circumstances))
    with atomic_file(home / REPORT) as path:
        path.write_text("\n".join(parts), encoding="utf-8")
    return home / REPORT


_HEAD = """\
# Results

Written by `cmr report` from `runs.jsonl`; every figure and every finding below is computed from it.

Ours: MAP over the whole ranking (MAP@all), relevant = same class, mean ± standard deviation (n − 1)
over seeds. Epochs and settings are chosen on validation pairs only; test pairs are scored once. The
accuracies are those of the nearest class centroid in the common space. R@K is the share of queries
whose own partner is among the first K: class MAP ranks classes, R@K finds the one picture.

Differences are paired over seeds: two-sided paired t-test with a 95 % confidence interval and,
where each seed draws its own split, the correction of Nadeau and Bengio (2003), because such splits
share pairs. "Holm" is the p-value corrected for all comparisons of its list, and decides what is
called better or worse; a row is called best only if it is better than every other row after this
correction. On a fixed split the test covers the variance of seeds, not that of pictures.

The presets' own settings were chosen inside the training pairs of Pascal Sentence 800/200; the test
parts of its random splits hold some of those pairs.

**Published figures are not ours and were measured under their own protocols**: they stand in a
column of their own, each with a note that says how it was measured.
"""


@dataclass(frozen=True)
class ReportTable:
    """A formatted table, used by `cmr report` and by the dashboard.

    Attributes:
        header: headers of the columns.
        rows: cells of each row; the column that rows are ranked by is marked with `**`.
        notes: notes on the published figures; cells refer to them as `[1]`.
        findings: sentences about the table.
    """

    header: list[str]
    rows: list[list[str]]
    notes: list[str]
    findings: list[str]


def report_table(result: TableResult) -> ReportTable:
    """Format our figures and the published figures, with notes on their protocols."""
    table, measure = result.table, result.measure
    notes = _Notes()
    show_published = table.measure == "map"  # published figures are MAP
    header = ["", "dataset", "protocol", "images", "texts", "n"]
    header += [column.header for column in measure.columns]
    header += ["published elsewhere (i→t / t→i / average)"] * show_published
    rows = []
    for row in result.shown:
        cells = _cells(row, measure.columns)
        if show_published:
            cells.append(_published(row.row.published, row.row.dataset, notes))
        rows.append(cells)
    for key in table.published:
        dataset = result.reference.row.dataset
        blank = [""] * (len(header) - 2)
        system = published_systems([key])[0]
        rows.append([f"_{system.name}, not run here_", *blank, _published([key], dataset, notes)])
    return ReportTable(header, rows, notes.lines(), _findings(result))


def _section(result: TableResult, pictures: dict[str, Path], over_queries: list[str]) -> str:
    table, measure, shown = result.table, result.measure, report_table(result)
    lines = [f"### {table.title}\n"]
    if measure.remark:
        lines.append(f"{measure.remark}\n")
    lines += [_line(shown.header), _line(["---"] * len(shown.header))]
    lines += [_line(cells) for cells in shown.rows]
    if shown.notes:
        lines += ["", "Published figures, each under its own protocol:  "]
        lines += [f"{note}  " for note in shown.notes]
    lines += ["", *shown.findings, *over_queries, ""]
    lines += [f"![{title}]({path.as_posix()})" for title, path in pictures.items()]
    lines.append(f"\nAll figures: [{table.id}.csv]({table.id}.csv)\n")
    return "\n".join(lines)


def _cells(found: RowResult, columns: tuple[Column, ...]) -> list[str]:
    row = found.row
    what = [row.label, row.data, row.protocol, row.image_encoder, row.text_encoder]
    if not found.n:
        return [*what, "0", "not run yet", *[""] * (len(columns) - 1)]
    return [*what, str(found.n), *(_cell(found, column) for column in columns)]


def _cell(found: RowResult, column: Column) -> str:
    shown = spread if column.spread else _mean
    text = " / ".join(shown(found, figure) for figure in column.figures)
    return f"**{text}**" if column.header.startswith("**") else text


def spread(found: RowResult, figure: str) -> str:
    """Return mean ± standard deviation of a row, formatted."""
    mean, std = found.mean(figure), found.std(figure)
    if mean is None:
        return "–"
    return number(mean) + ("" if std is None else f" ± {number(std)}")


def _published(keys: Iterable[str], dataset: str, notes: _Notes) -> str:
    parts = []
    for system, name, figure in published_figures(keys, dataset):
        note = notes.add(f"{system.name}, {name}. {system.source}. {figure.protocol}.")
        ways = [figure.i2t, figure.t2i, figure.average]
        shares = " / ".join(number(way) for way in ways if way is not None)
        parts.append(f"{name} {shares} [{note}]")
    return "; ".join(parts)


class _Notes:
    """The numbered notes of one table."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def add(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers) + 1)

    def lines(self) -> list[str]:
        return [f"[{number_}] {text}" for text, number_ in self._numbers.items()]


def _findings(result: TableResult) -> list[str]:
    ranked, measure = result.ranked, result.measure
    if not ranked:
        return ["Nothing of this table has been run yet."]
    figure = measure.compared
    found = [f"- {_best(result)}."]
    if len(ranked) > 1:
        found.append(f"- Order found: {_order(ranked, figure)}.")
    found += _agreement(result)
    found += [
        f"- {row.row.label} against its own zero-shot: {_against_zero_shot(row, before, figure)}"
        for row in result.rows
        if (before := row.zero_shot) is not None
    ]
    compared = [row for row in result.rows if row.row.label != result.table.reference]
    if compared:
        found.append(f"\nCompared with **{result.table.reference}**, {measure.meaning}:\n")
        found += [f"- {row.row.label}: {verdict(row.against_reference)}" for row in compared]
    return found


def _best(result: TableResult) -> str:
    """Name the best row, or the rows that share the first place."""
    first, figure, tied = result.ranked[0], result.measure.compared, result.tied
    named = f"**{first.row.label}**, {spread(first, figure)} (n = {first.n})"
    if len(result.ranked) == 1:
        return f"The only row: {named}"
    if not tied:
        return f"Best here: {named}, significantly better than every other row"
    others = ", ".join(f"{row.row.label} ({_mean(row, figure)})" for row in tied)
    return f"First here, but none is best: {named} is not told apart from {others}"


def _over_queries(result: TableResult, spaces: dict[str, StoredSpace]) -> list[str]:
    """Estimate how much MAP would change with other test pairs, from stored embeddings of runs."""
    if result.table.measure != "map":
        return []
    found: dict[str, npt.NDArray[np.float64]] = {}
    for row in result.rows:
        stored = [spaces[cell] for cell in row.row.cells.values() if cell in spaces]
        if stored and "{seed}" not in row.row.protocol:
            space = read_stored_space(stored[-1])
            found[row.row.label] = (answers(space, "i2t").ap + answers(space, "t2i").ap) / 2
    reference = found.get(result.table.reference)
    if reference is None:
        return []
    lines = []
    for label, ap in found.items():
        line = f"- {label}: {number(mean(ap))} {_interval(bootstrap_interval(ap), number)}"
        if ap is not reference and len(ap) == len(reference):
            low_high = bootstrap_interval(ap - reference)
            line += f"; {signed(mean(ap - reference))} {_interval(low_high, signed)}"
        lines.append(line)
    return [
        f"\nOver the {len(reference)} test pairs: 95 % bootstrap interval of one run of each, and "
        f"of its difference to **{result.table.reference}**, from stored embeddings of at most "
        f"{DRAWN_DIMENSIONS} dimensions, which change MAP a little:\n",
        *lines,
    ]


def _interval(low_high: tuple[float, float], shown: Callable[[float], str]) -> str:
    return f"[{shown(low_high[0])}, {shown(low_high[1])}]"


def _against_zero_shot(row: RowResult, before: RowResult, figure: str) -> str:
    compared = row.against(before, figure)
    below = compared is not None and compared.difference < 0
    return verdict(compared) + (": **training ended below zero-shot**" if below else "")


def _order(rows: Iterable[RowResult], figure: str) -> str:
    return " > ".join(f"{row.row.label} ({_mean(row, figure)})" for row in rows)


def _mean(row: RowResult, figure: str) -> str:
    mean = row.mean(figure)
    return "–" if mean is None else number(mean)


def verdict(compared: Significance | None) -> str:
    """Describe a difference: `+.012 [+.004, +.020], p = .013 (n = 5): better`."""
    if compared is None:
        return "no seed in common yet"
    text = signed(compared.difference)
    if compared.low is not None and compared.high is not None:
        text += f" [{signed(compared.low)}, {signed(compared.high)}]"
    if compared.p is None:
        same = compared.n > 1 and compared.difference == 0
        return f"{text} (n = {compared.n}): {'the same figures' if same else 'no test possible'}"
    chance = "p < .001" if compared.p < 0.001 else f"p = {number(compared.p)}"
    if compared.p_holm is not None:
        chance += f", Holm {'< .001' if compared.p_holm < 0.001 else number(compared.p_holm)}"
    way = "better" if compared.difference > 0 else "worse"
    said = way if compared.significant else "no significant difference"
    return f"{text}, {chance} (n = {compared.n}): {said}"


def _agreement(result: TableResult) -> list[str]:
    """Compare our order of rows with the published order, for each source and dataset."""
    compared = result.measure.compared
    groups: dict[tuple[str, str], list[tuple[RowResult, PublishedFigure]]] = {}
    for row in result.ranked:
        for source, dataset, figure in _figures(row.row):
            members = groups.setdefault((source, dataset), [])
            # A row compared with several systems of one source is counted once.
            if all(row is not member for member, _ in members):
                members.append((row, figure))
    found = []
    for (source, dataset), members in groups.items():
        if len({figure.average for _, figure in members}) < 2:
            continue
        theirs = sorted(members, key=lambda member: -member[1].average)
        printed = " > ".join(f"{row.row.label} ({number(f.average)})" for row, f in theirs)
        ours = _order((row for row, _ in members), compared)
        reversed_ = _reversed(members, compared)
        found.append(
            f"- Published order ({source}; {dataset}, its own protocol): {printed}. Ours: {ours}: "
            f"{_disagreement(reversed_, result) if reversed_ else 'the same order.'}"
        )
    return found


def _reversed(
    members: list[tuple[RowResult, PublishedFigure]], figure: str
) -> list[Significance | None]:
    """Return the significance of each pair of rows whose published order is reversed.

    `members` are sorted by our figure, the best first.
    """
    return holm(
        [
            better.against(worse, figure)
            for place, (better, printed) in enumerate(members)
            for worse, other in members[place + 1 :]
            if printed.average < other.average
        ]
    )


def _disagreement(pairs: list[Significance | None], result: TableResult) -> str:
    worth = [pair for pair in pairs if pair is not None]
    certain = sum(pair.significant for pair in worth)
    most = max((abs(pair.difference) for pair in worth), default=0.0)
    turned = "1 pair is" if len(pairs) == 1 else f"{len(pairs)} pairs are"
    said = f"{turned} turned round, by at most {number(most)}, {certain} of them significantly."
    return f"not the same order. {said} {result.table.disagreement}".strip()


def _figures(row: PlannedRow) -> list[tuple[str, str, PublishedFigure]]:
    return [
        (system.source, dataset, figure)
        for system, dataset, figure in published_figures(row.published, row.dataset)
    ]


def _circumstances(plans: list[Plan], reported: list[RunRecord], problems: int, stored: int) -> str:
    records = [record for record in reported if record.superseded is None]
    planned = {cell for plan in plans if not plan.superseded for cell in plan.cells}
    hours = sum(record.seconds for record in records) / 3600
    named = {record.map50_denominator for record in records}
    denominators = sorted(name for name in named if name is not None)
    lines = [
        "## How it was measured\n",
        f"- {len(records)} of {len(planned)} runs are done; {hours:.2f} hours of training in all, "
        "one thread each.",
        f"- {stored} runs are stored: {len(records)} in the tables above, "
        f"{len(reported) - len(records)} only in superseded ones, {stored - len(reported)} in "
        "none.",
    ]
    if denominators:
        lines.append(f"- MAP@50 is divided by: {', '.join(denominators)}.")
    for versions, count in Counter(_versions(record) for record in records).most_common():
        lines.append(f"- {count} runs with {versions}")
    weights = {(r.image_encoder, r.image_weights) for r in records if r.image_weights}
    lines += [f"- Weights of {name}: SHA-256 {digest}" for name, digest in sorted(weights)]
    lines += [
        f"- {title}: {', '.join(map(str, values))}" for title, values in _unknown_texts(records)
    ]
    if problems:
        lines.append(f"- {problems} damaged lines of `runs.jsonl` were left out.")
    return "\n".join(lines) + "\n"


def _versions(record: RunRecord) -> str:
    return ", ".join(f"{name} {value}" for name, value in record.versions.items())


def _unknown_texts(records: list[RunRecord]) -> list[tuple[str, list[str]]]:
    most: dict[str, int] = {}
    for record in records:
        unknown = record.test_texts_without_known_word or 0
        if unknown:
            most[record.text_encoder] = max(unknown, most.get(record.text_encoder, 0))
    found = [f"{name} at most {count}" for name, count in sorted(most.items())]
    return [("Test texts without any known word", found)] if found else []


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def number(value: float) -> str:
    """Format with three decimals and no leading zero, as is usual for MAP."""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def signed(value: float) -> str:
    """Format as `number` does, with a sign."""
    return ("+" if value >= 0 else "−") + number(abs(value))
