"""A figure with its downloads, a table with its downloads, and cards of items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from cmr_hub.apps.dashboard.sources import thumbnail
from cmr_hub.apps.dashboard.text import escaped, literal
from cmr_hub.plots.style import as_html, file_name

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from cmr_hub.experiments.space import SpaceItem
    from cmr_hub.experiments.table_export import Sheet, Value

_WHOLE = 40  # rows of a table that is shown without scrolling


def figure_box(
    figure: go.Figure, name: str, *, key: str, select: bool = False, alt: str = ""
) -> list[int]:
    """Shows a figure; beside it a menu saves it as PNG, SVG or HTML.

    Args:
        figure: what to show.
        name: of the files.
        key: of the figure on its page.
        select: whether points can be selected.
        alt: what the figure shows, for those who cannot see it.

    Returns:
        The `customdata` of the selected points, each once, in order.
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
    event: Any = None
    with st.container(key=f"{key}-figure"):
        if select:
            event = st.plotly_chart(
                figure,
                key=key,
                config=config,
                on_select="rerun",
                selection_mode=("points", "box", "lasso"),
                alt=alt or name,
            )
        else:
            st.plotly_chart(figure, key=key, config=config, alt=alt or name)
    with st.popover("Save figure", icon=":material/download:", type="tertiary", key=f"{key}-save"):
        st.segmented_control(
            "The camera at the figure's top right saves",
            ["PNG", "SVG"],
            default="PNG",
            required=True,
            key=f"{key}-format",
        )
        st.download_button(
            "HTML, with all that draws it",
            data=lambda: as_html(figure, name),
            file_name=f"{file_name(name)}.html",
            mime="text/html",
            key=f"{key}-html",
            on_click="ignore",
            icon=":material/code:",
        )
    if event is None:
        return []
    given = [point.get("customdata") for point in event["selection"]["points"]]
    # Of some traces it comes alone, of others in a list.
    places = [place[0] if isinstance(place, list) and place else place for place in given]
    return sorted({place for place in places if isinstance(place, int)})


def sheet_box(sheet: Sheet, name: str, *, key: str, **options: Any) -> Any:
    """Shows a table that sorts by a click on its header; below it a menu saves it."""
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
        height="content" if len(sheet.rows) <= _WHOLE else 480,
        placeholder="–",
        **options,
    )
    _save(sheet, name, key)
    return shown


def words_box(sheet: Sheet, name: str, *, key: str, shown: Sequence[str] = ()) -> None:
    """Shows a short table whose long cells are wrapped, not cut; below it a menu saves it.

    Args:
        sheet: what is saved.
        name, key: as in `sheet_box`.
        shown: the columns that are shown, in order; default all.
    """
    columns = _columns(sheet)
    st.table(
        {_said(title): [_said(value) for value in columns[title]] for title in shown or columns},
        border="horizontal",
        hide_index=True,
    )
    _save(sheet, name, key)


def _said(value: Value) -> str:
    """A cell as markdown; a figure and its spread stay on one line."""
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
    """An item in a grid: `head` above; `side` is "image" or "text"; a hit, a miss or neither."""

    item: SpaceItem
    head: str
    side: str
    is_hit: bool | None = None


def cards(shown: Iterable[Card]) -> None:
    """A grid of items; a text is shown by its sentences, an image by its picture if it has one."""
    st.html(f'<div class="cmr-cards">{"".join(_card(card) for card in shown)}</div>')


def _card(card: Card) -> str:
    picture = thumbnail(card.item.path) if card.side == "image" else ""
    mark = {True: " cmr-hit", False: " cmr-miss", None: ""}[card.is_hit]
    said = {True: " ✓ hit", False: " ✗ miss", None: ""}[card.is_hit]
    body = [f"<b>{escaped(card.head)}{said}</b>"]
    if card.item.label:
        body.append(f"<br>{escaped(card.item.label)}")
    if not picture and card.item.sentences:
        body.append(f"<p>{escaped(' '.join(card.item.sentences))}</p>")
    body.append(f"<br><small>{escaped(card.item.id)}</small>")
    image = f'<img alt="" src="{escaped(picture)}">' if picture else ""
    return f'<div class="cmr-card{mark}">{image}<div>{"".join(body)}</div></div>'


def figures(shown: Mapping[str, str]) -> None:
    """Single figures with their names, as many in a line as there is room for."""
    with st.container(horizontal=True, gap="medium"):
        for name, value in shown.items():
            st.metric(name, value, width="content")


def colour_keys(names: Sequence[str], colours: Sequence[str]) -> None:
    """One legend for several figures."""
    keys = "".join(
        f'<span style="--key: {escaped(colour)}">{escaped(name)}</span>'
        for name, colour in zip(names, colours, strict=True)
    )
    st.html(f'<div class="cmr-keys">{keys}</div>')
