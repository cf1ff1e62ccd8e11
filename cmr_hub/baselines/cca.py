"""Linear canonical correlation analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cmr_hub.baselines.canonical import CanonicalBaseline
from cmr_hub.baselines.linear import linear_projector
from cmr_hub.baselines.views import LinearView

if TYPE_CHECKING:
    from cmr_hub.baselines.linear import Float64Array
    from cmr_hub.baselines.search import Grid
    from cmr_hub.models.projector import Projector
    from cmr_hub.types import FloatArray

DIMS = (10, 20, 40, 80, 160, 320)
POWERS = (0.0, 0.5, 1.0, 2.0, 4.0)
RIDGES = (0.01, 0.1, 1.0, 3.0, 10.0, 100.0, 1000.0)


class CCABaseline(CanonicalBaseline[LinearView]):
    """Linear CCA with a ridge on both sides; see `canonical_directions` for the equation.

    Without a ridge, CCA on fewer pairs than dimensions correlates every training pair perfectly
    and learns nothing, which explains the low figures that are often published for it.

    Source: Rasiwasia et al., A new approach to cross-modal multimedia retrieval, ACM MM 2010.
    """

    name: ClassVar[str] = "cca"
    grid: ClassVar[Grid] = {
        "image_ridge": RIDGES,
        "text_ridge": RIDGES,
        "dim": DIMS,
        "power": POWERS,
    }

    def view(self, rows: FloatArray, width: float) -> LinearView:
        return LinearView.fit(rows)

    def embedder(self, view: LinearView, directions: Float64Array) -> Projector:
        weight = view.axes @ directions
        return linear_projector(view.scaling, weight, -view.mean @ weight)
