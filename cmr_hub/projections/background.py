"""Work in processes of its own, so that the page that asks for it goes on."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cmr_hub.atomic import atomic_file, storing
from cmr_hub.errors import CMRError


@dataclass(frozen=True)
class JobState:
    """Where a piece of work stands.

    Attributes:
        is_running: it is being done.
        share: that is done, in [0, 1].
        problem: why it failed; empty if it did not.
    """

    is_running: bool
    share: float = 0.0
    problem: str = ""


class Background:
    """Starts `python -m MODULE ...` once for each key, and asks how it goes.

    Args:
        folder: where progress is told.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        atexit.register(self.stop_all)

    def state(self, key: str, command: Callable[[], Sequence[str]]) -> JobState:
        """Starts the work if nobody has, with the arguments after `python -m`.

        Work that has ended is told of once; asked for again, it is started again.
        """
        with self._lock:
            process = self._running.get(key)
            if process is None:
                try:
                    with storing(self.folder):
                        self.folder.mkdir(parents=True, exist_ok=True)
                        progress_file(self.folder, key).unlink(missing_ok=True)
                    arguments = command()
                except CMRError as error:
                    return JobState(is_running=False, problem=str(error))
                self._running[key] = subprocess.Popen(  # noqa: S603 - this program itself
                    [sys.executable, "-m", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    # Threads that wait actively take the cores from the page and from each other.
                    env={"OMP_WAIT_POLICY": "passive", **os.environ},
                )
                return JobState(is_running=True)
            said = self._said(key)
            ended = process.poll()
            if ended is None:
                return JobState(is_running=True, share=_share(said) or 0.0)
            del self._running[key]
        if ended == 0:
            return JobState(is_running=False, share=1.0)
        is_reason = said and _share(said) is None
        problem = said if is_reason else "the process that computed it ended too early"
        return JobState(is_running=False, problem=problem)

    def stop(self, key: str) -> None:
        """Ends work that nobody waits for any more."""
        with self._lock:
            process = self._running.pop(key, None)
        if process is not None:
            process.terminate()
            process.wait()

    def stop_all(self) -> None:
        """Ends all work."""
        for key in list(self._running):
            self.stop(key)

    def _said(self, key: str) -> str:
        try:
            return progress_file(self.folder, key).read_text(encoding="utf-8")
        except OSError:
            return ""


def progress_file(folder: Path, key: str) -> Path:
    """Where a process tells how far it is and, at the end, what went wrong."""
    return folder / f"{key}.progress"


def work(folder: Path, key: str, do: Callable[[Callable[[float], None]], None]) -> None:
    """What the process does: `do` is given a function to tell the share that is done.

    A CMRError becomes the job's problem, and the process ends with 1.
    """
    file = progress_file(folder, key)

    def tell(share: float) -> None:
        with atomic_file(file) as path:
            path.write_text(f"{share:.3f}", encoding="utf-8")

    try:
        do(tell)
    except CMRError as error:
        with suppress(OSError):  # the disk may be what is full
            file.write_text(str(error), encoding="utf-8")
        sys.exit(1)
    file.unlink(missing_ok=True)


def _share(said: str) -> float | None:
    try:
        return min(max(float(said), 0.0), 1.0)
    except ValueError:
        return None
