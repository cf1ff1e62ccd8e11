"""The interface that a model requires of its gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cmr_hub.hit import Hit
    from cmr_hub.types import Modality


class SearchIndex(Protocol):
    """A gallery that can be attached to a model."""

    @property
    def targets(self) -> tuple[Modality, ...]: ...

    def __len__(self) -> int: ...

    def search(
        self,
        query: npt.NDArray[np.floating],
        k: int = 10,
        target: Modality | None = None,
        offset: int = 0,
        *,
        where: str | None = None,
        min_score: float | None = None,
        distinct: bool | float = True,
        clear: float | None = None,
        query_modality: Modality | None = None,
    ) -> list[Hit]: ...

    def save(self, directory: str | Path, *, root: str | None = None) -> None: ...

    def copy_pictures(self, directory: str | Path) -> None: ...
