"""Partial least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cmr_hub.baselines.cca import DIMS, POWERS, CCABaseline

if TYPE_CHECKING:
    from cmr_hub.baselines.search import Grid


class PLSBaseline(CCABaseline):
    """Partial least squares by one singular value decomposition of XᵀY ("PLS-SVD").

    The unit vectors a, b maximise the covariance aᵀXᵀYb, each orthogonal to those before it. This
    is CCA in the limit of an infinite ridge on both sides.

    Source: Wegelin, A survey of partial least squares (PLS) methods, University of Washington,
    technical report 371 (2000); in retrieval: Sharma and Jacobs, CVPR 2011.
    """

    name: ClassVar[str] = "pls"
    grid: ClassVar[Grid] = {"dim": DIMS, "power": POWERS}
