import numpy as np
import pytest

from cmr_hub.encoders.texts.glove_trainer import (
    GloveTrainer,
    Pairs,
    Parameters,
    cooccurrence,
    objective,
    objective_and_gradient,
    weighted_pairs,
)

SENTENCES = [[0, 1, 2, 3, 1], [2, 0], [], [4], [3, 3, 3], [1, 4, 0, 2, 4, 1, 0]]
N_WORDS = 6  # word 5 never stands


def cooccurrence_by_loop(window: int, context: str) -> np.ndarray:
    counts = np.zeros((N_WORDS, N_WORDS))
    for sentence in SENTENCES:
        for place, word in enumerate(sentence):
            for other in range(len(sentence)):
                distance = place - other if context == "left" else abs(place - other)
                if 1 <= distance <= window:
                    counts[word, sentence[other]] += 1 / distance
    return counts


@pytest.mark.parametrize("window", [1, 2, 10])
@pytest.mark.parametrize("context", ["left", "both"])
def test_cooccurrence_equals_a_plain_loop(window, context) -> None:
    counts = cooccurrence(SENTENCES, N_WORDS, window, context)
    expected = cooccurrence_by_loop(window, context)
    np.testing.assert_allclose(counts.toarray(), expected, rtol=1e-12)
    assert counts.nnz == np.count_nonzero(expected)


def test_cooccurrence_of_nothing() -> None:
    assert cooccurrence([], 3, 2, "both").nnz == 0
    assert cooccurrence([[], [1]], 3, 2, "left").nnz == 0


def weight(count: float) -> float:
    return min(1.0, (count / 2.0) ** 0.75)


def objective_by_loop(parameters: Parameters, counts: np.ndarray) -> float:
    total = 0.0
    for i in range(N_WORDS):
        for j in range(N_WORDS):
            if counts[i, j] > 0:
                product = sum(
                    float(a) * float(b)
                    for a, b in zip(parameters.v[i], parameters.v_context[j], strict=True)
                )
                error = product + parameters.b[i] + parameters.b_context[j] - np.log(counts[i, j])
                total += weight(counts[i, j]) * error**2
    return total


@pytest.fixture
def tiny():
    """Parameters and pairs in float64, and the dense counts."""
    counts = cooccurrence(SENTENCES, N_WORDS, 3, "left")
    random = np.random.default_rng(0)
    parameters = Parameters(
        *(random.normal(size=shape) for shape in ((N_WORDS, 4), (N_WORDS, 4), N_WORDS, N_WORDS))
    )
    entries = counts.tocoo()
    pairs = Pairs(
        entries.row,
        entries.col,
        np.log(entries.data),
        np.array([weight(count) for count in entries.data]),
    )
    return parameters, pairs, counts


def test_weights_and_logs(tiny) -> None:
    _, pairs, counts = tiny
    found = weighted_pairs(counts, x_max=2.0, alpha=0.75)
    for part, expected in zip(found, pairs, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-6)
    assert found.weight.max() == 1.0
    assert found.weight.min() < 0.5


def test_objective_equals_a_plain_loop(tiny) -> None:
    parameters, pairs, counts = tiny
    expected = objective_by_loop(parameters, counts.toarray())
    assert objective(parameters, pairs) == pytest.approx(expected, rel=1e-12)
    assert objective_and_gradient(parameters, pairs)[0] == pytest.approx(expected, rel=1e-12)


def test_gradient_equals_finite_differences_of_the_plain_loop(tiny) -> None:
    parameters, pairs, counts = tiny
    dense = counts.toarray()
    _, gradient = objective_and_gradient(parameters, pairs)
    step = 1e-6
    for part, slope in zip(parameters, gradient, strict=True):
        for place in np.ndindex(part.shape):
            kept = part[place]
            part[place] = kept + step
            above = objective_by_loop(parameters, dense)
            part[place] = kept - step
            below = objective_by_loop(parameters, dense)
            part[place] = kept
            expected = (above - below) / (2 * step)
            assert slope[place] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_one_step_is_adagrad_as_the_paper_has_it() -> None:
    # One pair only, so an epoch is one step.
    counts = cooccurrence([[0, 1]], 2, 1, "left")
    trainer = GloveTrainer(counts, 3, seed=5, x_max=2.0)
    before = Parameters(*(part.copy() for part in trainer.parameters))
    start, gradient = objective_and_gradient(before, trainer.pairs)
    assert trainer.epoch() == pytest.approx(start)
    for old, new, slope in zip(before, trainer.parameters, gradient, strict=True):
        np.testing.assert_allclose(new, old - 0.05 * slope / np.sqrt(1 + slope**2), rtol=1e-5)
    np.testing.assert_array_equal(
        trainer.vectors, trainer.parameters.v + trainer.parameters.v_context
    )


def test_first_biases_are_those_of_independent_words() -> None:
    # Rank one: words and contexts are independent, so nothing remains to be learnt.
    from scipy import sparse

    counts = sparse.csr_array(np.outer([1.0, 2.0, 5.0], [3.0, 4.0, 0.5]))
    trainer = GloveTrainer(counts, 2)
    biases = trainer.parameters.b[:, None] + trainer.parameters.b_context
    np.testing.assert_allclose(biases, np.log(counts.toarray()), atol=1e-6)


def test_the_objective_falls_and_a_seed_decides_all() -> None:
    random = np.random.default_rng(0)
    sentences = [random.zipf(1.5, size=12) % 50 for _ in range(300)]
    counts = cooccurrence(sentences, 50, 5, "left")
    first, again, other = (GloveTrainer(counts, 8, seed=seed) for seed in (1, 1, 2))
    exact = [objective(first.parameters, first.pairs)]
    curve = []
    for _ in range(10):
        curve.append(first.epoch())
        again.epoch()
        other.epoch()
        exact.append(objective(first.parameters, first.pairs))
    assert all(np.diff(exact) < 0)
    assert all(np.diff(curve) < 0)
    # J of an epoch lies between J before it and J after it.
    assert all(exact[k] > curve[k] > exact[k + 1] for k in range(10))
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert not np.array_equal(first.vectors, other.vectors)
