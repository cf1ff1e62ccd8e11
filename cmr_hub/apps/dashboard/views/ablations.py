"""Ablations page: compare runs as bars, a heat map, differences, a table or curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from cmr_hub.apps.dashboard.navigation import page_file
from cmr_hub.apps.dashboard.sources import RunStore, run_store, sources
from cmr_hub.apps.dashboard.text import literal, nothing, problems
from cmr_hub.apps.dashboard.widgets import choice, figure_box, sheet_box
from cmr_hub.errors import CMRError
from cmr_hub.experiments.report import verdict
from cmr_hub.experiments.run_groups import (
    DIRECTIONS,
    FACTORS,
    METRICS,
    RunGroup,
    against,
    chosen,
    factor_grid,
    grouped_names,
    labels,
    ranked,
    telling_factors,
)
from cmr_hub.experiments.table_export import Sheet
from cmr_hub.plots.results import bars, differences, heat, per_class, precision_recall

if TYPE_CHECKING:
    from cmr_hub.experiments.table_export import Value

_NOTHING: Final = "nothing"
_NAME: Final = "configuration"
_MOST_BARS: Final = 20
_MOST_LINES: Final = 8
_MOST_RUNS: Final = 500
_FILTERS: Final = ("dataset", "protocol", "method", "texts", "images")


def page() -> None:
    """Show the page. Filters and results are fragments, so that a change reruns only one."""
    st.title("Ablations")
    home = sources()
    store = run_store(home)
    problems(store.index.problems, "runs.jsonl")
    if not store.groups:
        nothing(
            f"No runs are stored in {literal(home.results)} yet.",
            "cmr ablate grids/study.toml --image-weights mobilenet_v2=mobilenet_v2.safetensors",
        )
        return
    _body(store)


@st.fragment
def _body(store: RunStore) -> None:
    _shown(store, _pick(store.groups))


@st.fragment
def _shown(store: RunStore, picked: list[RunGroup]) -> None:
    try:
        _results(store, picked)
    except CMRError as error:  # the store was rewritten
        st.error(literal(error))


def _results(store: RunStore, picked: list[RunGroup]) -> None:
    columns = st.columns(4)
    metric = columns[0].selectbox("Metric", list(METRICS), key="metric", bind="query-params")
    direction = columns[1].selectbox(
        "Direction", list(DIRECTIONS), key="direction", bind="query-params"
    )
    views = {
        "bars": "Bars",
        "heat": "Heat map",
        "differences": "Differences",
        "table": "Table",
        "curves": "Precision and recall",
        "classes": "By class",
    }
    view = choice(columns[2], "Show", views, "view")
    groups = ranked(picked, metric, direction)
    if not groups:
        st.info(
            f"No selected run has {metric}, {direction}. Select other runs above.",
            icon=":material/filter_alt_off:",
        )
        return
    names = labels(groups, telling_factors(groups))
    if view == "heat":
        _heat(groups, metric, direction)
    elif view == "differences":
        _differences(groups, names, metric, direction)
    elif view == "table":
        _table(groups, names, metric, direction)
    elif view == "curves":
        _curves(groups, names, direction)
    elif view == "classes":
        _classes(groups, names, direction)
    else:
        by = columns[3].selectbox(
            "Colour by",
            [_NOTHING, *_FILTERS],
            key="by",
            bind="query-params",
            help="Groups bars that differ only in this factor.",
        )
        _bars(store, groups, names, metric, direction, by)


def _pick(groups: Sequence[RunGroup]) -> list[RunGroup]:
    selected: dict[str, list[str]] = {}
    with st.container(border=True):
        columns = [*st.columns(3), *st.columns(3)]
        usual = _usual(groups)
        for place, factor in enumerate(_FILTERS):
            options = sorted({group.factors[factor] for group in groups})
            selected[factor] = columns[place].multiselect(
                factor.capitalize(),
                options,
                default=usual.get(factor),
                key=factor,
                bind="query-params",
                placeholder="all",
            )
        terms = sorted({term for group in groups for term in group.terms})
        required = columns[-1].multiselect(
            "With all loss terms", terms, key="terms", bind="query-params", placeholder="any"
        )
        picked = chosen(groups, selected, required)
        runs = sum(group.n for group in picked)
        st.caption(f"Runs: {runs:,}. Configurations: {len(picked):,}.")
    return picked


def _usual(groups: Sequence[RunGroup]) -> dict[str, list[str]]:
    """Return the default filters: the most frequent pair of dataset and protocol."""
    both = Counter((group.factors["dataset"], group.factors["protocol"]) for group in groups)
    dataset, protocol = both.most_common(1)[0][0]
    return {"dataset": [dataset], "protocol": [protocol]}


def _bars(
    store: RunStore,
    groups: list[RunGroup],
    names: list[str],
    metric: str,
    direction: str,
    by: str,
) -> None:
    shown = groups[:_MOST_BARS]
    if len(shown) < len(groups):
        st.caption(f"The best {_MOST_BARS} of {len(groups):,} are shown; filter to see others.")
    series = None if by == _NOTHING else [group.factors[by] for group in shown]
    rows = names[: len(shown)]
    if series is not None:
        rows = grouped_names(shown, by)
    opened = figure_box(
        bars(shown, rows, metric, direction, series),
        f"{metric} {direction}",
        key="bars",
        select=True,
    )
    if not opened:
        st.caption("Click a bar to open its runs.")
    for place in opened[:_MOST_LINES]:
        _runs(store, shown[place], names[place])


def _runs(store: RunStore, group: RunGroup, name: str) -> None:
    st.subheader(literal(name))
    values = [group.values("MAP@all", way) for way in DIRECTIONS]
    values.append(group.values("MAP@50", "average"))
    rows: list[list[Value]] = [
        [
            record.seed,
            *(figures.get(record.seed) for figures in values),
            record.epochs,
            float(record.seconds),
            record.finished or "",
            (record.cell or "")[:16],
        ]
        for record in group.load()
    ]
    header = ["seed", *(f"MAP@all {way}" for way in DIRECTIONS), "MAP@50", "epochs", "seconds"]
    sheet_box(Sheet([*header, "finished", "cell"], rows), name, key=f"runs-{group.key}")
    st.page_link(
        page_file("training"),
        label="Training curves of these runs",
        icon=":material/show_chart:",
        query_params={"run": [store.names[group.key]]},
    )


def _heat(groups: list[RunGroup], metric: str, direction: str) -> None:
    columns = st.columns(2)
    row = columns[0].selectbox("Rows", FACTORS, index=0, key="down", bind="query-params")
    column = columns[1].selectbox("Columns", FACTORS, index=1, key="across", bind="query-params")
    if row == column:
        st.info("Select two different factors.")
        return
    grid = factor_grid(groups, row, column, metric, direction)
    figure_box(
        heat(grid, metric, direction, row, column), f"{metric} by {row} and {column}", key="heat"
    )
    st.caption("Each tile shows the best mean over seeds of the configurations with both values.")


def _differences(groups: list[RunGroup], names: list[str], metric: str, direction: str) -> None:
    by_key = dict(zip([group.key for group in groups], names, strict=True))
    key = choice(st, "Reference", by_key, "reference")
    reference = next(group for group in groups if group.key == key)
    found = against(groups, reference, metric, direction)
    paired = [(name, one) for name, one in zip(names, found, strict=True) if one is not None]
    if not paired:
        st.info("No other configuration has a seed in common with the reference.")
        return
    title = f"differences {metric} {direction}"
    first = paired[:_MOST_BARS]
    figure = differences([one for _, one in first], [name for name, _ in first], metric, direction)
    figure_box(figure, title, key="differences")
    rows: list[list[Value]] = [
        [name, one.difference, one.low, one.high, one.p, one.n, verdict(one)]
        for name, one in paired
    ]
    header = [_NAME, "difference", "95 % from", "to", "p", "seeds", "conclusion"]
    sheet_box(Sheet(header, rows), title, key="differences-table")
    st.caption(
        "Two-sided t-test paired over seeds, with 95 % confidence intervals, not corrected for "
        "multiple comparisons."
    )


def _table(groups: list[RunGroup], names: list[str], metric: str, direction: str) -> None:
    rows: list[list[Value]] = [
        [
            name,
            group.mean(metric, direction),
            group.std(metric, direction),
            len(group.values(metric, direction)),
            *(group.factors[factor] for factor in FACTORS),
        ]
        for name, group in zip(names[:_MOST_RUNS], groups[:_MOST_RUNS], strict=True)
    ]
    header = [_NAME, f"{metric} {direction}", "std", "seeds", *FACTORS]
    alike = set(FACTORS) - set(telling_factors(groups))
    sheet_box(
        Sheet(header, rows),
        f"runs {metric} {direction}",
        key="table",
        column_order=[title for title in header if title not in alike],
    )


def _lines(groups: list[RunGroup], names: list[str]) -> list[tuple[RunGroup, str]]:
    """Return the selected groups with names that distinguish them."""
    by_key = dict(zip([group.key for group in groups], names, strict=True))
    keys = st.multiselect(
        "Configurations",
        list(by_key),
        default=list(by_key)[:4],
        format_func=by_key.__getitem__,
        key="lines",
        bind="query-params",
        max_selections=_MOST_LINES,
    )
    picked = [group for group in groups if group.key in keys]
    return list(zip(picked, labels(picked, telling_factors(picked)), strict=True))


def _curves(groups: list[RunGroup], names: list[str], direction: str) -> None:
    curves = {
        name: curve
        for group, name in _lines(groups, names)
        if (curve := group.precision_recall(direction)) is not None
    }
    if not curves:
        st.info("None of these runs has a precision-recall curve.")
        return
    figure_box(precision_recall(curves), f"precision and recall {direction}", key="pr")


def _classes(groups: list[RunGroup], names: list[str], direction: str) -> None:
    figures: dict[str, Any] = {
        name: by_class
        for group, name in _lines(groups, names)
        if (by_class := group.per_class(direction))
    }
    if not figures:
        st.info("None of these runs has classes.")
        return
    figure_box(per_class(figures), f"MAP by class {direction}", key="classes")


page()
