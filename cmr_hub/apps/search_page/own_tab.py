"""Build the My pictures tab, which searches a visitor's pictures within the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import gradio as gr

from cmr_hub.apps.search_page import components
from cmr_hub.apps.search_page.engine import Engine
from cmr_hub.apps.search_page.limits import address_of
from cmr_hub.apps.search_page.panel import search_panel
from cmr_hub.apps.search_page.query_options import sentence
from cmr_hub.apps.search_page.replies import hint
from cmr_hub.apps.search_page.sessions import MAX_BYTES, MAX_PICTURES, Progress, Sessions
from cmr_hub.apps.search_page.visitor_files import VisitorFolder
from cmr_hub.datasets.metadata import IMAGE_ENDINGS
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.types import JSONObject

_SUFFIXES: Final = ["image", *IMAGE_ENDINGS, ".zip"]
_PROMISE: Final = (
    f"Upload up to {MAX_PICTURES} pictures or a zip file of pictures, {MAX_BYTES // 2**20} MB in "
    "total. Only you can see them, and they are removed when you leave."
)
_EMPTY: Final = "Describe one of your pictures, or choose a picture to find similar ones."
_SHOWN_PROBLEMS: Final = 5
_READING: Final = 3
"""Number of visitors whose uploads are read concurrently; `decoding` limits the pixels."""


def own_tab(sessions: Sessions, files: VisitorFolder) -> None:
    """Build the tab.

    Args:
        sessions: the sessions of all visitors.
        files: the folder of their uploads.
    """

    def engine(request: gr.Request) -> Engine:
        own = sessions.find(request.session_hash)
        if own is None or not len(own.engine.gallery):
            raise QueryError("you have not added any pictures yet; upload some above")
        return own.engine

    def add(paths: list[Path], request: gr.Request) -> Iterator[tuple[Any, JSONObject, Any]]:
        """Read uploads, and yield updates of the upload box, the progress and the search."""
        if not paths:
            return
        try:
            own = sessions.open(request.session_hash, address_of(request.request.scope))
            yield gr.skip(), hint("Reading …"), gr.skip()
            for progress in own.add(paths):
                text = _progress_text(progress, len(own.engine.gallery), is_done=False)
                yield gr.skip(), hint(text), gr.skip()
            total = len(own.engine.gallery)
            text = _progress_text(progress, total, is_done=True)
            yield None, hint(text), gr.Column(visible=total > 0)
        except CMRError as error:
            yield None, hint(sentence(error)), gr.skip()
        finally:
            # The session has copies.
            files.remove(str(path) for path in paths)

    def forget(request: gr.Request) -> tuple[Any, JSONObject, JSONObject, None]:
        sessions.close(request.session_hash)
        return gr.Column(visible=False), hint("Your pictures were removed."), hint(_EMPTY), None

    upload = components.files_box("own-files", "Drop pictures or a zip here", _SUFFIXES)
    notice = components.results("own-notice", panel="own-notice", hint=_PROMISE)
    with gr.Column(visible=False) as search:
        panel = search_panel(
            "own",
            engine,
            placeholder="Search your pictures",
            empty=_EMPTY,
        )
        remove = gr.Button("Remove my pictures", size="sm", elem_classes="plain")
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    outputs = [upload, notice, search]
    added = upload.upload(
        add, upload, outputs, concurrency_id="own", concurrency_limit=_READING, **quiet
    )
    added.then(panel.handlers.ask, panel.inputs, panel.outputs, **quiet)
    remove.click(forget, None, [search, notice, *panel.outputs], **quiet)


def _progress_text(progress: Progress, total: int, *, is_done: bool) -> str:
    noun = "picture" if progress.added == 1 else "pictures"
    lines = [f"{progress.added} new {noun}, {total} in total{'.' if is_done else ' …'}"]
    if progress.is_full:
        lines.append(f"At most {MAX_PICTURES} pictures can be searched in one visit.")
    lines += [sentence(QueryError(reason)) for reason in progress.refused[:_SHOWN_PROBLEMS]]
    more = len(progress.refused) - _SHOWN_PROBLEMS
    if more > 0:
        lines.append(f"{more} more could not be read.")
    return "\n".join(lines)
