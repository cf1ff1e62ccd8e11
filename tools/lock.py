"""`make lock`: writes the lock files from requirements.txt and requirements-dev.txt.

What is locked already stays as it is where it can; `--upgrade` brings it up to date.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tools.locked import CUDA, DEV, HOME, RUN, Locked, parse, read, write

# Only PyPI's builds of torch for Linux need these.
_CUDA_PREFIXES: Final = ("nvidia-", "cuda-", "triton")
_MADE: Final = "Made by `make lock`; do not edit."


def compile_lock(requirements: Path, preferred: Iterable[Locked]) -> list[Locked]:
    """Resolves a requirements file for all platforms and all versions of Python from 3.11 on.

    Args:
        requirements: the file.
        preferred: versions to keep where that is possible.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        out.write_text("".join(map(str, preferred)), encoding="utf-8")
        subprocess.run(
            ["uv", "pip", "compile", requirements.name, "--output-file", out, "--quiet",
             "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header",
             "--fork-strategy", "fewest"],
            cwd=HOME, check=True,
        )  # fmt: skip
        return parse(out.read_text(encoding="utf-8"))


def main(*, upgrade: bool) -> None:
    old = [] if upgrade else read(*(path for path in (RUN, CUDA, DEV) if path.exists()))
    everything = compile_lock(HOME / "requirements-dev.txt", old)
    run = compile_lock(HOME / "requirements.txt", everything)

    versions = {(entry.name, entry.version) for entry in everything}
    different = [entry.name for entry in run if (entry.name, entry.version) not in versions]
    if different:
        raise SystemExit(f"users and developers would get different {', '.join(different)}")
    named = {str(entry.requirement) for entry in run}
    cuda = [entry for entry in run if entry.name.startswith(_CUDA_PREFIXES)]
    write(
        RUN,
        f"All that requirements.txt needs, on every platform. {_MADE}\n"
        "With PyPI's torch on Linux, requirements-cuda.lock is needed too.",
        [entry for entry in run if entry not in cuda],
    )
    write(CUDA, f"What PyPI's builds of torch for Linux need besides. {_MADE}", cuda)
    more = [entry for entry in everything if str(entry.requirement) not in named]
    write(DEV, f"What requirements-dev.txt needs besides. {_MADE}", more, after=RUN)


if __name__ == "__main__":
    main(upgrade="--upgrade" in sys.argv)
