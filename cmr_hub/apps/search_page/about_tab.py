"""Build the About tab: the model card, and how to call the model from a program."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gradio as gr

from cmr_hub.apps.search_page.card import shown_card
from cmr_hub.apps.search_page.query_options import MAX_LETTERS
from cmr_hub.apps.search_page.uploads import MAX_PICTURE_BYTES
from cmr_hub.errors import CMRError
from cmr_hub.models.card import model_card
from cmr_hub.models.names import CARD

if TYPE_CHECKING:
    from cmr_hub.models.cross_modal import CrossModalModel

MAX_CARD_BYTES: Final = 100_000
"""Maximum size of a card. One crafted to be slow takes two seconds to render at this size."""
MAX_CARD_PICTURES_BYTES: Final = 8_000_000
"""Maximum size of all pictures of a card together: every visit loads them with the page."""

_FRONT_MATTER: Final = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_PICTURE: Final = re.compile(r"!\[([^\[\]]*)\]\(([\w.-]+(?:/[\w.-]+)*\.png)\)")
_PROGRAMS: Final = """
## From Python

```python
{opened}
for hit in {searched}.search("two red buses on a street", k=5):
    print(hit.rank, f"{{hit.score:.3f}}", hit.path)
```

## As a service

Three endpoints, with the limits of the page ({letters:,} characters, pictures up to {size} MB) and
JSON answers. Pictures in an answer are URLs relative to this page.

| | input | output |
|---|---|---|
| `/search_text` | `text`, `count` = 10, `without` = "", `clear` = 0 | `pictures`, \
`sentences`, `unknown_words`, `note` |
| `/search_image` | `picture`, `text` = "", `count` = 10 | as `/search_text` |
| `/encode` | `text` or `picture` | `vector`, `dim`, `model` |

```sh
curl -G {url}/search_text -d count=5 --data-urlencode 'text=two red buses'
curl '{url}/search_image?count=5' --data-binary @bus.jpg
curl -G {url}/encode --data-urlencode 'text=two red buses'
```

The same with a queue, through Gradio's client:

```python
from gradio_client import Client, handle_file

client = Client("{url}")
client.predict("two red buses", 5, "", api_name="/search_text")
client.predict(handle_file("bus.jpg"), "at night", 5, api_name="/search_image")
client.predict("two red buses", None, api_name="/encode")["vector"]
```

If the page was started with `cmr demo --mcp`, it is also an MCP server at
`{url}/gradio_api/mcp/`, and the three endpoints are its tools.

## Links

[ACMR, Wang et al. 2017](https://doi.org/10.1145/3123266.3123326) ·
[Gradio's clients](https://www.gradio.app/docs/python-client/introduction)
"""


def about_tab(
    model: CrossModalModel, name: str, card: Path | None, gallery: str | None = None
) -> None:
    """Build the tab.

    Args:
        model: the model of the page.
        name: the model's name or path, as `load` accepts it.
        card: directory of the model card and its pictures; if there is none, a card is made from
            the model's training record.
        gallery: directory or address of the gallery, as `open_gallery` accepts it; None for the
            model's own.
    """
    if gallery is None:
        opened, searched = f"from cmr_hub import load\n\nmodel = load({name!r})", "model"
    else:
        opened = f"from cmr_hub.loading import open_gallery\n\ngallery = open_gallery({gallery!r})"
        searched = "gallery"

    def programs_text(request: gr.Request) -> str:
        # The URL in the visitor's browser, not the address that the server listens on.
        url = str(request.request.base_url).rstrip("/")
        size = MAX_PICTURE_BYTES // 2**20
        return _PROGRAMS.format(
            opened=opened, searched=searched, url=url, letters=MAX_LETTERS, size=size
        )

    text = shown_card(card_of(model, name, card))
    gr.HTML(text, elem_classes=["about", "prose"], elem_id="about-card")
    programs = gr.Markdown(elem_classes="about", elem_id="about-programs")
    gr.on(None, programs_text, None, programs, api_visibility="private", show_progress="hidden")


def card_of(model: CrossModalModel, name: str, directory: Path | None) -> str:
    """Return the model card without its front matter and with its pictures inlined.

    The card may come from a stranger: it is not shown if it is too large, and neither are pictures
    beyond `MAX_CARD_PICTURES_BYTES` in total or outside the directory.
    """
    if directory is None or not _can_be_shown(directory / CARD):
        title = Path(name).name
        try:
            text = str(model_card(model, title=title, load_name=name))
        except CMRError as error:
            # A model without a card can still be searched.
            return f"# {title}\n\nThis model has no card: {error}."
        return _FRONT_MATTER.sub("", text)
    text = (directory / CARD).read_text(encoding="utf-8", errors="replace")
    budget = MAX_CARD_PICTURES_BYTES

    def inlined(found: re.Match[str]) -> str:
        nonlocal budget
        picture = _picture(directory, found[2], budget)
        if picture is None:
            return found[1]
        budget -= len(picture)
        return f"![{found[1]}](data:image/png;base64,{b64encode(picture).decode()})"

    return _PICTURE.sub(inlined, _FRONT_MATTER.sub("", text))


def _can_be_shown(card: Path) -> bool:
    return card.is_file() and card.stat().st_size <= MAX_CARD_BYTES


def _picture(directory: Path, name: str, max_bytes: int) -> bytes | None:
    """Return the content of a file of the directory; None if it is missing or too large."""
    path = (directory / name).resolve()
    try:
        if path.is_relative_to(directory.resolve()) and path.stat().st_size <= max_bytes:
            return path.read_bytes()
    except OSError:  # missing, a folder, or an invalid file name
        pass
    return None
