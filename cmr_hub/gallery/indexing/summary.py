"""The summary of an indexing run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Summary:
    """The results of one run."""

    pictures: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    without_caption: int = 0
    without_image: int = 0
    other_formats: dict[str, int] = field(default_factory=dict)
    """Number of pictures of unsupported formats by extension."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Reason by path of each picture that cannot be read."""
    refused: list[str] = field(default_factory=list)
    """Path and reason of unsafe names, unreadable folders and invalid metadata."""

    def text(self, first: int = 3) -> str:
        """Return the summary as text, with the first few problems."""
        lines = [
            f"{self.pictures:,} pictures: {self.added:,} added, {self.updated:,} updated, "
            f"{self.moved:,} moved, {self.unchanged:,} unchanged; {self.removed:,} removed",
            f"{self.without_caption:,} without caption, {self.without_image:,} rows without image, "
            f"{len(self.unreadable):,} unreadable",
        ]
        if self.other_formats:
            counts = ", ".join(f"{n:,} {ending}" for ending, n in self.other_formats.items())
            lines.append(f"skipped, since the format is not supported: {counts}; convert to JPEG")
        problems = [f"{path}: {why}" for path, why in self.unreadable.items()] + self.refused
        lines += [f"  {problem}" for problem in problems[:first]]
        if len(problems) > first:
            lines.append(f"  and {len(problems) - first:,} more")
        return "\n".join(lines)
