"""Write `results/coverage.json`: the share of the lines that the tests run.

`make coverage` runs the tests and then this file, which reads their `.coverage`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from coverage import Coverage

RESULT = Path("results/coverage.json")


def main() -> None:
    """Count lines by folder of the package, of the scripts, of the sketches, and in total."""
    measured = Coverage()
    measured.load()
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file in sorted(measured.get_data().measured_files()):
        _, lines, _, missing, _ = measured.analysis2(file)
        place, *parts = Path(file).resolve().relative_to(Path.cwd()).parts
        if place == "cmr_hub":
            place = parts[0] if len(parts) > 1 else "."
        for name in ("all", place):
            counts[name][0] += len(lines)
            counts[name][1] += len(lines) - len(missing)
    report = {
        name: {"lines": lines, "run": run, "share": round(run / lines, 4)}
        for name, (lines, run) in sorted(counts.items())
        if lines
    }
    RESULT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{report['all']['share']:.1%} of {report['all']['lines']} lines are run")


if __name__ == "__main__":
    main()
