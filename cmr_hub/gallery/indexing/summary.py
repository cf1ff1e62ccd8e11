"""The summary of an indexing run."""

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
    """The results of one run."""

    pictures: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    """Number of rows of pictures that no longer exist, by folder without any picture."""
    left_out: int = 0
    """Number of pictures that `Gallery.remove` removed."""
    without_caption: int = 0
    without_image: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    """Reason by path of each picture that cannot be read."""
    unread_text: dict[str, str] = field(default_factory=dict)
    """Reason by path of each picture that is indexed, but whose text cannot be read."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of each file that was not tried, because it is no picture that is read."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of unsafe names, unreadable folders and invalid metadata."""
    told: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of tables that were passed over, and of columns that are kept under another
    name or type."""

    @property
    def refused(self) -> list[str]:
        """The lines of `problems`."""
        return [f"{path}: {why}" for path, why in self.problems]

    def write_log(self, file: str | Path) -> None:
        """Write all that was passed over, a line each: path, tab, reason."""
        every = [*self.unreadable.items(), *self.skipped, *self.problems, *self.told]
        unread = self.unread_text.items()
        every += [(path, f"its text cannot be read: {why}") for path, why in unread]
        with atomic_file(file) as fresh:
            lines = (f"{_cell(path)}\t{_cell(why)}\n" for path, why in every)
            fresh.write_text("".join(lines), encoding="utf-8")

    def text(self, first: int = 3) -> str:
        """Return the summary as text, with the first few problems."""
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
                f"{self.kept.total():,} pictures no longer exist and stay in the gallery, since no "
                f"picture is left in these folders: {folders}. Is a drive not mounted? "
                "`cmr index FOLDER --prune` removes them"
            )
        if self.left_out:
            lines.append(
                f"{self.left_out:,} left out, since they were removed with `cmr gallery remove`; "
                "--restore brings them back"
            )
        lines += kinds_of([*self.unreadable.items(), *self.skipped])
        lines += [f"{path}: {why}" for path, why in self.told[:_MOST_TOLD]]
        if len(self.told) > _MOST_TOLD:
            lines.append(f"and {len(self.told) - _MOST_TOLD:,} more; --log FILE names them all")
        if self.unread_text:
            path, why = next(iter(self.unread_text.items()))
            lines.append(
                f"the text of {len(self.unread_text):,} pictures cannot be read, such as {path}: "
                f"{why}"
            )
        problems = [f"{path}: {why}" for path, why in self.unreadable.items()] + self.refused
        lines += [f"  {problem}" for problem in problems[:first]]
        if len(problems) > first:
            lines.append(f"  and {len(problems) - first:,} more; --log FILE names them all")
        return "\n".join(lines)


def _cell(text: str) -> str:
    """Escape line breaks, tabs and other control characters, which a file name may have."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def kinds_of(passed_over: list[tuple[str, str]]) -> list[str]:
    """Return lines that count what was passed over by extension and reason."""
    counts = Counter(
        (
            PurePath(path.partition("#t=")[0]).suffix.lower() or "without extension",
            _NUMBER.sub("N", why),
        )
        for path, why in passed_over
    )
    kinds = counts.most_common(_MOST_KINDS)
    lines = [f"passed over: {count:,} {ending}: {why}" for (ending, why), count in kinds]
    rest = counts.total() - sum(count for _, count in kinds)
    return [*lines, f"passed over: {rest:,} others"] if rest else lines
