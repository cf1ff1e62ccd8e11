"""Write `results/mutation.json`: the number of mutants of metrics and losses that the tests kill.

`make mutation` runs mutmut and then this file. A mutant is the code with one small fault. A
surviving mutant is a gap in the tests, or equivalent to the code for a reason in
`equivalent_mutants.toml`.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from mutmut.__main__ import find_mutant, get_diff_for_mutant
from mutmut.stats import status_by_exit_code

MUTANTS = Path("mutants")
RESULT = Path("results/mutation.json")
REASONS = Path(__file__).with_name("equivalent_mutants.toml")


def changed_lines(name: str) -> tuple[str, str]:
    """Return the lines of a mutant before and after the change."""
    lines = get_diff_for_mutant(name, path=find_mutant(name).path).splitlines()
    before, after = (
        " ".join(
            line[1:].strip()
            for line in lines
            if line[:1] == sign and line[:3] not in ("---", "+++")
        )
        for sign in "-+"
    )
    return before, after


def main() -> int:
    """Return 1 if a mutant survives without a reason."""
    reasons = {
        (entry["file"], entry["before"], after): entry["why"]
        for entry in tomllib.loads(REASONS.read_text(encoding="utf-8"))["equivalent"]
        for after in entry["after"]
    }
    files: dict[str, dict[str, int]] = {}
    survivors: list[dict[str, Any]] = []
    for meta in sorted(MUTANTS.rglob("*.py.meta")):
        file = meta.relative_to(MUTANTS).as_posix().removesuffix(".meta")
        codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        found = Counter(status_by_exit_code[code] for code in codes.values())
        caught = found["killed"] + found["timeout"]
        if codes:
            files[file] = {"mutants": len(codes), "killed": caught, "survived": len(codes) - caught}
        for name, code in codes.items():
            if status_by_exit_code[code] in ("killed", "timeout"):
                continue
            before, after = changed_lines(name)
            why = reasons.get((file, before, after))
            survivors.append({"file": file, "before": before, "after": after, "why": why})
    total = {
        key: sum(row[key] for row in files.values()) for key in ("mutants", "killed", "survived")
    }
    report = {**total, "files": files, "survivors": survivors}
    RESULT.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    unexplained = [row for row in survivors if row["why"] is None]
    for row in unexplained:
        print(f"{row['file']}\n  - {row['before']}\n  + {row['after']}")
    print(f"{total['killed']} of {total['mutants']} mutants killed; ", end="")
    print(f"{len(survivors) - len(unexplained)} survivors explained, {len(unexplained)} not")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
