"""Short names of pretrained dual encoders, with published facts about each.

All facts are published ones with the URL of their source; facts without a source are None.
"""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cmr_hub.errors import similar

FILE = "catalogue.toml"

Source = Annotated[str, Field(pattern=r"^https://\S+$")]
Text = Annotated[str, Field(min_length=1)]
Direction = Literal["text to image", "image to text"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NumberFact(_Strict):
    """An integer and its source."""

    value: Annotated[int, Field(gt=0)]
    source: Source
    note: str = ""
    """Remark on the number, for example if the source rounds it."""


class TextFact(_Strict):
    """A short text and its source."""

    value: Text
    source: Source
    note: str = ""


class RetrievalFigure(_Strict):
    """A published figure of zero-shot retrieval."""

    dataset: Text
    metric: Annotated[str, Field(pattern=r"^recall@\d+$")]
    direction: Direction
    """Query and target modality; "text to image" is also called image retrieval."""
    value: Annotated[float, Field(gt=0, lt=1)]
    protocol: Text
    """Pictures, weights and the source of the measurement."""
    source: Source


class CatalogueEntry(_Strict):
    """A pretrained dual encoder with its repository, purpose and published facts.

    Example:
        >>> from cmr_hub.models.catalogue import resolve
        >>> resolve("siglip2").repository
        'google/siglip2-base-patch16-224'
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    """Short name, accepted by `cmr_hub.load`."""
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """Repository on the Hub, `owner/name`."""
    library: Literal["sentence-transformers", "open_clip"]
    """Library whose format the repository has."""
    purpose: Text
    """Purpose in one sentence."""
    listed: Source
    """Source of the repository's name."""
    revision: TextFact | None = None
    """Commit that has safetensors, if the main branch may not have them."""
    download: NumberFact | None = None
    """Size of the download in bytes."""
    dimension: NumberFact | None = None
    """Dimension of the common space."""
    languages: TextFact | None = None
    """Languages of the sentences."""
    licence: TextFact | None = None
    """Licence of the weights."""
    figures: tuple[RetrievalFigure, ...] = Field(default=(), strict=False)

    def figure(
        self, dataset: str = "COCO", metric: str = "recall@1", direction: str = "text to image"
    ) -> RetrievalFigure | None:
        """Return the published figure of this kind, or None."""
        wanted = (dataset, metric, direction)
        for figure in self.figures:
            if (figure.dataset, figure.metric, figure.direction) == wanted:
                return figure
        return None


@functools.cache
def _all() -> dict[str, CatalogueEntry]:
    file = resources.files("cmr_hub.models") / FILE
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    return {
        name: CatalogueEntry.model_validate({"name": name, **facts})
        for name, facts in content.items()
    }


def list_models() -> list[CatalogueEntry]:
    """List the pretrained dual encoders that have a short name, in the table's order.

    Others can be loaded by the name of their repository, `load("owner/name")`.

    Example:
        >>> from cmr_hub import list_models
        >>> [entry.name for entry in list_models()][:2]
        ['clip', 'clip-laion']
    """
    return list(_all().values())


def resolve(name: str) -> CatalogueEntry | None:
    """Return the entry with a short name, or None."""
    return _all().get(name)


def default_revision(repository: str) -> str | None:
    """Return the commit to load a repository from by default; None for its main branch."""
    revisions = (entry.revision for entry in list_models() if entry.repository == repository)
    revision = next(revisions, None)
    return None if revision is None else revision.value


def suggestions(name: str) -> list[str]:
    """List up to three short names similar to `name`, the most similar first.

    Case and everything before a slash are ignored.
    """
    return similar(name.rpartition("/")[2], _all(), 3)
