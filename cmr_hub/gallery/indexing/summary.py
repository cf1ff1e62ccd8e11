"""Summary of an indexing run."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from cmr_hub.atomic import atomic_file

_MOST_KINDS = 12
_MOST_TOLD = 20
_NUMBER = re.compile(r"[0-9][0-9,]*")


@dataclass
class Summary:
    """Results of an indexing run."""

    pictures: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    """Number of rows of missing pictures, by folder without pictures."""
    left_out: int = 0
    """Number of pictures that were skipped because `Gallery.remove` removed them."""
    without_caption: int = 0
    without_image: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    """Reason for each picture that cannot be read, by path."""
    unread_text: dict[str, str] = field(default_factory=dict)
    """Reason for each indexed picture whose text cannot be read, by path."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of each skipped file that is not a supported picture."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of unsafe names, unreadable folders and invalid metadata."""
    told: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of skipped tables, and of columns that are stored with another name or
    type."""

    @property
    def refused(self) -> list[str]:
        """`problems` as lines of text."""
        return [f"{path}: {why}" for path, why in self.problems]

    def write_log(self, file: str | Path) -> None:
        """Write one line per problem: path, tab, reason."""
        every = [*self.unreadable.items(), *self.skipped, *self.problems, *self.told]
        unread = self.unread_text.items()
        every += [(path, f"its text cannot be read: {why}") for path, why in unread]
        with atomic_file(file) as fresh:
            lines = (f"{_cell(path)}\t{_cell(why)}\n" for path, why in every)
            fresh.write_text("".join(lines), encoding="utf-8")

    def text(self, first: int = 3) -> str:
        """Return the summary as text, with the first problems."""
        lines = [
            f"{self.pictures:,} pictures: {self.added:,} added, {self.updated:,} updated, "
            f"{self.moved:,} moved, {self.unchanged:,} unchanged; {self.removed:,} removed",
            f"{self.without_caption:,} without caption, {self.without_image:,} rows without image, "
            f"{len(self.unreadable):,} unreadable",
        ]
        if self.kept:
            folders = ", ".join(f"{folder} ({n:,})" for folder, n in self.kept.most_common(first))
            if len(self.kept) > first:
                folders += f" and {len(self.kept) - first:,} more"
            lines.append(
                f"{self.kept.total():,} pictures no longer exist but remain in the gallery, "
                f"because their folders have no pictures: {folders}. Is a drive not mounted? "
                "`cmr index FOLDER --prune` removes them"
            )
        if self.left_out:
            lines.append(
                f"{self.left_out:,} skipped, because they were removed with `cmr gallery remove`; "
                "--restore adds them again"
            )
        lines += kinds_of([*self.unreadable.items(), *self.skipped])
        lines += [f"{path}: {why}" for path, why in self.told[:_MOST_TOLD]]
        if len(self.told) > _MOST_TOLD:
            lines.append(f"and {len(self.told) - _MOST_TOLD:,} more; --log FILE lists all")
        if self.unread_text:
            path, why = next(iter(self.unread_text.items()))
            lines.append(
                f"the text in {len(self.unread_text):,} pictures cannot be read, e.g. {path}: {why}"
            )
        problems = [f"{path}: {why}" for path, why in self.unreadable.items()] + self.refused
        lines += [f"  {problem}" for problem in problems[:first]]
        if len(problems) > first:
            lines.append(f"  and {len(problems) - first:,} more; --log FILE lists all")
        return "\n".join(lines)


def _cell(text: str) -> str:
    """Escape line breaks, tabs and other control characters, which file names may have."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def kinds_of(skipped: list[tuple[str, str]]) -> list[str]:
    """Count skipped files by extension and reason; return one line per kind."""
    counts = Counter(
        (
            PurePath(path.partition("#t=")[0]).suffix.lower() or "without extension",
            _NUMBER.sub("N", why),
        )
        for path, why in skipped
    )
    kinds = counts.most_common(_MOST_KINDS)
    lines = [f"skipped: {count:,} {ending}: {why}" for (ending, why), count in kinds]
    rest = counts.total() - sum(count for _, count in kinds)
    return [*lines, f"skipped: {rest:,} others"] if rest else lines
