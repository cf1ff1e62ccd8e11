"""Run jobs in separate processes, so that the page stays responsive."""

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
from typing import TypeVar

from cmr_hub.atomic import atomic_file, storing
from cmr_hub.errors import CMRError

T = TypeVar("T")


@dataclass(frozen=True)
class JobState:
    """The state of a job.

    Attributes:
        is_running: whether the job is running.
        share: completed fraction of the work, in [0, 1].
        problem: error message; empty if the job has not failed.
    """

    is_running: bool
    share: float = 0.0
    problem: str = ""


class Background:
    """Run `python -m MODULE ...` once per key and report its progress.

    Args:
        folder: folder for progress files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        atexit.register(self.stop_all)

    def state(self, key: str, command: Callable[[], Sequence[str]]) -> JobState:
        """Return the state of a job; start the job if it is not running.

        The end of a job is reported once. The next call starts the job again.

        Args:
            key: name of the job.
            command: returns the arguments after `python -m`.
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
                    # Busy-waiting threads would take cores from the page and from each other.
                    env={"OMP_WAIT_POLICY": "passive", **os.environ},
                )
                return JobState(is_running=True)
            message = self._message(key)
            exit_code = process.poll()
            if exit_code is None:
                return JobState(is_running=True, share=_share(message) or 0.0)
            del self._running[key]
        if exit_code == 0:
            return JobState(is_running=False, share=1.0)
        is_reason = message and _share(message) is None
        problem = (
            message
            if is_reason
            else "the background process stopped unexpectedly; reload the page to try again"
        )
        return JobState(is_running=False, problem=problem)

    def result(
        self, key: str, read: Callable[[], T | None], command: Callable[[], Sequence[str]]
    ) -> tuple[T | None, JobState]:
        """Return the stored result of a job, or None and the state of the started job.

        Args:
            key: name of the job.
            read: returns the stored result, or None if it is missing or damaged.
            command: see `state`.
        """
        finished = JobState(is_running=False, share=1.0)
        result = read()
        if result is None:
            job = self.state(key, command)
            if job.is_running or job.problem:
                return None, job
            result = read()
            if result is None:  # the file was damaged in the meantime
                return None, self.state(key, command)
        return result, finished

    def stop(self, key: str) -> None:
        """Stop a job."""
        with self._lock:
            process = self._running.pop(key, None)
        if process is not None:
            process.terminate()
            process.wait()

    def stop_all(self) -> None:
        """Stop all jobs."""
        for key in list(self._running):
            self.stop(key)

    def _message(self, key: str) -> str:
        try:
            return progress_file(self.folder, key).read_text(encoding="utf-8")
        except OSError:
            return ""


def progress_file(folder: Path, key: str) -> Path:
    """Return the file to which a process writes its progress or its error message."""
    return folder / f"{key}.progress"


def work(folder: Path, key: str, do: Callable[[Callable[[float], None]], None]) -> None:
    """Run a job in its process; `do` receives a function that reports the completed fraction.

    The message of a CMRError becomes the problem of the job, and the process exits with 1.
    """
    file = progress_file(folder, key)

    def report(share: float) -> None:
        with atomic_file(file) as path:
            path.write_text(f"{share:.3f}", encoding="utf-8")

    try:
        do(report)
    except CMRError as error:
        with suppress(OSError):  # the error may be a full disk
            file.write_text(str(error), encoding="utf-8")
        sys.exit(1)
    file.unlink(missing_ok=True)


def _share(message: str) -> float | None:
    try:
        return min(max(float(message), 0.0), 1.0)
    except ValueError:
        return None
