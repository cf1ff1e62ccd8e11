"""Show figures and tables with download menus, and cards of items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from cmr_hub.apps.dashboard.sources import thumbnail
from cmr_hub.apps.dashboard.text import literal
from cmr_hub.plots.style import as_html, file_name

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from cmr_hub.experiments.space import Space, SpaceItem
    from cmr_hub.experiments.table_export import Sheet, Value

T = TypeVar("T")

_MOST_ROWS = 40  # a table with more rows scrolls


def choice(place: Any, label: str, options: Mapping[T, str], key: str) -> T:
    """Show a select box for the titles of options, and keep the selection in the URL."""
    selected: T = place.selectbox(
        label, list(options), format_func=options.__getitem__, key=key, bind="query-params"
    )
    return selected


def sample_note(space: Space) -> None:
    """Say so if only a sample of a gallery is shown."""
    if space.n_items is not None and len(space.items) < space.n_items:
        st.caption(
            f"Maps and figures are of a random sample of {len(space.items):,} of the "
            f"{space.n_items:,} items of this gallery."
        )


def figure_box(
    figure: go.Figure, name: str, *, key: str, select: bool = False, alt: str = ""
) -> list[int]:
    """Show a figure with a menu that saves it as PNG, SVG or HTML.

    Args:
        figure: the figure to show.
        name: name of the saved files.
        key: key of the figure on its page.
        select: whether points can be selected.
        alt: description of the figure for screen readers.

    Returns:
        The sorted distinct `customdata` of the selected points.
    """
    form = st.session_state.get(f"{key}-format", "PNG")
    config = {
        "displaylogo": False,
        "scrollZoom": False,
        "modeBarButtonsToRemove": [] if select else ["select2d", "lasso2d"],
        "toImageButtonOptions": {
            "format": form.lower(),
            "filename": file_name(name),
            "scale": 2 if form == "PNG" else 1,
        },
    }
    chart: Any = st.plotly_chart
    with st.container(key=f"{key}-figure"):
        on_select = "rerun" if select else "ignore"
        event = chart(figure, key=key, config=config, on_select=on_select, alt=alt or name)
    with st.popover("Save figure", icon=":material/download:", type="tertiary", key=f"{key}-save"):
        st.segmented_control(
            "Format of the camera button at the top right of the figure",
            ["PNG", "SVG"],
            default="PNG",
            required=True,
            key=f"{key}-format",
        )
        st.download_button(
            "HTML, self-contained",
            data=lambda: as_html(figure, name),
            file_name=f"{file_name(name)}.html",
            mime="text/html",
            key=f"{key}-html",
            on_click="ignore",
            icon=":material/code:",
        )
    if not select:
        return []
    places = [point.get("customdata") for point in event["selection"]["points"]]
    # Some traces wrap `customdata` in a list.
    places = [place[0] if isinstance(place, list) and place else place for place in places]
    return sorted({place for place in places if isinstance(place, int)})


def sheet_box(sheet: Sheet, name: str, *, key: str, **options: Any) -> Any:
    """Show a sortable table with a menu that saves it."""
    columns = _columns(sheet)
    numbers = {
        title: st.column_config.NumberColumn(format="%.2g" if title == "p" else "%.3f")
        for title, values in columns.items()
        if any(isinstance(value, float) for value in values)
    }
    shown = st.dataframe(
        columns,
        key=key,
        hide_index=True,
        column_config=numbers,
        height="content" if len(sheet.rows) <= _MOST_ROWS else 480,
        placeholder="–",
        **options,
    )
    _save(sheet, name, key)
    return shown


def words_box(sheet: Sheet, name: str, *, key: str, shown: Sequence[str] = ()) -> None:
    """Show a short table that wraps long cells, with a menu that saves it.

    Args:
        sheet: the table; all its columns are saved.
        name, key: as in `sheet_box`.
        shown: the columns to show, in order; default: all.
    """
    columns = _columns(sheet)
    st.table(
        {_text(title): [_text(value) for value in columns[title]] for title in shown or columns},
        border="horizontal",
        hide_index=True,
    )
    _save(sheet, name, key)


def _text(value: Value) -> str:
    """Format a cell as Markdown. A mean and its standard deviation stay on one line."""
    if value is None:
        return "–"
    text = f"{value:.3f}" if isinstance(value, float) else literal(value)
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def _columns(sheet: Sheet) -> dict[str, list[Value]]:
    return {title: [row[place] for row in sheet.rows] for place, title in enumerate(sheet.header)}


def _save(sheet: Sheet, name: str, key: str) -> None:
    with st.popover("Save table", icon=":material/download:", type="tertiary", key=f"{key}-save"):
        for form, text, ending, mime in (
            ("CSV", sheet.csv, "csv", "text/csv"),
            ("LaTeX", sheet.latex, "tex", "application/x-tex"),
        ):
            st.download_button(
                form,
                data=text,
                file_name=f"{file_name(name)}.{ending}",
                mime=mime,
                key=f"{key}-{form}",
                on_click="ignore",
                icon=":material/download:",
                type="tertiary",
            )


@dataclass(frozen=True)
class Card:
    """An item in a grid with a title, shown as an image or as a text."""

    item: SpaceItem
    head: str
    side: str
    is_hit: bool | None = None
    """None if the item is not a result."""


def cards(shown: Iterable[Card]) -> None:
    """Show a grid of items. Images without a picture are shown by their sentences."""
    st.html(f'<div class="cmr-cards">{"".join(_card(card) for card in shown)}</div>')


def _card(card: Card) -> str:
    picture = thumbnail(card.item.path) if card.side == "image" else ""
    mark = {True: " cmr-hit", False: " cmr-miss", None: ""}[card.is_hit]
    verdict = {True: " ✓ hit", False: " ✗ miss", None: ""}[card.is_hit]
    body = [f"<b>{escape(card.head)}{verdict}</b>"]
    if card.item.label:
        body.append(f"<br>{escape(card.item.label)}")
    if not picture and card.item.sentences:
        body.append(f"<p>{escape(' '.join(card.item.sentences))}</p>")
    body.append(f"<br><small>{escape(card.item.id)}</small>")
    image = f'<img alt="" src="{escape(picture)}">' if picture else ""
    return f'<div class="cmr-card{mark}">{image}<div>{"".join(body)}</div></div>'


def figures(shown: Mapping[str, str]) -> None:
    """Show named values in a row that wraps."""
    with st.container(horizontal=True, gap="medium"):
        for name, value in shown.items():
            st.metric(name, value, width="content")


def colour_keys(names: Sequence[str], colours: Sequence[str]) -> None:
    """Show one legend for several figures."""
    keys = "".join(
        f'<span style="--key: {escape(colour)}">{escape(name)}</span>'
        for name, colour in zip(names, colours, strict=True)
    )
    st.html(f'<div class="cmr-keys">{keys}</div>')
