"""Project vectors to two or three dimensions with PCA, t-SNE or UMAP."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cmr_hub.errors import CMRError, QueryError

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray

Method = Literal["pca", "tsne", "umap"]
Dimensions = Literal[2, 3]
Metric = Literal["cosine", "euclidean"]
Progress: TypeAlias = "Callable[[float], None]"
"""A callback that receives the completed fraction of the work, in [0, 1]."""

_LARGEST = 1e15
_TSNE_ITERATIONS = 250, 500  # with and without early exaggeration; openTSNE's defaults
_TSNE_FROM_A_MAP = 100, 250
_TSNE_CELLS = 10
_TSNE_THREADS = 8
_FEW = 2_000
_MANY = 10_000
"""Number of rows from which PCA decomposes the covariance, which is about ten times faster than the
rows and less exact for axes of almost no variance."""
_TSNE_SPREAD = 1e-4  # standard deviation of an initial map; t-SNE needs a small one
_UMAP_EPOCHS = {True: 500, False: 200}  # umap-learn's defaults up to 10,000 points, and above


class ProjectionOptions(BaseModel):
    """Options of a projection; each method ignores the options of the other methods.

    Attributes:
        method: the projection method.
        dimensions: number of output dimensions, 2 or 3.
        metric: distance metric of the input rows.
        perplexity: perplexity of t-SNE; approximately the number of neighbours.
        neighbours: number of neighbours of UMAP.
        min_dist: minimum distance of points in UMAP.
        seed: random seed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: Method = "pca"
    dimensions: Dimensions = 2
    metric: Metric = "cosine"
    perplexity: float = Field(30, ge=2, le=500)
    neighbours: int = Field(15, ge=2, le=500)
    min_dist: float = Field(0.1, ge=0, le=1)
    seed: int = 0

    def used(self) -> dict[str, Any]:
        """Return the options that affect the result of the method."""
        names = {
            "pca": ["metric"],
            "tsne": ["metric", "perplexity", "seed"],
            "umap": ["metric", "neighbours", "min_dist", "seed"],
        }[self.method]
        return {name: getattr(self, name) for name in ["method", "dimensions", *names]}


def project_stages(
    stages: Sequence[npt.ArrayLike],
    options: ProjectionOptions,
    progress: Progress | None = None,
) -> list[FloatArray]:
    """Project the same points at several stages, so that the maps can be compared.

    PCA uses the axes of the last stage for all stages. t-SNE and UMAP project the last stage first;
    each earlier stage is initialised with the map of the next one.

    Args:
        stages: (N, d) rows for each stage, with the same N, in chronological order.
        options: options of the projection.
        progress: optional callback for the progress.

    Returns:
        (N, k) float32 coordinates for each stage.

    Raises:
        QueryError: rows are missing or not finite, or there are too few for the neighbours.
        CMRError: the library of the method is not installed.
    """
    report = progress or (lambda share: None)
    rows = [_checked(stage, options) for stage in stages]
    if not rows or len({stage.shape[0] for stage in rows}) > 1:
        raise QueryError("a projection needs at least one stage, and the same points in all stages")
    if options.method == "pca":
        axes, centre = _principal_axes(rows[-1], options.dimensions)
        return [_as_float32((stage - centre) @ axes) for stage in rows]
    project = _tsne if options.method == "tsne" else _umap
    start: FloatArray | None = None
    maps: list[FloatArray] = []
    for done, stage in enumerate(reversed(rows)):

        def report_stage(share: float, done: int = done) -> None:
            report((done + share) / len(rows))

        if np.ptp(stage, axis=0).any():
            start = project(stage, options, start, report_stage)
            maps.append(start)
        else:
            # If all points are identical, t-SNE would not terminate. Their map is all zeros, and it
            # cannot initialise the next one.
            start = None
            maps.append(np.zeros((len(stage), options.dimensions), np.float32))
            report_stage(1.0)
    return maps[::-1]


def _checked(stage: npt.ArrayLike, options: ProjectionOptions) -> npt.NDArray[np.float64]:
    rows = np.asarray(stage, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape or not np.isfinite(rows).all():
        raise QueryError(f"a projection needs rows of finite numbers, not shape {rows.shape}")
    needed = {"pca": 1, "tsne": int(3 * options.perplexity) + 1, "umap": options.neighbours + 1}
    minimum = max(needed[options.method], options.dimensions + 2)
    if len(rows) < minimum:
        raise QueryError(
            f"{len(rows)} points are too few for {options.method} with these settings: at least "
            f"{minimum} are needed; lower the perplexity or the neighbours"
        )
    largest = np.abs(rows).max()
    if not 1 / _LARGEST < largest < _LARGEST and largest > 0:
        rows = rows / largest  # or squares would overflow or underflow; the scale is irrelevant
    if options.metric == "cosine":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(lengths > 0, lengths, 1)
    return rows


def _principal_axes(
    rows: npt.NDArray[np.float64], k: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the (d, k) principal axes with deterministic signs, and the (d,) mean."""
    centre = rows.mean(0)
    centred = rows - centre
    if len(rows) > _MANY:
        directions = np.linalg.eigh(centred.T @ centred)[1].T[::-1]
    else:
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
    axes = np.zeros((rows.shape[1], k))
    found = directions[:k].T
    signs = np.sign(found[np.abs(found).argmax(0), np.arange(found.shape[1])])
    axes[:, : found.shape[1]] = found * signs
    return axes, centre


def _tsne(
    rows: npt.NDArray[np.float64],
    options: ProjectionOptions,
    start: FloatArray | None,
    report: Progress,
) -> FloatArray:
    """Project with t-SNE (van der Maaten and Hinton, JMLR 2008).

    It uses the interpolation of Linderman et al., 2019. benchmarks/tsne.py compares openTSNE with
    other libraries.
    """
    try:
        from openTSNE import TSNE
        from openTSNE.affinity import PerplexityBasedNN
        from openTSNE.nearest_neighbors import PrecomputedNeighbors
    except ImportError as error:
        raise _missing("openTSNE", error) from error
    neighbours, distances = _nearest(rows, int(3 * options.perplexity), options.metric)
    affinities = PerplexityBasedNN(
        knn_index=PrecomputedNeighbors(neighbours, distances), perplexity=options.perplexity
    )
    early, late = _TSNE_ITERATIONS if start is None else _TSNE_FROM_A_MAP
    before = {"now": 0}

    def callback(iteration: int, _error: float, _embedding: object) -> bool:
        done = iteration + before["now"]
        if iteration >= early and not before["now"]:
            before["now"] = early
        report(min(done / (early + late), 1.0))
        return False

    are_many = len(rows) > _FEW
    tsne = TSNE(
        n_components=options.dimensions,
        initialization=_tsne_start(rows, options, start),
        early_exaggeration_iter=early,
        n_iter=late,
        # The interpolation supports only two dimensions, and is slower for few points.
        negative_gradient_method="fft" if options.dimensions == 2 and are_many else "bh",
        # The interpolation's cells are at most 1 wide. The default minimum of 50 cells would only
        # cost time while the map is small.
        min_num_intervals=_TSNE_CELLS,
        n_jobs=min(os.cpu_count() or 1, _TSNE_THREADS) if are_many else 1,
        callbacks=callback,
        callbacks_every_iters=25,
        random_state=options.seed,
    )
    return _as_float32(tsne.fit(rows, affinities))


def _tsne_start(
    rows: npt.NDArray[np.float64], options: ProjectionOptions, start: FloatArray | None
) -> Any:
    """Return the initialisation: `start`, PCA, or random if there are too few dimensions."""
    if start is not None:
        centred = start - start.mean(0)
        spread = centred[:, 0].std()
        if spread > 0:
            return (centred / spread * _TSNE_SPREAD).astype(np.float64)
    # openTSNE's PCA needs at least as many input dimensions as output dimensions.
    return "pca" if min(rows.shape) >= options.dimensions else "random"


def _nearest(
    rows: npt.NDArray[np.float64], k: int, metric: Metric
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the (N, k) indices and distances of the k nearest other rows, nearest first.

    The search is exact. For 10,000 rows it is nine times as fast as the approximate search of
    openTSNE. The cosine metric needs rows of length 1.
    """
    import faiss

    if metric == "cosine":
        points = _as_float32(rows)
        scores, found = faiss.knn(points, points, k + 1, faiss.METRIC_INNER_PRODUCT)
        distances = np.maximum(1 - scores, 0)
    else:
        # Centre the rows, because float32 loses small differences far from the origin.
        points = _as_float32(rows - rows.mean(0))
        squares, found = faiss.knn(points, points, k + 1)
        distances = np.sqrt(np.maximum(squares, 0))
    # Drop the row itself. If more than k rows are at distance 0, the row may be missing; then drop
    # the last neighbour.
    dropped = found == np.arange(len(rows))[:, None]
    dropped[~dropped.any(1), -1] = True
    shape = len(rows), k
    nearest = distances[~dropped].reshape(shape).astype(np.float64)
    return found[~dropped].reshape(shape).astype(np.int64), nearest


class _Percent:
    """Report the progress of a tqdm bar that writes its percentage to this file-like object."""

    def __init__(self, report: Progress) -> None:
        self._report = report

    def write(self, text: str) -> None:
        number = text.strip("\r\n \x1b[A")
        if number.replace(".", "").isdigit():
            self._report(min(float(number) / 100, 1.0))

    def flush(self) -> None:
        """Do nothing, because writes are not buffered."""


def _umap(
    rows: npt.NDArray[np.float64],
    options: ProjectionOptions,
    start: FloatArray | None,
    report: Progress,
) -> FloatArray:
    """Project with UMAP (McInnes, Healy and Melville, arXiv 1802.03426)."""
    try:
        from umap import UMAP
    except ImportError as error:
        raise _missing("umap-learn", error) from error
    umap = UMAP(
        n_components=options.dimensions,
        n_neighbors=options.neighbours,
        min_dist=options.min_dist,
        metric=options.metric,
        init="spectral" if start is None else start,
        n_epochs=_UMAP_EPOCHS[len(rows) <= 10_000],
        random_state=options.seed,
        n_jobs=1,
        tqdm_kwds={
            "file": _Percent(report),
            "bar_format": "{percentage:.0f}",
            "disable": False,
            "desc": "",
        },
    )
    return _as_float32(umap.fit_transform(rows.astype(np.float32)))


def _missing(library: str, error: ImportError) -> CMRError:
    return CMRError(f"this map needs {library} ({error}): pip install 'cmr-hub[dashboard]'")


def _as_float32(values: Any) -> FloatArray:
    return np.ascontiguousarray(np.asarray(values), dtype=np.float32)
