"""The interface of a gallery's storage, which is local or on servers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.gallery.segment import Segment
    from cmr_hub.gallery.text_in_pictures import TextCondition
    from cmr_hub.gallery.where import Where
    from cmr_hub.types import FloatArray, Modality


@dataclass(frozen=True, eq=False)
class Found:
    """The results of one query, best first.

    Attributes:
        items: the n items with all columns.
        scores: (n,) cosine similarities.
        vectors: (n, d) vectors that were compared.
    """

    items: Sequence[Mapping[str, Any]]
    scores: npt.NDArray[np.float64]
    vectors: FloatArray


class Store(Protocol):
    """Rows of items with their vectors, searched by vector.

    When `put` and `remove` return, the change is durable.
    """

    model_id: str
    """Fingerprint of the model that made the vectors."""
    model_name: str | None
    """The name under which `cmr_hub.load` finds the model."""

    @property
    def dim(self) -> int | None:
        """Dimension of the vectors; None if there are none."""

    @property
    def targets(self) -> tuple[Modality, ...]:
        """Modalities that have vectors."""

    @property
    def vector_counts(self) -> dict[Modality, int]:
        """Number of vectors by modality, without modalities that have none."""

    def __len__(self) -> int: ...

    @property
    def changes(self) -> int:
        """A number that changes whenever rows change, so that cached answers can be dropped."""

    @property
    def neutral(self) -> Neutral | None:
        """Scores of neutral sentences with its items; None if not stored."""

    def keep_neutral(self, neutral: Neutral) -> None:
        """Store the scores of neutral sentences."""

    def writing(self) -> AbstractContextManager[None]:
        """Lock out other writers; raises GalleryInUseError if there is one."""

    def put(self, rows: Segment, *, replacing: Sequence[str] = ()) -> None:
        """Add rows, replacing those with the same ids and those in `replacing`, in one step."""

    def remove(self, ids: Sequence[str], *, dismiss: bool = False) -> int:
        """Remove rows; return how many existed.

        Args:
            ids: ids of the rows.
            dismiss: add their pictures to `dismissed`.
        """

    @property
    def dismissed(self) -> pa.Table:
        """Pictures that indexing leaves out: `path`, `sha256` and `size`."""

    def set_dismissed(self, dismissed: pa.Table) -> None:
        """Replace `dismissed`."""

    @property
    def copies(self) -> Mapping[str, int]:
        """Number of rows of the same picture or video by `items.picture_ids`, if several."""

    def set_columns(self, columns: pa.Table) -> None:
        """Add or replace columns of all rows, without changing vectors.

        Args:
            columns: `id` and the columns; rows of other ids get null.
        """

    def table(self, where: Where | None = None) -> pa.Table:
        """Return all items, or those that satisfy a condition."""

    def table_below(self, folder: str) -> pa.Table:
        """Return all items whose path is below a folder."""

    def table_sized(self, sizes: Collection[int]) -> pa.Table:
        """Return all items whose file has one of these numbers of bytes."""

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return the ids among these that exist."""

    def rows(self, ids: Sequence[str]) -> Segment:
        """Return rows by id with their vectors, in any order; unknown ids are ignored."""

    def search(
        self,
        queries: npt.NDArray[np.float64],
        count: int,
        target: Modality,
        where: Where | TextCondition | None = None,
    ) -> list[Found]:
        """Return the `count` most similar items that satisfy a condition, per (Q, d) unit query."""

    @property
    def has_text(self) -> bool:
        """Whether text was read in pictures and can be searched."""

    def search_words(
        self,
        query: npt.NDArray[np.float64],
        words: Sequence[str],
        count: int,
        target: Modality,
        where: Where | TextCondition | None = None,
    ) -> list[tuple[float, Found]]:
        """Return the `count` items with the largest share of the words in their text.

        Those of the same share (see `text_in_pictures.covered`) are one group, in which the items
        most similar to the (d,) unit query come first.
        """

    def optimise(self, *, progress: bool = False) -> None:
        """Update the search indexes after rows were added."""

    def compact(self, *, progress: bool = False) -> None:
        """Free the space of removed rows."""

    def verify(self) -> None:
        """Read everything; raises ModelFormatError if something is wrong."""

    def facts(self) -> dict[str, str]:
        """Return facts about the storage by name, for display."""
