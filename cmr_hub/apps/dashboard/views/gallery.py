"""Gallery map page: show a gallery as a map and search it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import streamlit as st

from cmr_hub.apps.dashboard.maps import map_settings, maps_of, places_of, show_map, stages_of
from cmr_hub.apps.dashboard.sources import (
    SpaceSource,
    gallery,
    source_facts,
    sources,
    space,
    thumbnail,
    zero_shot_spaces,
)
from cmr_hub.apps.dashboard.text import literal, nothing
from cmr_hub.apps.dashboard.widgets import Card, cards, choice, sample_note
from cmr_hub.errors import CMRError
from cmr_hub.experiments.space import SpaceItem
from cmr_hub.plots.space import map_limits, space_map

if TYPE_CHECKING:
    from cmr_hub.experiments.space import Space
    from cmr_hub.hit import Hit
    from cmr_hub.types import Modality

_TARGETS: Final[dict[Modality, str]] = {"image": "pictures", "text": "texts"}
_MOST_LETTERS: Final = 2_000
_DATASET: Final = "label"


def page() -> None:
    """Show the selection of a gallery, and its map."""
    st.title("Gallery map")
    found = sources().gallery_directories()
    if not found:
        nothing(
            "There is no gallery; add one with `--model DIR`.",
            "cmr index photos --out photos-index",
        )
        return
    name = st.selectbox("Gallery", list(found), key="gallery", bind="query-params")
    source = SpaceSource(f"gallery {name}", model=found[name])
    try:
        shown = space(source)
    except CMRError as error:
        st.error(literal(error))
        return
    _body(source, shown)


@st.fragment
def _body(source: SpaceSource, shown: Space) -> None:
    columns = st.columns([3, 1, 1], vertical_alignment="bottom")
    text = columns[0].text_input(
        "Search",
        key="q",
        bind="query-params",
        placeholder="two red buses on a street at night",
        max_chars=_MOST_LETTERS,
    )
    target = choice(columns[1], "among", _TARGETS, "among")
    count = columns[2].number_input("hits", 1, 50, 10, key="hits", bind="query-params")
    hits = _search(source, text, target, int(count))
    sample_note(shown)
    options = map_settings(len(shown.rows))
    maps = maps_of(stages_of(source_facts(source), shown), options, "gallery")
    name, coloured = _coloured(source, shown)
    if maps is not None:
        figure = space_map(
            coloured,
            maps[-1],
            "class" if coloured.classes else "modality",
            limits=map_limits(maps),
            marked=places_of(shown, [hit.id for hit in hits], target),
        )
        show_map(coloured, replace(source, name=name), figure, f"{name} {options.method}")
    if hits:
        st.header("Hits")
        cards(
            Card(
                SpaceItem(hit.id, hit.label, hit.path, hit.sentences),
                f"{hit.rank}. {hit.score:.3f}",
                "image" if thumbnail(hit.path) and target == "image" else "text",
            )
            for hit in hits
        )


def _coloured(source: SpaceSource, shown: Space) -> tuple[str, Space]:
    """Return the space with the selected labels, and a name that identifies both."""
    named = zero_shot_spaces(source, shown)
    if not named:
        return source.name, shown
    spaces = ({_DATASET: shown} if shown.classes else {}) | named
    column = st.selectbox(
        "Colour by",
        list(spaces),
        key="column",
        bind="query-params",
        help="The original label of a picture, or the one that `cmr label` predicted.",
    )
    return f"{source.name} {column}", spaces[column]


def _search(source: SpaceSource, text: str, target: Modality, count: int) -> list[Hit]:
    if not text.strip() or source.model is None:
        return []
    try:
        return gallery(source.model).search(text.strip(), count, target)
    except CMRError as error:
        st.warning(literal(error))
        return []


page()
