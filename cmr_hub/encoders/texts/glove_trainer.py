"""Train GloVe: co-occurrence counts, the objective J and AdaGrad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[Any]
Context: TypeAlias = Literal["left", "both"]
MIN_BATCHES = 32
MAX_BATCH = 1 << 18
CACHED_ROWS = 1024


class Parameters(NamedTuple):
    """Parameters of GloVe for V words in D dimensions, or their gradient.

    v, v_context: (V, D) vectors of a word and of a word as context, v and ṽ.
    b, b_context: (V,) biases b and b̃.
    """

    v: Floats
    v_context: Floats
    b: Floats
    b_context: Floats


class Pairs(NamedTuple):
    """Entries of the co-occurrence matrix, arrays of shape (P,); the last two are float32.

    word, context: indices i and j. log_count: log X_ij. weight: f(X_ij).
    """

    word: npt.NDArray[np.int32]
    context: npt.NDArray[np.int32]
    log_count: Floats
    weight: Floats


def cooccurrence(
    sentences: Sequence[Sequence[int]], n_words: int, window: int, context: Context
) -> Any:
    """Return X, a (V, V) float64 CSR matrix of counts, each weighted by 1 / distance.

    X_ij sums 1/d over all positions in a sentence where word j is d ≤ window positions before
    word i (`context="left"`), or d positions before or after it (`"both"`; X is symmetric).
    Indices must be in [0, n_words).
    """
    from scipy import sparse

    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    ids = np.fromiter(
        (index for sentence in sentences for index in sentence),
        dtype=np.int32,
        count=int(lengths.sum()),
    )
    sentence_of = np.repeat(np.arange(len(lengths)), lengths)
    counts = sparse.csr_array((n_words, n_words), dtype=np.float64)
    for distance in range(1, window + 1):
        together = sentence_of[distance:] == sentence_of[:-distance]
        before, word = ids[:-distance][together], ids[distance:][together]
        ones = np.full(len(word), 1.0 / distance)
        counts = counts + sparse.csr_array((ones, (word, before)), shape=counts.shape)
    return counts if context == "left" else (counts + counts.T).tocsr()


def weighted_pairs(counts: Any, x_max: float = 100.0, alpha: float = 0.75) -> Pairs:
    """Return the entries X_ij > 0 with their weights f(x) = min(1, (x / x_max)^α)."""
    entries = counts.tocoo()
    weight = np.minimum(1.0, (entries.data / x_max) ** alpha)
    return Pairs(
        entries.row,
        entries.col,
        np.log(entries.data).astype(np.float32),
        weight.astype(np.float32),
    )


def errors(parameters: Parameters, pairs: Pairs) -> Floats:
    """Return v_iᵀṽ_j + b_i + b̃_j − log X_ij of every pair, (P,)."""
    v, v_context, b, b_context = parameters
    i, j, log_count, _ = pairs
    error: Floats = b[i] + b_context[j] - log_count
    # Blocks of a few rows fit into the CPU cache, which is three times as fast as all rows at once.
    for start in range(0, len(i), CACHED_ROWS):
        part = slice(start, start + CACHED_ROWS)
        error[part] += np.einsum("pd,pd->p", v[i[part]], v_context[j[part]])
    return error


def objective(parameters: Parameters, pairs: Pairs) -> float:
    """Return J = Σ f(X_ij) (v_iᵀṽ_j + b_i + b̃_j − log X_ij)² over `pairs`."""
    return float(np.sum(pairs.weight * errors(parameters, pairs) ** 2, dtype=np.float64))


def objective_and_gradient(parameters: Parameters, pairs: Pairs) -> tuple[float, Parameters]:
    """Return J over `pairs` and its gradient.

    With the error e_ij of a pair and G_ij = 2 f(X_ij) e_ij (a sparse V × V matrix):
    ∂J/∂v = G ṽ, ∂J/∂ṽ = Gᵀ v, ∂J/∂b = G 1, ∂J/∂b̃ = Gᵀ 1.
    """
    from scipy import sparse

    error = errors(parameters, pairs)
    weighted = pairs.weight * error
    n_words = len(parameters.b)
    slope = sparse.csr_array((2 * weighted, (pairs.word, pairs.context)), (n_words, n_words))
    gradient = Parameters(
        slope @ parameters.v_context,
        slope.T @ parameters.v,
        np.bincount(pairs.word, 2 * weighted, n_words),
        np.bincount(pairs.context, 2 * weighted, n_words),
    )
    return float(np.dot(weighted, error)), gradient


class GloveTrainer:
    """Minimise J by AdaGrad over batches of pairs, reshuffled every epoch.

    Equation: J = Σ_ij f(X_ij) (v_iᵀṽ_j + b_i + b̃_j − log X_ij)²,  f(x) = min(1, (x/x_max)^α),
    over X_ij > 0. The vector of a word is v + ṽ.

    Args:
        counts: (V, V) sparse co-occurrence matrix X.
        dim: D, length of a vector.
        seed: Random seed of the initial vectors and of the order of the pairs.
        learning_rate, x_max, alpha: Settings of the paper.

    References:
        Pennington, Socher and Manning, GloVe: Global Vectors for Word Representation, EMNLP 2014.
    """

    def __init__(
        self,
        counts: Any,
        dim: int,
        *,
        seed: int = 0,
        learning_rate: float = 0.05,
        x_max: float = 100.0,
        alpha: float = 0.75,
    ) -> None:
        self._random = np.random.default_rng(seed)
        self._learning_rate = learning_rate
        self.pairs = weighted_pairs(counts, x_max, alpha)
        shape = (counts.shape[0], dim)
        self.parameters = Parameters(
            (self._random.random(shape, dtype=np.float32) - 0.5) / (dim + 1),
            (self._random.random(shape, dtype=np.float32) - 0.5) / (dim + 1),
            _log_share(counts.sum(axis=1)),
            _log_share(counts.sum(axis=0)),
        )
        # The reference implementation also initialises the sums of squares with one.
        self._squares = Parameters(*(np.ones_like(part) for part in self.parameters))

    @property
    def vectors(self) -> npt.NDArray[np.float32]:
        """(V, D) float32, v + ṽ."""
        total: npt.NDArray[np.float32] = self.parameters.v + self.parameters.v_context
        return total

    def epoch(self) -> float:
        """Train on all pairs once; return J, summed over the batches before their steps."""
        n_pairs = len(self.pairs.word)
        batch_size = min(MAX_BATCH, -(-n_pairs // MIN_BATCHES))
        order = self._random.permutation(n_pairs)
        total = 0.0
        for start in range(0, n_pairs, batch_size):
            # In the order of the matrix, the rows of v are in the CPU cache.
            chosen = np.sort(order[start : start + batch_size])
            part, gradient = objective_and_gradient(
                self.parameters, Pairs(*(column[chosen] for column in self.pairs))
            )
            total += part
            steps = zip(self.parameters, self._squares, gradient, strict=True)
            for parameter, squares, slope in steps:
                np.add(squares, slope * slope, out=squares)
                step = self._learning_rate * slope / np.sqrt(squares)
                np.subtract(parameter, step, out=parameter)
        return total


def _log_share(totals: Any) -> npt.NDArray[np.float32]:
    """Return biases for which b_i + b̃_j equals log X_ij if words and contexts are independent.

    Vectors then learn only deviations from independence. Biases that start at zero change too
    slowly, so that the vectors mostly encode word frequency.
    """
    sums = np.asarray(totals, dtype=np.float64).ravel()
    logs = np.log(sums, out=np.zeros_like(sums), where=sums > 0)
    shares: npt.NDArray[np.float32] = (logs - np.log(sums.sum()) / 2).astype(np.float32)
    return shares
