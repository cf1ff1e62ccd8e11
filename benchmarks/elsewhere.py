"""Peers that need other versions than the package, each in a separate environment.

`python benchmarks/elsewhere.py` creates the environments in ~/.cache/cmr-hub-peers. If one is
missing, its peer is left out.
"""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rows import Took

HOME = Path.home() / ".cache" / "cmr-hub-peers"
REQUIREMENTS = {
    "rclip": ["rclip==3.3.0"],
    "clip-retrieval": ["clip-retrieval==2.45.0", "setuptools<81"],
    "sentence-transformers": ["sentence-transformers[onnx]", "onnxruntime"],
}
LOOP = """
import sys, time
for _ in sys.stdin:
    started = time.perf_counter()
    work()
    print(f"took {time.perf_counter() - started}", flush=True)
"""


class Elsewhere:
    """A process in another environment that runs a function on request."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name, self.process = name, process

    @classmethod
    @contextmanager
    def open(cls, name: str, program: str) -> Iterator[Elsewhere | None]:
        """Start `program`, which defines `work`; return None if the environment is missing."""
        if not python(name).exists():
            print(f"{name} is left out: python benchmarks/elsewhere.py makes its environment")
            yield None
            return
        with subprocess.Popen(
            [python(name), "-c", program + LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield cls(name, process)
            process.terminate()

    def work(self) -> Took:
        """Run the function once and return the seconds."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("took "):
                return Took(line.split()[1])
        raise RuntimeError(f"{self.name} has stopped")

    def version(self, package: str) -> str:
        return version(self.name, package)


def python(name: str) -> Path:
    """Return the interpreter of an environment."""
    return HOME / name / "bin" / "python"


def version(name: str, package: str) -> str:
    """Return the version of a package in the environment."""
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python(name), "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    for name, requirements in REQUIREMENTS.items():
        if not python(name).exists():
            venv.create(HOME / name, with_pip=True)
        done = subprocess.run([python(name), "-m", "pip", "install", *requirements], check=False)
        print(f"{name}: {'there' if done.returncode == 0 else 'could not be installed'}")


if __name__ == "__main__":
    main()
