"""Run `cmr` in processes that are killed, interrupted or limited at a chosen point.

One process imports the heavy libraries and forks a child for each command. The children can be
killed, and no command has to wait seconds for imports. No library code except the imports runs
before the fork.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PRELOADED = (
    "cmr_hub.cli",
    "cmr_hub.encoders.images.mobilenet_v2",
    "cmr_hub.experiments.ablate",
    "cmr_hub.experiments.run",
    "cmr_hub.experiments.report",
    "cmr_hub.gallery.build",
    "cmr_hub.gallery.indexing.index",
    "cmr_hub.loading",
    "cmr_hub.plots.results",
    "scipy.io",
)
STOPPED = "stopped; finished work is kept\n"


@dataclass(frozen=True)
class Cut:
    """A fault that is injected when a command calls a function.

    Attributes:
        at: the function, as `module:name` or `module:Class.name`.
        do: `kill` (SIGKILL to this process), `stop` (SIGINT to the process group, as Ctrl-C does),
            `fill` (fill the disk of `path`) or `wait` (create `path` and wait until it is removed).
        nth: the number of the call that triggers the fault.
        after: whether the fault occurs after the function has run; otherwise before.
        of: count only calls whose arguments contain this text.
        path: for `fill`, the file that fills the disk, or empty to limit the size of all files
            instead; for `wait`, the file to wait for.
    """

    at: str
    do: str = "kill"
    nth: int = 1
    after: bool = False
    of: str = ""
    path: str = ""

    def arm(self) -> None:
        """Replace the function with a wrapper that injects the fault."""
        module, _, name = self.at.partition(":")
        owner: Any = importlib.import_module(module)
        *classes, name = name.split(".")
        for each in classes:
            owner = getattr(owner, each)
        function, calls = getattr(owner, name), 0

        def cut(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += self.of in " ".join(map(str, (*arguments, *named.values())))
            if calls != self.nth:
                return function(*arguments, **named)
            calls += 1
            if not self.after:
                self._do()
            result = function(*arguments, **named)
            if self.after:
                self._do()
            return result

        is_static = isinstance(inspect.getattr_static(owner, name), staticmethod)
        setattr(owner, name, staticmethod(cut) if is_static else cut)

    def _do(self) -> None:
        match self.do:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.killpg(0, signal.SIGINT)
                time.sleep(30)  # the signal interrupts this in the main thread
            case "fill" if self.path:
                fill(Path(self.path))
            case "fill":
                resource.setrlimit(resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
            case "wait":
                place = Path(self.path)
                place.touch()
                while place.exists():
                    time.sleep(0.01)
            case _:
                raise ValueError(self.do)


def fill(ballast: Path) -> None:
    """Fill the remaining space of the disk."""
    block = bytes(2**16)
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(block):
            pass


@dataclass(frozen=True)
class Ended:
    """The result of a command: its exit code (negative for a signal) and its output."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """Return the single line of an error that a user can fix."""
        assert self.code == 2, self.err
        assert "Traceback" not in self.err
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return line


@dataclass
class Running:
    """A running command."""

    pid: int
    out: Path
    err: Path
    ended: Callable[[int], int]

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Send SIGINT to the process group, as Ctrl-C does."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self) -> Ended:
        """Wait for the command to finish and return its result."""
        code = self.ended(self.pid)
        return Ended(code, self.out.read_text(), self.err.read_text())


@dataclass
class Cmr:
    """Start commands and store their output in `home`."""

    home: Path
    process: subprocess.Popen[str]
    count: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, home: Path) -> Cmr:
        """Start the process that imports the libraries."""
        process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return cls(home, process)

    def end(self) -> None:
        """Stop the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def start(
        self,
        *arguments: object,
        cut: Cut | None = None,
        sets: Mapping[str, object] | None = None,
        answer: str = "",
        commands: str = "cmr_hub.cli",
        **environment: str,
    ) -> Running:
        """Start `cmr ARGUMENTS`; `sets` maps module variables, `module:name`, to values.

        `commands` is the module whose `app` contains the commands.
        """
        self.count += 1
        out, err = (self.home / f"{self.count}.{kind}" for kind in ("out", "err"))
        for file in (out, err):
            file.touch()
        reply = self._send(
            {
                "arguments": [*map(str, arguments)],
                "cut": None if cut is None else asdict(cut),
                "sets": dict(sets or {}),
                "answer": answer,
                "commands": commands,
                "environment": self.environment | environment,
                "out": str(out),
                "err": str(err),
                "cwd": os.getcwd(),  # noqa: PTH109
            }
        )
        return Running(reply, out, err, lambda pid: self._send({"wait": pid}))

    def __call__(self, *arguments: object, **options: Any) -> Ended:
        return self.start(*arguments, **options).wait()

    def _send(self, request: Mapping[str, object]) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def _serve() -> None:
    for module in PRELOADED:
        importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    while line := sys.stdin.readline():
        request = json.loads(line)
        if "wait" in request:
            reply = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            reply = os.fork()
            if not reply:
                _run(request)
        print(reply, file=answers, flush=True)


def _run(request: Mapping[str, Any]) -> None:
    """Run a command in the forked child."""
    code = 1
    try:
        os.setsid()
        read, write = os.pipe()
        os.write(write, request["answer"].encode())
        os.close(write)
        os.dup2(read, 0)
        sys.stdin = os.fdopen(0)
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(request[name], os.O_WRONLY | os.O_CREAT, 0o644)
            os.dup2(file, number)
            os.close(file)
        os.environ.update(request["environment"])
        os.chdir(request["cwd"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for place, value in request["sets"].items():
            module, _, name = place.partition(":")
            owner = importlib.import_module(module)
            getattr(owner, name)  # fail if the variable does not exist
            setattr(owner, name, value)
        if request["cut"] is not None:
            Cut(**request["cut"]).arm()
        sys.argv = ["cmr", *request["arguments"]]
        from cmr_hub import cli

        cli.main(importlib.import_module(request["commands"]).app)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.path.insert(1, str(Path(__file__).parents[2]))  # the directory of `scripts`
    _serve()
