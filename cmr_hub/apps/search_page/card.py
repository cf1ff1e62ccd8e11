"""Render a model card safely: it may come from a stranger."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

_INLINED: Final = "data:image/png;base64,"
# Gradio's components would interpret these as templates or markup.
_MARKS: Final = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})


def shown_card(text: str) -> str:
    """Render Markdown as HTML that has only text, tables, links and inlined pictures.

    HTML in the Markdown is escaped, so a card can add no form, style or overlay to the page.
    Pictures on other servers are replaced by their descriptions: showing a card makes no request.
    """
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("table")
    parser.add_render_rule("image", _picture)
    parser.add_render_rule("link_open", _link)
    return str(parser.render(text)).translate(_MARKS)


def _picture(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any
) -> str:
    description = html.escape(renderer.renderInlineAsText(tokens[at].children or [], options, env))
    source = str(tokens[at].attrGet("src") or "")
    if not source.startswith(_INLINED):
        return description
    return f'<img src="{html.escape(source)}" alt="{description}">'


def _link(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    tokens[at].attrs.update(target="_blank", rel="noopener noreferrer nofollow")
    return renderer.renderToken(tokens, at, options, env)
