"""Links point to existing files and headings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import DOCUMENTS, HOME, LINK, anchors, prose


@pytest.mark.parametrize("page", DOCUMENTS)
def test_links(page) -> None:
    for target in LINK.findall(prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (HOME / page).parent / path if path else HOME / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(file.resolve().relative_to(HOME).as_posix()), target


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [HOME / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.is_file():
                waiting.append(path)
    assert set(HOME.glob("docs/*.md")) <= seen


def test_every_picture_is_shown() -> None:
    shown = {
        ((HOME / page).parent / target).resolve()
        for page in DOCUMENTS
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", prose(page))
    }
    assert set(HOME.glob("docs/*.png")) <= shown
