"""What an indexing run did."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Summary:
    """Counts of one run; `unreadable` by path with the reason, `refused` with path and reason."""

    pictures: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    without_caption: int = 0
    without_image: int = 0
    other_formats: dict[str, int] = field(default_factory=dict)
    """By ending the pictures of formats that are not read."""
    unreadable: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    """Names that lead out of the folder or cannot be kept, folders that cannot be read, and
    metadata that cannot be understood."""

    def text(self, first: int = 3) -> str:
        """For a person, with the `first` few of what went wrong."""
        lines = [
            f"{self.pictures:,} pictures: {self.added:,} added, {self.updated:,} updated, "
            f"{self.moved:,} moved, {self.unchanged:,} unchanged; {self.removed:,} removed",
            f"{self.without_caption:,} without caption, {self.without_image:,} rows without image, "
            f"{len(self.unreadable):,} unreadable",
        ]
        if self.other_formats:
            counts = ", ".join(f"{n:,} {ending}" for ending, n in self.other_formats.items())
            lines.append(f"passed over, since the format is not read: {counts}; convert to JPEG")
        problems = [f"{path}: {why}" for path, why in self.unreadable.items()] + self.refused
        lines += [f"  {problem}" for problem in problems[:first]]
        if len(problems) > first:
            lines.append(f"  and {len(problems) - first:,} more")
        return "\n".join(lines)
