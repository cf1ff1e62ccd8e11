"""A model card as a page may show it: anybody may have written it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

_OWN: Final = "data:image/png;base64,"
# The page's parts would take these for programs of their own.
_MARKS: Final = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})


def shown_card(text: str) -> str:
    """Markdown as HTML, of nothing but text, tables, links and the card's own pictures.

    HTML in it is shown letter by letter: no form, no style, nothing that lies over the page. Of a
    picture elsewhere only the description is left, so that reading a card asks no other machine.
    """
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("table")
    parser.add_render_rule("image", _picture)
    parser.add_render_rule("link_open", _link)
    return str(parser.render(text)).translate(_MARKS)


def _picture(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any
) -> str:
    told = html.escape(renderer.renderInlineAsText(tokens[at].children or [], options, env))
    source = str(tokens[at].attrGet("src") or "")
    return f'<img src="{html.escape(source)}" alt="{told}">' if source.startswith(_OWN) else told


def _link(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    tokens[at].attrs.update(target="_blank", rel="noopener noreferrer nofollow")
    return renderer.renderToken(tokens, at, options, env)
