"""How long does `import cmr_hub` take, beside a bare `import numpy`?

Each time in a new process, which says how long the import took, the libraries turn by turn.

    python benchmarks/importing.py
"""

from __future__ import annotations

import subprocess
import sys

from turns import beside, record

ROUNDS = 5
TIMED = "import time; started = time.perf_counter(); {}; print(time.perf_counter() - started)"
# sentence-transformers imports torchvision, which may need help: cmr_hub.encoders.torchvision_ops.
IMPORTS = {
    "cmr_hub": "import cmr_hub",
    "numpy": "import numpy",
    "sentence_transformers": (
        "from cmr_hub.encoders.torchvision_ops import ensure_torchvision; ensure_torchvision(); "
        "import sentence_transformers"
    ),
}


def timed(statement: str) -> float:
    """Seconds that a statement takes in a new process."""
    command = [sys.executable, "-c", TIMED.format(statement)]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def main() -> None:
    rounds = [
        {name: timed(statement) for name, statement in IMPORTS.items()} for _ in range(ROUNDS + 1)
    ][1:]  # the first fills the machine's file cache
    times = {name: [taken[name] for taken in rounds] for name in IMPORTS}
    row = {
        name: beside(times["cmr_hub"], times[name], f"import {name}")
        for name in ("numpy", "sentence_transformers")
    }
    print(row)
    record("importing", row)


if __name__ == "__main__":
    main()
