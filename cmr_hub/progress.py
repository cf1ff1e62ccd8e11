"""How far long work is: a bar in a terminal, and a line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

_STEPS = 5  # a line each fifth of the way
_SECONDS = 60.0  # and whenever nothing was said for so long


class Meter:
    """Tells how far work is, on the standard error stream.

    Args:
        total: pieces of work.
        what: the work, for people.
        unit: a piece of it.
        done: pieces that were done before.
        show: False says nothing.
    """

    def __init__(
        self, total: int, what: str, unit: str, *, done: int = 0, show: bool = True
    ) -> None:
        self._total, self._what, self._unit, self._done = total, what, unit, done
        self._bar = None
        self._lines = show and not sys.stderr.isatty()
        if show and not self._lines:
            self._bar = tqdm(total=total, initial=done, desc=what, unit=unit)
        self._figures = ""
        self._told, self._told_at = done, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, count: int = 1, **figures: float) -> None:
        """So many more pieces are done; `figures` are shown beside."""
        self._done += count
        self._figures = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        if self._bar is not None:
            self._bar.set_postfix_str(self._figures, refresh=False)
            self._bar.update(count)
        if not self._lines:
            return
        step = (self._done - self._told) * _STEPS >= self._total
        if step or self._done >= self._total or time.monotonic() - self._told_at > _SECONDS:
            self._tell()

    def write(self, line: str) -> None:
        """Prints a line of the work itself."""
        if self._bar is not None:
            self._bar.write(line)
        elif self._lines:
            print(line)

    def _tell(self) -> None:
        beside = f"; {self._figures}" if self._figures else ""
        line = f"{self._what}: {self._unit} {self._done} of {self._total}{beside}"
        print(line, file=sys.stderr, flush=True)
        self._told, self._told_at = self._done, time.monotonic()
