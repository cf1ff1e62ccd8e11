"""Parse training logs of ACMR's released code, of the 2019 project and of `acmr-released`."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import Final

from cmr_hub.experiments.curves import Curve

# No two adjacent parts match the same characters, so that matching takes linear time.
_NUMBER: Final = r"\s*([-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|nan|inf))"
_NAMES: Final[tuple[str, ...]] = ("emb_loss", "domain_loss", "label_loss", "triplet_loss")
_AFTER_TRIPLET: Final[tuple[str, ...]] = ("v_pos", "v_neg", "w_pos", "w_neg")
"""Names of the four numbers after `triplet_loss`."""
_EPOCH: Final = re.compile(r"epoch\s*(?::\s*)?\[\s*(\d{1,9})\s*\]?", re.IGNORECASE)
_STEP: Final = re.compile(r"\[\s*(\d{1,9})\s*/\s*(\d{1,9})\s*\]")
_FIGURE: Final = {
    name: re.compile(rf"{name}\s*:{_NUMBER}", re.IGNORECASE) for name in (*_NAMES, "time")
}
_TRIPLET: Final = re.compile(rf"triplet_loss\s*:{_NUMBER}" + rf"\s*,{_NUMBER}" * 4, re.IGNORECASE)

_SHOWN: Final = 10
MAX_LETTERS: Final = 20_000_000


def parse_acmr_log(text: str) -> tuple[Curve | None, list[str]]:
    """Parse the training curve of a log.

    Only lines that contain `emb_loss` are read:

        Epoch: [ 1][ 5/33] time: 1.25, emb_loss: 3067.69, domain_loss: 1.84, Label_loss: 4.94,
        triplet_loss: 2573.6, 322.9, 323.0, 322.9, 332.75

    The x value of a line is its epoch, plus step / steps if it has a step, or its number among
    these lines if it has no epoch. Lines with the same x value are averaged.

    Returns:
        The curve, or None if no line can be read; and at most ten messages about damaged lines.
    """
    sums: defaultdict[float, list[dict[str, float]]] = defaultdict(list)
    problems: list[str] = []
    if len(text) > MAX_LETTERS:
        return None, [f"the log has {len(text):,} characters; at most {MAX_LETTERS:,} are read"]
    found = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if "emb_loss" not in line.lower():
            continue
        found += 1
        figures = {name: match for name in _FIGURE if (match := _FIGURE[name].search(line))}
        missing = [name for name in _NAMES if name not in figures]
        if missing:
            problems.append(f"line {number} is left out: no {', '.join(missing)}")
            continue
        values = {name: float(match[1]) for name, match in figures.items()}
        rest = _TRIPLET.search(line)
        if rest:
            values |= dict(zip(_AFTER_TRIPLET, map(float, rest.groups()[1:]), strict=True))
        sums[_position(line, found)].append(values)
    hidden = len(problems) - _SHOWN
    if hidden > 0:
        problems = [*problems[:_SHOWN], f"and {hidden} more lines"]
    if not sums:
        return None, problems or ["there is no line with emb_loss"]
    places = sorted(sums)
    known = {name for lines in sums.values() for values in lines for name in values}
    names = [name for name in (*_NAMES, *_AFTER_TRIPLET, "time") if name in known]
    columns = {name: [_mean(sums[place], name) for place in places] for name in names}
    return Curve("log", places, columns), problems


def _position(line: str, number: int) -> float:
    epoch, step = _EPOCH.search(line), _STEP.search(line)
    if epoch is None:
        return float(number)
    if step is None or int(step[2]) < 1:
        return float(epoch[1])
    return int(epoch[1]) + min(int(step[1]) / int(step[2]), 1.0)


def _mean(lines: list[dict[str, float]], name: str) -> float | None:
    values = [line[name] for line in lines if math.isfinite(line.get(name, math.nan))]
    return sum(values) / len(values) if values else None
