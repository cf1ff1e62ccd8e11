"""Build the About tab: the model card, and how to call the model from a program."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr
from markdown_it import MarkdownIt

from cmr_hub.apps.search_page.query_options import MAX_LETTERS, QueryOptions
from cmr_hub.apps.search_page.uploads import MAX_PICTURE_BYTES
from cmr_hub.errors import CMRError
from cmr_hub.models.card import model_card
from cmr_hub.models.names import CARD
from cmr_hub.outside import shortened

if TYPE_CHECKING:
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

    from cmr_hub.apps.search_page.engine import Engine
    from cmr_hub.models.cross_modal import CrossModalModel

MAX_CARD_BYTES: Final = 100_000
"""Maximum size of a card. A card crafted to be slow takes two seconds to render at this size."""
MAX_CARD_PICTURES_BYTES: Final = 8_000_000
"""Maximum total size of the pictures of a card, because every visit loads all of them."""

_INLINED: Final = "data:image/png;base64,"
# Gradio's components would interpret these characters as templates or markup.
_MARKS: Final = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})
_FRONT_MATTER: Final = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_PICTURE: Final = re.compile(r"!\[([^\[\]]*)\]\(([\w.-]+(?:/[\w.-]+)*\.png)\)")
_PLAIN: Final = re.compile(r"[\w ,-]+")
_PROGRAMS: Final = """
## From Python

```python
{opened}
for hit in {searched}.search({example!r}, k=5):
    print(hit.rank, f"{{hit.score:.3f}}", hit.path)
```

## As a service

Responses are JSON. Texts have at most {letters:,} characters, and pictures at most {size} MB.
URLs of pictures are relative to this page. [/openapi.json]({url}/openapi.json) describes the API.

| | |
|---|---|
| `/search` | {parameters} |
| `/encode` | returns the vector of `text`, or of a picture in the body |
| `/facets` | returns the columns and their values, for `where` |
| `/item/ID`, `/health` | return one item, and the status of the page |

```sh
curl -G {url}/search -d count=5 --data-urlencode 'text={example}'
curl '{url}/search?count=5' --data-binary @picture.jpg
curl -G {url}/encode --data-urlencode 'text={example}'
```

Gradio's client offers the same with a queue:

```python
from gradio_client import Client, handle_file

client = Client("{url}")
client.predict(text={example!r}, count=5, api_name="/search")
client.predict(image=handle_file("picture.jpg"), api_name="/search")
client.predict(text={example!r}, api_name="/encode")["vector"]
```

If the page was started with `cmr demo --mcp`, it is also an MCP server at
`{url}/gradio_api/mcp/`, with the tools `search`, `encode`, `facets` and `item`.

## Links

[ACMR, Wang et al. 2017](https://doi.org/10.1145/3123266.3123326) ·
[Gradio's clients](https://www.gradio.app/docs/python-client/introduction)
"""


def about_tab(
    engine: Engine, name: str, card: Path | None, gallery: str | None, examples: Sequence[str]
) -> None:
    """Build the tab.

    Args:
        engine: the engine of the page.
        name: the model's name or path, as `load` accepts it.
        card: directory of the model card and its pictures; default: create a card from the model's
            training record.
        gallery: directory or address of the gallery, as `open_gallery` accepts it; None for the
            model's own.
        examples: example queries for this gallery.
    """
    if gallery is None:
        opened, searched = f"from cmr_hub import load\n\nmodel = load({name!r})", "model"
    else:
        opened = f"from cmr_hub.loading import open_gallery\n\ngallery = open_gallery({gallery!r})"
        searched = "gallery"
    example = next(filter(_PLAIN.fullmatch, examples), "a dog on a beach")

    def programs_text(request: gr.Request) -> str:
        # Show the URL in the visitor's browser, not the address that the server listens on.
        return _PROGRAMS.format(
            opened=opened,
            searched=searched,
            example=example,
            url=str(request.request.base_url).rstrip("/"),
            letters=MAX_LETTERS,
            parameters=", ".join(f"`{field}`" for field in QueryOptions.model_fields),
            size=MAX_PICTURE_BYTES // 2**20,
        )

    text = shown_card(card_of(engine.model, name, card))
    if gallery is not None:
        text = _gallery_text(engine, gallery, name) + text
    gr.HTML(text, elem_classes=["about", "prose"], elem_id="about-card")
    programs = gr.Markdown(elem_classes="about", elem_id="about-programs")
    gr.on(None, programs_text, None, programs, api_visibility="private", show_progress="hidden")


def _gallery_text(engine: Engine, gallery: str, name: str) -> str:
    counts, facets = engine.gallery.store.vector_counts, engine.facets
    facts = {
        "pictures": f"{counts.get('image', 0):,}",
        "with sentences": f"{counts['text']:,}" if "text" in counts else None,
        "model": name,
        "folder": facets.root if engine.is_private else None,
        "taken": facets.dates and " to ".join(facets.dates),
        "columns": ", ".join(key for key, facet in facets.columns.items() if facet["count"]),
    }
    rows = "".join(
        f"<tr><td>{html.escape(key)}</td><td>{html.escape(shortened(value))}</td></tr>"
        for key, value in facts.items()
        if value
    )
    text = f"<h1>{html.escape(Path(gallery).name)}</h1><table><tbody>{rows}</tbody></table>"
    return text.translate(_MARKS)


def card_of(model: CrossModalModel, name: str, directory: Path | None) -> str:
    """Return the model card without its front matter and with its pictures inlined.

    The card is untrusted. It is not shown if it is larger than `MAX_CARD_BYTES`. Pictures are not
    shown if they exceed `MAX_CARD_PICTURES_BYTES` in total or are outside the directory.
    """
    file = Path() if directory is None else directory / CARD
    if directory is None or not file.is_file() or file.stat().st_size > MAX_CARD_BYTES:
        title = Path(name).name
        try:
            text = str(model_card(model, title=title, load_name=name))
        except CMRError as error:
            # A model without a card can still be used for search.
            return f"# {title}\n\nThis model has no card: {error}."
        return _FRONT_MATTER.sub("", text)
    text = file.read_text(encoding="utf-8", errors="replace")
    budget = MAX_CARD_PICTURES_BYTES

    def inlined(found: re.Match[str]) -> str:
        nonlocal budget
        picture = _picture(directory, found[2], budget)
        if picture is None:
            return found[1]
        budget -= len(picture)
        return f"![{found[1]}](data:image/png;base64,{b64encode(picture).decode()})"

    return _PICTURE.sub(inlined, _FRONT_MATTER.sub("", text))


def _picture(directory: Path, name: str, max_bytes: int) -> bytes | None:
    """Return the content of a file in the directory, or None if it is missing or too large."""
    path = (directory / name).resolve()
    try:
        if path.is_relative_to(directory.resolve()) and path.stat().st_size <= max_bytes:
            return path.read_bytes()
    except OSError:  # missing, a folder, or an invalid file name
        pass
    return None


def shown_card(text: str) -> str:
    """Render Markdown as HTML with only text, tables, links and inlined pictures.

    HTML in the Markdown is escaped, so that a card cannot add a form, style or overlay to the page.
    Descriptions replace pictures on other servers, so that a card makes no request.
    """
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("table")
    parser.add_render_rule("image", _shown_picture)
    parser.add_render_rule("link_open", _shown_link)
    return str(parser.render(text)).translate(_MARKS)


def _shown_picture(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any
) -> str:
    description = html.escape(renderer.renderInlineAsText(tokens[at].children or [], options, env))
    source = str(tokens[at].attrGet("src") or "")
    if not source.startswith(_INLINED):
        return description
    return f'<img src="{html.escape(source)}" alt="{description}">'


def _shown_link(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any
) -> str:
    tokens[at].attrs.update(target="_blank", rel="noopener noreferrer nofollow")
    return renderer.renderToken(tokens, at, options, env)
