from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from cmr_hub.baselines.linear_expert import with_linear_experts
from cmr_hub.errors import TrainingError
from cmr_hub.models.projector import Projector
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.presets import LinearExpert

EXPERT = LinearExpert(image_penalty=0.1, text_penalty=0.02, temperature=0.5)
CLASSES = 4


def pairs(seed: int, n: int = 60) -> PairedFeatures:
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    means = np.random.default_rng(0).standard_normal((CLASSES, 9))
    rows = means[labels] + generator.standard_normal((n, 9))
    texts = np.hstack([rows[:, ::-1] * 3 + 1, rows[:, :2]])
    return PairedFeatures(rows.astype("f4"), texts.astype("f4"), labels, CLASSES)


@pytest.fixture
def splits() -> TrainingSplits:
    return TrainingSplits(pairs(1), pairs(2), refit=pairs(3))


def network(rows: np.ndarray, slot: int, **changes) -> Projector:
    settings = {"hidden": (7,), "dim": CLASSES + 2, "output": f"posterior-{slot}"} | changes
    projector = Projector(rows.shape[1], **settings)
    projector.scaling.fit(torch.from_numpy(rows))
    return projector.eval()


def linear_posterior(rows, labels, asked, penalty):
    """scikit-learn on scaled rows, in the plain way."""
    mean = rows.mean(0)
    scale = 10 / np.sqrt(((rows - mean) ** 2).sum(1).mean())
    model = LogisticRegression(C=penalty, max_iter=5000, tol=1e-8)
    model.fit((rows - mean) * scale, labels)
    return model.decision_function((asked - mean) * scale)


def test_the_product_is_the_geometric_mean_of_both(splits):
    torch.manual_seed(0)
    final, asked = splits.final, pairs(4)
    # As after fine-tuning: scaled by other rows than the regression's.
    before = network(final.images * 2 + 1, 0), network(final.texts, 1)
    after = with_linear_experts(*before, splits, EXPERT)
    for old, new, known, rows, penalty in (
        (before[0], after[0], final.images, asked.images, EXPERT.image_penalty),
        (before[1], after[1], final.texts, asked.texts, EXPERT.text_penalty),
    ):
        logits = linear_posterior(known, final.labels, rows, penalty) / EXPERT.temperature
        with torch.no_grad():
            own = old(torch.from_numpy(rows))[:, :CLASSES].numpy()
            found = new(torch.from_numpy(rows))[:, :CLASSES].numpy()
        product = np.sqrt(own * softmax(logits, axis=1))
        np.testing.assert_allclose(found, product / product.sum(1, keepdims=True), atol=2e-3)
        assert np.abs(found - own).max() > 0.1
        assert new.output == old.output
        assert not new.training


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": ()},
        {"hidden": (5, 5)},
        {"activation": "tanh"},
        {"output": "softmax", "dim": CLASSES},
    ],
)
def test_other_networks_are_refused(splits, changes):
    images = network(splits.final.images, 0, **changes)
    with pytest.raises(TrainingError, match="one hidden ReLU layer"):
        with_linear_experts(images, network(splits.final.texts, 1), splits, EXPERT)


def test_a_class_without_pairs(splits):
    kept = splits.refit.subset(np.flatnonzero(splits.refit.labels > 0))
    with pytest.raises(TrainingError, match="pairs of all 4 classes; there are pairs of 3"):
        with_linear_experts(
            network(kept.images, 0),
            network(kept.texts, 1),
            replace(splits, refit=kept),
            EXPERT,
        )
