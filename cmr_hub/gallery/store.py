"""What a gallery asks of the place that keeps its rows: this process, or servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.gallery.segment import Segment
    from cmr_hub.gallery.where import Where
    from cmr_hub.types import FloatArray, Modality


@dataclass(frozen=True, eq=False)
class Found:
    """What was found for one query, best first.

    Attributes:
        items: every column of the n items.
        scores: (n,) cosine similarities.
        vectors: (n, d) the vectors that were compared.
    """

    items: Sequence[Mapping[str, Any]]
    scores: npt.NDArray[np.float64]
    vectors: FloatArray


class Store(Protocol):
    """Rows of items with their vectors, searched by vector.

    What `put` and `remove` have returned from is kept, whatever happens to the process.
    """

    model_id: str
    """The fingerprint of the model whose vectors it keeps."""
    model_name: str | None
    """What `cmr_hub.load` takes to get that model."""

    @property
    def dim(self) -> int | None:
        """Of the vectors; None as long as there are none."""

    @property
    def targets(self) -> tuple[Modality, ...]:
        """The modalities that there are vectors of."""

    @property
    def vector_counts(self) -> dict[Modality, int]:
        """How many items have a vector of each modality; those without any are left out."""

    def __len__(self) -> int: ...

    @property
    def changes(self) -> int:
        """Another number once rows have changed, by whomever: what was answered before is old."""

    @property
    def neutral(self) -> Neutral | None:
        """What neutral sentences score with its items; None where that is not known."""

    def keep_neutral(self, neutral: Neutral) -> None:
        """Keeps what neutral sentences score."""

    def writing(self) -> AbstractContextManager[None]:
        """Keeps other writers out; raises GalleryInUseError where there is one."""

    def put(self, rows: Segment, *, replacing: Sequence[str] = ()) -> None:
        """Adds rows; one whose id is there already takes the place of the older.

        Rows of the ids in `replacing` go with the same step.
        """

    def remove(self, ids: Sequence[str]) -> int:
        """Removes rows; tells how many there were."""

    def set_columns(self, columns: pa.Table) -> None:
        """Puts columns of all rows in the place of those of their names; vectors stay.

        Args:
            columns: `id` and the columns; rows of other ids get null.
        """

    def table(self, where: Where | None = None) -> pa.Table:
        """All items, or those that pass."""

    def table_below(self, folder: str) -> pa.Table:
        """All items whose path is below a folder."""

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are there."""

    def rows(self, ids: Sequence[str]) -> Segment:
        """The rows of these ids with their vectors, in any order; unknown ids are left out."""

    def search(
        self,
        queries: npt.NDArray[np.float64],
        count: int,
        target: Modality,
        where: Where | None = None,
    ) -> list[Found]:
        """The `count` most similar items that pass, for each of (Q, d) unit queries."""

    def optimise(self, *, progress: bool = False) -> None:
        """Prepares for searching what was added since the last time."""

    def compact(self, *, progress: bool = False) -> None:
        """Frees the place of removed rows."""

    def verify(self) -> None:
        """Reads everything; raises ModelFormatError where something is wrong."""

    def facts(self) -> dict[str, str]:
        """What a person may want to know of how the rows are kept, by name."""
