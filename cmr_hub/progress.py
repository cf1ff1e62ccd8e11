"""Progress of long-running work: a bar in a terminal, occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

_STEPS = 5  # number of lines in total
_SECONDS = 60.0  # maximum time without a line


class Meter:
    """Progress report on standard error.

    Args:
        total: number of units of work.
        what: description of the work.
        unit: name of a unit.
        done: number of units that are already done.
        show: False disables all output.
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
        self._reported, self._reported_at = done, time.monotonic()

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
        """Count units as done; `figures` are shown with the progress."""
        self._done += count
        self._figures = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        if self._bar is not None:
            self._bar.set_postfix_str(self._figures, refresh=False)
            self._bar.update(count)
        if not self._lines:
            return
        step = (self._done - self._reported) * _STEPS >= self._total
        if step or self._done >= self._total or time.monotonic() - self._reported_at > _SECONDS:
            self._report()

    def write(self, line: str) -> None:
        """Print a line without disturbing the bar."""
        if self._bar is not None:
            self._bar.write(line)
        elif self._lines:
            print(line)

    def _report(self) -> None:
        figures = f"; {self._figures}" if self._figures else ""
        line = f"{self._what}: {self._unit} {self._done} of {self._total}{figures}"
        print(line, file=sys.stderr, flush=True)
        self._reported, self._reported_at = self._done, time.monotonic()
