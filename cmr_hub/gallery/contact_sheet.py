"""A self-contained HTML page that shows the hits of a search."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from cmr_hub.errors import ImageError
from cmr_hub.gallery.duplicates import Duplicates, facts_of
from cmr_hub.hit import Hit
from cmr_hub.outside import shortened

_SIDE = 320
_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
main { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); }
figure { margin: 0; }
figure div { aspect-ratio: 4 / 3; background: color-mix(in srgb, currentColor 8%, transparent);
  display: grid; place-items: center; border-radius: 6px; overflow: hidden; }
img { width: 100%; height: 100%; object-fit: cover; }
figcaption { font-size: .85rem; line-height: 1.4; margin-top: .4rem; overflow-wrap: anywhere; }
small { opacity: .7; }
"""


class Hits(list[Hit]):
    """Hits of a search, best first, which a notebook displays with their pictures."""

    def _repr_html_(self) -> str:
        # In an iframe, so that the style of the page does not change the notebook.
        page = html.escape(contact_sheet(self, f"{len(self)} hits"), quote=True)
        height = 120 + 270 * -(-len(self) // 4)
        style = f"width: 100%; height: {height}px; border: 0"
        return f'<iframe srcdoc="{page}" style="{style}"></iframe>'


def contact_sheet(
    hits: Sequence[Hit],
    title: str,
    nothing: str = "Nothing was found.",
    notes: Sequence[str] = (),
) -> str:
    """Return a self-contained HTML page, which needs no other file and no network.

    Args:
        hits: hits in the order of the page.
        title: title of the page.
        nothing: text of a page without hits.
        notes: sentences below the title.
    """
    tiles = "\n".join(_tile(hit) for hit in hits) or f"<p>{html.escape(nothing)}</p>"
    return _page(title, notes, f"<main>\n{tiles}\n</main>")


def duplicates_sheet(groups: Sequence[Duplicates], title: str, notes: Sequence[str] = ()) -> str:
    """Return a page like `contact_sheet`, with a section for each group of duplicates."""
    sections = []
    for number, group in enumerate(groups, 1):
        tiles = "\n".join(
            _figure(hit, "", [html.escape(" · ".join(filter(None, facts_of(hit))))])
            for hit in group.hits
        )
        sections.append(f"<h2>{number}. {group.kind}</h2>\n<main>\n{tiles}\n</main>")
    return _page(title, notes, "\n".join(sections) or "<p>There are no duplicates.</p>")


def _page(title: str, notes: Sequence[str], body: str) -> str:
    name = html.escape(title)
    paragraphs = "\n".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{name}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{name}</h1>\n{paragraphs}"
        f"{body}</body></html>\n"
    )


def _tile(hit: Hit) -> str:
    caption = shortened(" ".join(hit.sentences[:1]))
    label = f"{shortened(hit.label)} · " if hit.label else ""
    clear = "" if hit.z is None else f" · stands out {hit.z:.1f}"
    more = f" · and {hit.duplicates:,} more" if hit.duplicates else ""
    first = f"{hit.rank}. {html.escape(label)}{hit.score:.3f}{clear}{more}"
    return _figure(hit, caption, [first, html.escape(caption)])


def _figure(hit: Hit, alt: str, lines: Sequence[str]) -> str:
    """Return a picture with a caption: lines of HTML, followed by the path."""
    path = f"<small>{html.escape(str(hit.path or hit.id))}</small>"
    return (
        f"<figure><div>{_picture(hit.path, alt)}</div><figcaption>"
        f"{'<br>'.join(filter(None, [*lines, path]))}</figcaption></figure>"
    )


def _picture(path: Path | None, caption: str) -> str:
    if path is None:
        return "no picture"
    from cmr_hub.datasets.images import read_image

    try:
        image = read_image(path, enough=_SIDE)
    except ImageError:
        return "the picture cannot be read"
    image.thumbnail((_SIDE, _SIDE))
    data = BytesIO()
    image.save(data, "JPEG", quality=80)
    source = b64encode(data.getvalue()).decode()
    return f'<img alt="{html.escape(caption, quote=True)}" src="data:image/jpeg;base64,{source}">'
