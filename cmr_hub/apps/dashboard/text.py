"""Escape names and messages, so that pages never interpret them as markup."""

from __future__ import annotations

import re
from typing import Final

import streamlit as st

STYLE: Final = """<style>
.block-container { max-width: 1240px; padding: 3.2rem clamp(1rem, 3vw, 3rem) 4rem; }
h1 { font-weight: 600 !important; letter-spacing: -.01em; }
h2, h3 { font-weight: 600 !important; }
.cmr-cards { display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(148px, 1fr)); }
.cmr-card { border: 1px solid rgba(127,127,127,.3); border-radius: .5rem; overflow: hidden;
  font-size: .82rem; line-height: 1.35; display: flex; flex-direction: column; }
.cmr-card img { width: 100%; aspect-ratio: 4 / 3; object-fit: cover; display: block;
  background: rgba(127,127,127,.12); }
.cmr-card div { padding: .4rem .55rem .5rem; overflow-wrap: anywhere; }
.cmr-card b { font-weight: 600; }
.cmr-card small { opacity: .75; font-size: .78rem; }
.cmr-card p { margin: .15rem 0 0; display: -webkit-box; -webkit-line-clamp: 4; line-clamp: 4;
  -webkit-box-orient: vertical; overflow: hidden; }
.cmr-hit { border-left: 5px solid #0072B2; }
.cmr-miss { border-left: 5px solid #D55E00; }
.cmr-keys { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; font-size: .88rem; }
.cmr-keys span::before { content: ""; display: inline-block; width: 1.5rem; height: .28rem;
  border-radius: 2px; background: var(--key); margin-right: .45rem; vertical-align: middle; }
</style>"""

_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:^=&])")


def literal(text: object) -> str:
    """Escape text for Markdown."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def problems(found: list[str], where: str) -> None:
    """Warn about unreadable entries of a file, with the error messages in an expander."""
    if not found:
        return
    count = f"{len(found)} damaged {'entry' if len(found) == 1 else 'entries'}"
    st.warning(
        f"{count} of {literal(where)} skipped; all others are shown.", icon=":material/warning:"
    )
    with st.expander("Errors"):
        st.text("\n".join(found[:200]))


def nothing(reason: str, *commands: str) -> None:
    """Show why a page is empty, and commands that create content."""
    st.info(reason, icon=":material/inbox:")
    if commands:
        st.code("\n".join(commands), language="sh")
