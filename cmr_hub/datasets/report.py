"""Report of a reader, which collects problems and continues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cmr_hub.notebook import html_table

if TYPE_CHECKING:
    from cmr_hub.types import JSONObject

ProblemKind = Literal[
    "broken image",
    "missing image",
    "missing text",
    "missing pair",
    "broken text",
    "empty text",
    "repaired encoding",
    "repaired XML",
    "unsafe XML",
    "damaged record",
    "unread table",
    "changed column",
    "unsafe path",
    "duplicate id",
    "unlisted file",
    "unexpected file",
    "unreadable folder",
    "unread format",
    "not a picture",
    "class size",
    "missing class",
]


@dataclass(frozen=True)
class Problem:
    """A problem with one path (`file:line` for a line of a file)."""

    kind: ProblemKind
    path: str
    detail: str


class ReadReport:
    """Problems found while reading, in order of detection."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._once: set[tuple[ProblemKind, str]] = set()

    def add(self, kind: ProblemKind, path: str | Path, detail: str = "") -> None:
        """Add a problem."""
        self._problems.append(Problem(kind, str(path), detail))

    def add_once(self, kind: ProblemKind, path: str | Path, detail: str) -> None:
        """Add a problem, unless one of the same kind and detail was added by this method."""
        if (kind, detail) not in self._once:
            self._once.add((kind, detail))
            self.add(kind, path, detail)

    def take(self, other: ReadReport, without: Collection[ProblemKind] = ()) -> None:
        """Add the problems of another report, except those of some kinds."""
        self._problems += [problem for problem in other if problem.kind not in without]

    def __len__(self) -> int:
        return len(self._problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of problems by kind, most frequent first."""
        return dict(Counter(problem.kind for problem in self._problems).most_common())

    def summary(self, first: int = 3) -> str:
        """Return a readable summary: the count of every kind, with its `first` few cases."""
        if not self._problems:
            return "no problems"
        lines = [f"{len(self)} problem{'s' if len(self) > 1 else ''}"]
        for kind, count in self.counts.items():
            lines.append(f"  {kind}: {count}")
            cases = [problem for problem in self._problems if problem.kind == kind]
            for case in cases[:first]:
                detail = case.detail if len(case.detail) <= 100 else f"{case.detail[:99]}…"
                lines.append(f"    {case.path}" + (f" ({detail})" if detail else ""))
            if count > first:
                lines.append(f"    and {count - first} more")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        first: dict[str, Problem] = {one.kind: one for one in reversed(self._problems)}
        rows = [(kind, f"{count:,}", first[kind].path) for kind, count in self.counts.items()]
        return html_table(rows, ("problem", "count", "first case"), f"{len(self):,} problems")

    def as_dict(self) -> JSONObject:
        """Return `{"counts": {kind: n}, "problems": [{"kind", "path", "detail"}]}` for JSON."""
        return {"counts": self.counts, "problems": [asdict(problem) for problem in self]}
