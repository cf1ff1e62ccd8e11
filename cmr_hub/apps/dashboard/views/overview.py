"""Overview page: the best models, the tables with published figures, and new results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import streamlit as st

from cmr_hub.apps.dashboard.sources import Sources, run_store, sources, tables
from cmr_hub.apps.dashboard.text import literal, nothing, problems
from cmr_hub.apps.dashboard.widgets import choice, figures, words_box
from cmr_hub.experiments.changes import Change, changes
from cmr_hub.experiments.report import report_table, spread, verdict
from cmr_hub.experiments.table_export import Sheet

if TYPE_CHECKING:
    from cmr_hub.experiments.table_export import Value
    from cmr_hub.experiments.tables import TableResult

_STUDY = "study"
_RELEASED = {"photos": "photos.json", "sketch": "default.json"}
_SHOWN_CHANGES = 200


def page() -> None:
    """Show the page."""
    home = sources()
    store, found = run_store(home), tables(home)
    st.title("CMR Hub")
    st.markdown("Models of a common space of pictures and sentences, and their evaluation.")
    problems(store.index.problems, "runs.jsonl")
    if found.problem:
        st.error(literal(found.problem))
    if not len(store.index):
        nothing(
            f"No runs are stored in {literal(home.results)} yet. These commands create some:",
            "cmr ablate grids/study.toml --image-weights mobilenet_v2=mobilenet_v2.safetensors",
            "cmr report",
        )
        return
    _facts(home)
    st.header("Best of each table")
    st.caption(
        "The figure is MAP@all, unless the last column names another one. Ties are rows that the "
        "best row is not significantly better than, after Holm's correction."
    )
    results = [result for _, filled in found.plans for result in filled]
    results.sort(key=lambda result: result.table.measure != "map")  # tables of MAP first
    words_box(best(results), "best models", key="best")
    _released(home)
    _tables(home)
    _changes(home, results)


def _facts(home: Sources) -> None:
    store = run_store(home)
    latest = pc.max(store.index.table["finished"]).as_py()
    hours = store.index.numbers["seconds"].sum() / 3600
    figures(
        {
            "Runs": f"{len(store.index):,}",
            "Configurations": f"{len(store.groups):,}",
            "Hours of training": f"{hours:.1f}",
            "Latest run": (latest or "–")[:10],
        }
    )


def best(results: list[TableResult]) -> Sheet:
    """Return the best row of every measured table, and the rows tied with it."""
    rows: list[list[Value]] = []
    for result in results:
        first = next(iter(result.ranked), None)
        if first is None:
            continue
        alone = len(result.ranked) == 1
        figure = result.measure.compared
        compared = (
            "is the reference"
            if first.row.label == result.table.reference
            else verdict(first.against_reference)
        )
        rows.append(
            [
                result.table.title,
                first.row.label,
                spread(first, figure),
                first.n,
                ", ".join(row.row.label for row in result.tied)
                or ("no other row" if alone else "none"),
                compared,
                result.table.reference,
                result.measure.meaning,
            ]
        )
    return Sheet(
        [
            "table",
            "best",
            "mean ± std",
            "seeds",
            "ties",
            "against the reference",
            "reference",
            "figure",
        ],
        rows,
    )


def _released(home: Sources) -> None:
    rows = []
    for model, file in _RELEASED.items():
        try:
            measured = json.loads((home.results / file).read_text(encoding="utf-8"))["figures"]
            rows += [
                [
                    model,
                    name,
                    *(facts["sentences"][f"recall_at_{k}"] for k in (1, 5, 10)),
                    facts.get("map_avg"),
                ]
                for name, facts in measured.items()
            ]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    if not rows:
        return
    st.header("Included models")
    st.caption("Recall@K: text→image, one sentence per query. Class MAP: mean of both directions.")
    words_box(
        Sheet(["model", "dataset", "Recall@1", "@5", "@10", "class MAP"], rows),
        "models",
        key="release",
    )


@st.fragment
def _tables(home: Sources) -> None:
    plans = {plan.name: (plan, filled) for plan, filled in tables(home).plans}
    if not plans:
        return
    st.header("Tables with published figures")
    st.caption(
        "Ours: mean ± standard deviation over seeds. Published figures were measured by others "
        "with their own protocols; see the notes below each table."
    )
    names = sorted(plans, key=lambda name: (name != _STUDY, name))
    name = choice(st, "Grid", {name: plans[name][0].title for name in names}, "grid")
    for result in plans[name][1]:
        shown = report_table(result)
        st.subheader(literal(result.table.title))
        if result.measure.remark:
            st.caption(literal(result.measure.remark))
        plain = Sheet(
            [title.strip("*") or "row" for title in shown.header],
            [[cell.strip("*_") for cell in row] for row in shown.rows],
        )
        alike, telling = folded(plain)
        if alike:
            st.caption(literal(", ".join(f"{name}: {value}" for name, value in alike.items())))
        words_box(plain, result.table.id, key=f"table-{result.table.id}", shown=telling)
        if shown.notes:
            st.caption("  \n".join(map(literal, shown.notes)))
        findings = st.expander("Findings", key=f"findings-{result.table.id}", on_change="rerun")
        if findings.open:
            findings.markdown("\n".join(f"{literal_finding(line)}" for line in shown.findings))


_FOLDABLE = ("dataset", "protocol", "images", "texts", "n")
# These columns, which publications lack, come last, so that published figures are next to ours.
_AFTER_PUBLISHED = ("R@1 i→t / t→i", "R@10 i→t / t→i", "MAP@50", "accuracy image / text")


def folded(sheet: Sheet) -> tuple[dict[str, str], list[str]]:
    """Return the columns with one value in all our rows, with that value, and the other columns."""
    alike: dict[str, str] = {}
    for place, name in enumerate(sheet.header):
        values = {str(row[place]) for row in sheet.rows if row[place]}
        if name in _FOLDABLE and len(values) == 1:
            alike["seeds" if name == "n" else name] = values.pop()
    others = [
        name
        for name in sheet.header
        if name not in alike and not (name == "n" and "seeds" in alike)
    ]
    return alike, sorted(others, key=lambda name: name in _AFTER_PUBLISHED)


def literal_finding(line: str) -> str:
    """Escape a finding of the report except its list marker."""
    text = line.strip().replace("**", "")
    return f"- {literal(text[2:])}" if text.startswith("- ") else f"\n{literal(text)}\n"


def _changes(home: Sources, results: list[TableResult]) -> None:
    st.header("New since the last report")
    found = [change for result in results for change in changes(result, home.results)]
    if not found:
        st.success("The report is up to date.", icon=":material/check:")
        return
    st.caption("Run `cmr report` to update the report.")
    words_box(changed(found[:_SHOWN_CHANGES]), "changes", key="changes")


def changed(found: list[Change]) -> Sheet:
    """Return the changes as a table."""
    return Sheet(
        ["table", "row", "seeds before", "seeds now", "mean before", "mean now", "difference"],
        [
            [
                change.table,
                change.row,
                change.n_before,
                change.n_after,
                change.before,
                change.after,
                None
                if change.before is None or change.after is None
                else change.after - change.before,
            ]
            for change in found
        ],
    )


page()
