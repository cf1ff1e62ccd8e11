"""Many dimensions in two or three: PCA, t-SNE and UMAP."""

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
"""Is told the share of the work that is done, in [0, 1]."""

_LARGEST = 1e15
_TSNE_ITERATIONS = 250, 500  # with early exaggeration and without: openTSNE's own
_TSNE_FROM_A_MAP = 100, 250
_TSNE_CELLS = 10
_TSNE_THREADS = 8
_FEW = 2_000
_TSNE_SPREAD = 1e-4  # of a start: t-SNE wants it small
_UMAP_EPOCHS = {True: 500, False: 200}  # umap-learn's own for up to 10,000 points, and above


class ProjectionOptions(BaseModel):
    """How to project; what a method does not use does not count.

    Attributes:
        dimensions: 2 or 3.
        metric: of the input rows.
        perplexity: of t-SNE, about how many neighbours count.
        neighbours: of UMAP.
        min_dist: of UMAP, how close points may lie.
        seed: of everything random.
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
        """The options that decide the result."""
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
    """Projects the same points as they were at several times, so that the maps can be compared.

    PCA takes its axes from the last stage for all. t-SNE and UMAP lay out the last stage first;
    every earlier one starts from the map of the one after it.

    Args:
        stages: (N, d) rows each, all with the same N, in order of time.
        options: how.
        progress: is told how far it is.

    Returns:
        (N, k) float32 coordinates for each stage.

    Raises:
        QueryError: nothing to project, rows that are not finite, or too few for the neighbours.
        CMRError: the library of the method is not installed.
    """
    tell = progress or (lambda share: None)
    rows = [_checked(stage, options) for stage in stages]
    if not rows or len({stage.shape[0] for stage in rows}) > 1:
        raise QueryError("all stages of a projection need the same points, and at least one stage")
    if options.method == "pca":
        axes, centre = _principal_axes(rows[-1], options.dimensions)
        return [_as_float32((stage - centre) @ axes) for stage in rows]
    lay_out = _tsne if options.method == "tsne" else _umap
    start: FloatArray | None = None
    maps: list[FloatArray] = []
    for done, stage in enumerate(reversed(rows)):
        share = _part(tell, done, len(rows))
        if np.ptp(stage, axis=0).any():
            start = lay_out(stage, options, start, share)
            maps.append(start)
        else:
            # All points are one, on which t-SNE's tree would never end; so they are in the map,
            # and no map can begin with it.
            start = None
            maps.append(np.zeros((len(stage), options.dimensions), np.float32))
            share(1.0)
    return maps[::-1]


def _part(tell: Progress, done: int, count: int) -> Progress:
    return lambda share: tell((done + share) / count)


def _checked(given: npt.ArrayLike, options: ProjectionOptions) -> npt.NDArray[np.float64]:
    rows = np.asarray(given, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape or not np.isfinite(rows).all():
        raise QueryError(f"a projection needs rows of finite numbers, not shape {rows.shape}")
    needed = {"pca": 1, "tsne": int(3 * options.perplexity) + 1, "umap": options.neighbours + 1}
    least = max(needed[options.method], options.dimensions + 2)
    if len(rows) < least:
        raise QueryError(
            f"{len(rows)} points are too few for {options.method} with these settings: at least "
            f"{least} are needed; lower the perplexity or the neighbours"
        )
    largest = np.abs(rows).max()
    if not 1 / _LARGEST < largest < _LARGEST and largest > 0:
        rows = rows / largest  # their squares would be infinite, or nothing; a map has no scale
    if options.metric == "cosine":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(lengths > 0, lengths, 1)
    return rows


def _principal_axes(
    rows: npt.NDArray[np.float64], k: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(d, k) directions of greatest variance and the (d,) mean; signs are fixed."""
    centre = rows.mean(0)
    _, _, directions = np.linalg.svd(rows - centre, full_matrices=False)
    axes = np.zeros((rows.shape[1], k))
    found = directions[:k].T
    signs = np.sign(found[np.abs(found).argmax(0), np.arange(found.shape[1])])
    axes[:, : found.shape[1]] = found * signs
    return axes, centre


def _tsne(
    rows: npt.NDArray[np.float64],
    options: ProjectionOptions,
    start: FloatArray | None,
    tell: Progress,
) -> FloatArray:
    """van der Maaten and Hinton, JMLR 2008; with the interpolation of Linderman et al., 2019.

    The library was chosen by measurement: see benchmarks/tsne.py.
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
        tell(min(done / (early + late), 1.0))
        return False

    first = _tsne_start(rows, options, start)
    are_many = len(rows) > _FEW
    tsne = TSNE(
        n_components=options.dimensions,
        initialization=first,
        early_exaggeration_iter=early,
        n_iter=late,
        # The interpolation is for two dimensions, and does not pay for few points.
        negative_gradient_method="fft" if options.dimensions == 2 and are_many else "bh",
        # No cell of the interpolation is wider than 1, however few there are: the library's 50 only
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
    """Where the points are at first: at the map given, as PCA has them, or anywhere."""
    if start is not None:
        centred = start - start.mean(0)
        spread = centred[:, 0].std()
        if spread > 0:
            return (centred / spread * _TSNE_SPREAD).astype(np.float64)
    # The library's own takes as many axes as the map has.
    return "pca" if min(rows.shape) >= options.dimensions else "random"


def _nearest(
    rows: npt.NDArray[np.float64], k: int, metric: Metric
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(N, k) numbers of the k nearest other rows, nearest first, and their distances.

    All are compared: for 10,000 rows that takes a ninth of the time of openTSNE's own search, which
    finds most of them. Cosine takes rows of length 1.
    """
    import faiss

    if metric == "cosine":
        points = _as_float32(rows)
        scores, found = faiss.knn(points, points, k + 1, faiss.METRIC_INNER_PRODUCT)
        distances = np.maximum(1 - scores, 0)
    else:
        # Far from the origin the differences would be lost in 32 bits.
        points = _as_float32(rows - rows.mean(0))
        squares, found = faiss.knn(points, points, k + 1)
        distances = np.sqrt(np.maximum(squares, 0))
    # Not the row itself; where more than k are as near, it may be missing: then not the last.
    own = found == np.arange(len(rows))[:, None]
    own[~own.any(1), -1] = True
    shape = len(rows), k
    nearest = distances[~own].reshape(shape).astype(np.float64)
    return found[~own].reshape(shape).astype(np.int64), nearest


class _Percent:
    """A file that tqdm writes `37` into, and that tells the share."""

    def __init__(self, tell: Progress) -> None:
        self._tell = tell

    def write(self, text: str) -> None:
        number = text.strip("\r\n \x1b[A")
        if number.replace(".", "").isdigit():
            self._tell(min(float(number) / 100, 1.0))

    def flush(self) -> None:
        """Nothing is kept back."""


def _umap(
    rows: npt.NDArray[np.float64],
    options: ProjectionOptions,
    start: FloatArray | None,
    tell: Progress,
) -> FloatArray:
    """McInnes, Healy and Melville, arXiv 1802.03426."""
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
            "file": _Percent(tell),
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
