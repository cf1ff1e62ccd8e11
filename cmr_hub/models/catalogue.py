"""Short names of pretrained dual encoders, and what others published of each.

Nothing in the table was measured here, and nothing was written from memory: each fact has the
address of the page it was read from, and a fact that no page states is None.
"""

from __future__ import annotations

import difflib
import functools
import tomllib
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FILE = "catalogue.toml"

Source = Annotated[str, Field(pattern=r"^https://\S+$")]
Text = Annotated[str, Field(min_length=1)]
Direction = Literal["text to image", "image to text"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NumberFact(_Strict):
    """A whole number, and the page that states it."""

    value: Annotated[int, Field(gt=0)]
    source: Source
    note: str = ""
    """What the number counts, where the page rounds or leaves something out."""


class TextFact(_Strict):
    """A few words, and the page that states them."""

    value: Text
    source: Source
    note: str = ""


class RetrievalFigure(_Strict):
    """One published figure of zero-shot retrieval."""

    dataset: Text
    metric: Annotated[str, Field(pattern=r"^recall@\d+$")]
    direction: Direction
    """What is asked with, and what is found: "text to image" is also called image retrieval."""
    value: Annotated[float, Field(gt=0, lt=1)]
    protocol: Text
    """Which pictures, which weights, whose measurement."""
    source: Source


class CatalogueEntry(_Strict):
    """A pretrained dual encoder: where it is, what it is for, and what is known of it.

    Example:
        >>> from cmr_hub.models.catalogue import resolve
        >>> resolve("siglip2").repository
        'google/siglip2-base-patch16-224'
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    """The short name, as `cmr_hub.load` takes it."""
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """On the Hub, `owner/name`."""
    library: Literal["sentence-transformers", "open_clip"]
    """The library whose files the repository holds."""
    purpose: Text
    """What it is for, in one sentence."""
    listed: Source
    """The page on which the name of the repository was read."""
    revision: TextFact | None = None
    """The commit that has safetensors, where the main branch is not known to have them."""
    download: NumberFact | None = None
    """Bytes that the first use fetches."""
    dimension: NumberFact | None = None
    """Of the common space."""
    languages: TextFact | None = None
    """Of the sentences."""
    licence: TextFact | None = None
    """Of the weights."""
    figures: tuple[RetrievalFigure, ...] = Field(default=(), strict=False)

    def figure(
        self, dataset: str = "COCO", metric: str = "recall@1", direction: str = "text to image"
    ) -> RetrievalFigure | None:
        """Returns the published figure of this kind, or None where there is none."""
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
    """Lists the pretrained dual encoders that have a short name, in the table's order.

    Any other one is loaded by the name of its repository, `load("owner/name")`.

    Example:
        >>> from cmr_hub import list_models
        >>> [entry.name for entry in list_models()][:2]
        ['clip', 'clip-laion']
    """
    return list(_all().values())


def resolve(name: str) -> CatalogueEntry | None:
    """Finds the entry of a short name; None where no entry has it."""
    return _all().get(name)


def default_revision(repository: str) -> str | None:
    """Finds the commit to load a repository from where the user names none; None is its main
    branch."""
    found = (entry.revision for entry in list_models() if entry.repository == repository)
    fact = next(found, None)
    return None if fact is None else fact.value


def suggestions(name: str) -> list[str]:
    """Lists up to three short names that look like `name`, the nearest first.

    Upper and lower case, and what stands before a slash, do not matter.
    """
    wanted = name.rpartition("/")[2].lower().replace("_", "-")
    return difflib.get_close_matches(wanted, _all(), n=3, cutoff=0.6)
