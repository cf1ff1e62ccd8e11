"""Build a Docker Space that shows the dashboard of a folder of results.

The Hub runs Streamlit only in Docker.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from cmr_hub.atomic import atomic_directory
from cmr_hub.errors import DataNotFoundError
from cmr_hub.hub.bundle import (
    MADE_BY,
    copy_files,
    copy_package,
    files_in,
    refuse_foreign,
    requirements,
)

PORT: Final = 8501
APP: Final = "cmr_hub/apps/dashboard/app.py"
_SETTINGS: Final = ".streamlit/config.toml"
COMMAND: Final = (
    *("streamlit", "run", APP, "--server.headless=true"),
    *("--server.address=0.0.0.0", f"--server.port={PORT}"),
)
_DOCKERFILE: Final = f"""FROM python:3.11-slim
# The Hub runs a Space as this user.
RUN useradd --create-home --uid 1000 user
USER user
ENV PATH=/home/user/.local/bin:$PATH PYTHONPATH=/home/user/app
WORKDIR /home/user/app
COPY --chown=user requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY --chown=user . .
EXPOSE {PORT}
CMD {json.dumps(COMMAND)}
"""
_README: Final = """---
{{ card_data }}
---

# Results of CMR Hub

An interactive dashboard of the study, the training runs and the common space, {{ made_by }} of CMR
Hub.

Everything is under Apache-2.0 (`LICENSE`).
"""


def build_dashboard_space(out: str | Path, results: Path) -> Path:
    """Write a folder with Dockerfile, pinned requirements, the package and the results.

    Args:
        out: a new or empty directory, or an earlier Space made by `cmr space`.
        results: folder filled by `cmr train`, `cmr ablate` and `cmr report`.

    Raises:
        DataNotFoundError: there are no results.
        CMRError: `out` contains anything else.
    """
    from huggingface_hub import SpaceCard, SpaceCardData

    refuse_foreign(Path(out))
    files = files_in(results)
    if not files:
        raise DataNotFoundError(f"there are no results in {results}: pass the folder with them")
    data = SpaceCardData(
        title="Results of CMR Hub",
        emoji="📊",
        colorFrom="indigo",
        colorTo="gray",
        sdk="docker",
        app_port=PORT,
        license="apache-2.0",
    )
    with atomic_directory(out) as fresh:
        card = SpaceCard.from_template(data, template_str=_README, made_by=MADE_BY)
        (fresh / "README.md").write_text(str(card), encoding="utf-8")
        (fresh / "Dockerfile").write_text(_DOCKERFILE, encoding="utf-8")
        needed = "".join(f"{line}\n" for line in requirements("dashboard", "study"))
        (fresh / "requirements.txt").write_text(needed, encoding="utf-8")
        copy_files(files, fresh / "results")
        copy_package(fresh, releases=True)
        # Streamlit reads the settings in its working directory.
        (fresh / _SETTINGS).parent.mkdir()
        (fresh / _SETTINGS).write_bytes((fresh / Path(APP).parent / _SETTINGS).read_bytes())
    return Path(out)
