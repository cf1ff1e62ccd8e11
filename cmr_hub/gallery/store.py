"""Interface of the storage of a gallery, which is local or on a server."""

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
        vectors: (n, d) vectors of the items.
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
        """Modalities with vectors."""

    @property
    def vector_counts(self) -> dict[Modality, int]:
        """Number of vectors by modality, for modalities with vectors."""

    def __len__(self) -> int: ...

    @property
    def changes(self) -> int:
        """A number that changes whenever rows change, to invalidate caches."""

    @property
    def neutral(self) -> Neutral | None:
        """Scores of neutral sentences; None if they are not stored."""

    def keep_neutral(self, neutral: Neutral) -> None:
        """Store the scores of neutral sentences."""

    def writing(self) -> AbstractContextManager[None]:
        """Lock out other writers. Raises GalleryInUseError if another process is writing."""

    def put(self, rows: Segment, *, replacing: Sequence[str] = ()) -> None:
        """Add rows in one step, replacing rows with the same ids and the rows `replacing`."""

    def remove(self, ids: Sequence[str], *, dismiss: bool = False) -> int:
        """Remove rows; return the number of removed rows.

        Args:
            ids: ids of the rows.
            dismiss: add their pictures to `dismissed`.
        """

    @property
    def dismissed(self) -> pa.Table:
        """Pictures that indexing skips: `path`, `sha256` and `size`."""

    def set_dismissed(self, dismissed: pa.Table) -> None:
        """Replace `dismissed`."""

    @property
    def copies(self) -> Mapping[str, int]:
        """Number of rows of each picture or video that has several; see `items.picture_ids`."""

    def set_columns(self, columns: pa.Table) -> None:
        """Add or replace columns of all rows, without changing vectors.

        Args:
            columns: `id` and the columns. Rows with other ids get null.
        """

    def table(self, where: Where | None = None) -> pa.Table:
        """Return all items, or those that satisfy a condition."""

    def table_below(self, folder: str) -> pa.Table:
        """Return the items whose path is below a folder."""

    def table_sized(self, sizes: Collection[int]) -> pa.Table:
        """Return the items whose file has one of these sizes in bytes."""

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return the existing ids among these."""

    def rows(self, ids: Sequence[str]) -> Segment:
        """Return rows with their vectors, in any order. Unknown ids are ignored."""

    def search(
        self,
        queries: npt.NDArray[np.float64],
        count: int,
        target: Modality,
        where: Where | TextCondition | None = None,
    ) -> list[Found]:
        """Return the `count` most similar items that satisfy a condition, for (Q, d) queries."""

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

        Items with the same share (see `text_in_pictures.covered`) form a group, in the order of
        their similarity to the (d,) unit query.
        """

    def optimise(self, *, progress: bool = False) -> None:
        """Update the search indexes after adding rows."""

    def compact(self, *, progress: bool = False) -> None:
        """Free the space of removed rows."""

    def verify(self) -> None:
        """Read all data. Raises ModelFormatError if it is damaged."""

    def facts(self) -> dict[str, str]:
        """Return facts about the storage for display."""
