"""Processes that run cells side by side, one thread each."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from cmr_hub.errors import CMRError
from cmr_hub.evaluation.cells import Finished, Materials, Workbench

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from cmr_hub.evaluation.plan import Cell

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_all(
    cells: Sequence[Cell], materials: Materials, workers: int
) -> Generator[tuple[Cell, Finished | str]]:
    """Every cell with its result, or with what went wrong, in the order they end.

    Closing the generator ends the processes.
    """
    waiting = list(reversed(cells))
    with _one_thread_each():
        pool = [_Worker(materials) for _ in range(workers)]
        try:
            busy: dict[Connection, _Worker] = {}
            for worker in pool:
                worker.start(waiting.pop())
                busy[worker.connection] = worker
            while busy:
                for connection in wait(list(busy)):
                    worker = busy.pop(connection)  # type: ignore[call-overload]
                    yield worker.result()
                    if waiting:
                        worker.start(waiting.pop())
                        busy[worker.connection] = worker
        finally:
            for worker in pool:
                worker.stop()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started within take one core each, in every library: they read this on import."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Worker:
    """A process that runs one cell at a time. One that dies takes its cell along, no other."""

    def __init__(self, materials: Materials) -> None:
        self.materials = materials
        self.cell: Cell | None = None
        self._launch()

    def _launch(self) -> None:
        # Not forked: threads of torch do not live through a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, self.materials), daemon=True
        )
        self.process.start()
        theirs.close()  # so that its death ends the connection

    def start(self, cell: Cell) -> None:
        if not self.process.is_alive():
            self.connection.close()
            self._launch()
        self.cell = cell
        with suppress(ConnectionError):  # it died: `result` says so
            self.connection.send(cell)

    def result(self) -> tuple[Cell, Finished | str]:
        cell, self.cell = self.cell, None
        if cell is None:
            raise RuntimeError("no cell was started")
        try:
            finished: Finished | str = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            finished = (
                f"its process died (exit code {self.process.exitcode}); with too little memory, "
                "take fewer --workers"
            )
        return cell, finished

    def stop(self) -> None:
        self.connection.close()  # an idle one ends by that
        if self.cell is not None:
            self.process.terminate()
        self.process.join()


def _work(connection: Connection, materials: Materials) -> None:
    """A worker's life. It ends with the connection, so none outlives the runner for long."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's
    tqdm.set_lock(threading.RLock())  # its own would outlive a process that is ended
    logging.getLogger("cmr_hub").setLevel(logging.ERROR)  # what is wrong with the data is told once
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - no terminal, no bars within the bar
    workbench = Workbench(materials)
    with suppress(EOFError, ConnectionError):
        while True:
            cell: Cell = connection.recv()
            finished: Finished | str
            try:
                finished = workbench.run(cell)
            except CMRError as error:
                finished = str(error)
            except Exception:  # whatever it is, the other cells go on
                finished = traceback.format_exc()
            connection.send(finished)
