"""Parse the documentation: code blocks, commands, links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in HOME.glob("docs/*.md")))
DOCUMENTS = (*PAGES, "CHANGELOG.md")
"""`PAGES` and the pages without commands."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"# file: (\S+)\n")


@dataclass(frozen=True)
class Block:
    """A code block: its page, line, language and text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """Return the path to which the block is written, if any."""
        found = FILE.match(self.text)
        return found[1] if found else None


def text_of(page: str) -> str:
    return (HOME / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    text = text_of(page)
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[1], found[2])
        for found in FENCE.finditer(text)
    ]


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a shell block, with continuation lines and here-documents."""
    lines = iter(text.splitlines(keepends=True))
    for line in lines:
        command = line
        while command.endswith("\\\n"):
            command += next(lines)
        if end := re.search(r"<<'(\w+)'", line):
            while not command.endswith(f"\n{end[1]}\n"):
                command += next(lines)
        if command.strip():
            yield command


def plain(command: str) -> str:
    """Join a command into one line and remove its comment."""
    return re.sub(r"\s+#.*$", "", " ".join(command.replace("\\\n", " ").split()))


def every_command() -> Iterator[tuple[str, str]]:
    """Yield (page, command) for all shell blocks."""
    for page in PAGES:
        for block in blocks(page):
            if block.language == "sh":
                for command in commands(block.text):
                    yield page, plain(command)


def prose(page: str) -> str:
    """Return the text of a page without code blocks."""
    return FENCE.sub("", text_of(page))


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub generates for the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    names = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {name.replace(" ", "-") for name in names}
