"""What a page shows, as a test reads it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

from cmr_hub.experiments.run_groups import grouped
from cmr_hub.experiments.run_index import run_index


def figure(app: AppTest, place: int = 0) -> dict[str, Any]:
    """What a Plotly figure of a page was drawn from."""
    return json.loads(app.get("plotly_chart")[place].proto.spec)


def numbers(column: Any) -> list[float]:
    """A column of a figure; Plotly packs long ones."""
    if isinstance(column, dict):
        return np.frombuffer(base64.b64decode(column["bdata"]), column["dtype"]).tolist()
    return list(column)


def key_of(results: Path, texts: str) -> str:
    groups = grouped(run_index(results / "runs.jsonl"))
    return next(group.key for group in groups if group.factors["texts"] == texts)


def words(app: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "text", "header")
    return "\n".join(str(part.value) for kind in kinds for part in app.get(kind))


def frames(app: AppTest) -> list[list[list[str]]]:
    """The tables of a page, their headers first, as one reads them."""
    return [
        [[plain(name) for name in frame.value.columns], *map(_cells, frame.value.to_numpy())]
        for frame in (*app.table, *app.dataframe)
    ]


def _cells(row: Iterable[object]) -> list[str]:
    return [plain(value) for value in row]


def plain(text: object) -> str:
    """Without what keeps signs from being markup, and with spaces of one kind."""
    return str(text).replace("\\", "").replace("\N{NO-BREAK SPACE}", " ")
