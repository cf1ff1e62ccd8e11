"""Build a Gradio Space: the search page of one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cmr_hub.atomic import atomic_directory
from cmr_hub.errors import CMRError, HubError
from cmr_hub.hub.bundle import (
    MADE_BY,
    copy_files,
    copy_package,
    refuse_foreign,
    requirements,
    version_here,
)
from cmr_hub.hub_download import is_repository
from cmr_hub.hub_errors import hub_errors, with_retries
from cmr_hub.models.card_data import about
from cmr_hub.models.config import EncoderConfig, ModelConfig, read_config
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.files import model_files
from cmr_hub.models.names import CONFIG, GALLERY, PICTURES

PYTHON: Final = "3.11"
_APP_FILE: Final = "app.py"
_APP: Final = '''"""The search page of {name}, made with `cmr space build`."""

import os

from cmr_hub.apps.search_page import launch

launch(
    {name!r},
    revision={revision!r},
    host="0.0.0.0",
    port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
)
'''
_README: Final = """---
{{ card_data }}
---

# {{ title }}

Type a sentence to find pictures, or upload a picture to find sentences and similar pictures. The
page uses the model {{ model }} and was {{ made_by }} of CMR Hub.

The code in `cmr_hub/` is under Apache-2.0 (`LICENSE`). {{ terms }}
"""


def build_space(
    out: str | Path,
    model: str | Path,
    *,
    revision: str | None = None,
    allow_download: bool = False,
) -> Path:
    """Write a folder with the page, pinned requirements, the package and the model.

    Args:
        out: a new or empty directory, or an earlier Space made by `cmr space`.
        model: a model directory, which is copied, or a repository on the Hub, `user/name`, which
            the Space downloads when it is built.
        revision: revision of the repository; the Space is pinned to its current commit.
        allow_download: download the encoder of a model directory to check that it exists.

    Raises:
        CMRError: `out` contains anything else, or the model has no gallery with pictures.
        ModelFormatError, HubError: the model cannot be read.
    """
    refuse_foreign(Path(out))
    with atomic_directory(out) as fresh:
        if Path(model).is_dir():
            _with_model(fresh, Path(model), allow_download=allow_download)
        elif isinstance(model, str) and is_repository(model):
            _with_repository(fresh, model, revision)
        else:
            raise CMRError(
                f"{model} is neither a model directory nor a repository on the Hub (user/name)"
            )
        copy_package(fresh, releases=False)
    return Path(out)


def extras_for(*encoders: EncoderConfig | None) -> tuple[str, ...]:
    """Return the extras that the search page of a model with these encoders needs."""
    is_pretrained = any(encoder.is_pretrained for encoder in encoders if encoder is not None)
    return ("demo", "clip") if is_pretrained else ("demo",)


def _with_model(fresh: Path, directory: Path, *, allow_download: bool) -> None:
    CrossModalModel.from_pretrained(directory, allow_download=allow_download)
    if not (directory / GALLERY).is_dir() or not (directory / PICTURES).is_dir():
        raise CMRError(
            f"{directory} has no gallery with pictures to search: load the model and save it "
            "with model.save_pretrained(..., pictures=True)"
        )
    copy_files({name: directory / name for name in model_files(directory)}, fresh / "model")
    config = read_config(directory / CONFIG)
    _write_page(fresh, "model", None, directory.resolve().name, config)


def _with_repository(fresh: Path, repository: str, revision: str | None) -> None:
    from huggingface_hub import HfApi, hf_hub_download

    with hub_errors(repository):
        info = with_retries(lambda: HfApi().model_info(repository, revision=revision))
        commit = str(info.sha)
        config = Path(with_retries(lambda: hf_hub_download(repository, CONFIG, revision=commit)))
    names = [file.rfilename for file in info.siblings or []]
    if not any(name.startswith(f"{PICTURES}/") for name in names):
        raise HubError(
            f"{repository} has no gallery with pictures to search: publish the model with its "
            "pictures"
        )
    files = ",".join(name for name in names if not name.startswith("."))
    _write_page(
        fresh,
        repository,
        commit,
        repository,
        read_config(config),
        models=[repository],
        preload_from_hub=[f"{repository} {files} {commit}"],
    )


def _write_page(
    fresh: Path,
    name: str,
    revision: str | None,
    title: str,
    config: ModelConfig,
    **more: Any,
) -> None:
    """Write `README.md` with the settings for the Hub, `app.py` and `requirements.txt`."""
    from huggingface_hub import SpaceCard, SpaceCardData

    extras = extras_for(config.image_tower.encoder, config.text_tower.encoder)
    names = str(config.training.get("dataset") or "").split("+")
    terms = [about(dataset) for dataset in names if dataset]
    data = SpaceCardData(
        title=f"Search with {title.rsplit('/', 1)[-1]}",
        emoji="🔎",
        colorFrom="indigo",
        colorTo="gray",
        sdk="gradio",
        sdk_version=version_here("gradio", extras),
        python_version=PYTHON,
        app_file=_APP_FILE,
        license="apache-2.0",
        **more,
    )
    card = SpaceCard.from_template(
        data,
        template_str=_README,
        title=f"Search with {title}",
        model=title,
        made_by=MADE_BY,
        terms=" ".join(f"{row.title}: {row.terms}." for row in terms),
    )
    (fresh / "README.md").write_text(str(card), encoding="utf-8")
    (fresh / _APP_FILE).write_text(_APP.format(name=name, revision=revision), encoding="utf-8")
    needed = "".join(f"{line}\n" for line in requirements(*extras))
    (fresh / "requirements.txt").write_text(needed, encoding="utf-8")
