"""The direct sum of class posteriors and CCA."""

from __future__ import annotations

import numpy as np
import pytest

from cmr_hub.baselines.cca import CCABaseline
from cmr_hub.baselines.posterior import PosteriorBaseline
from cmr_hub.baselines.posterior_cca import SHARES, PosteriorCCABaseline
from cmr_hub.metrics.validation import validation_map
from cmr_hub.models.config import ProjectorConfig
from cmr_hub.models.projector import Projector


@pytest.fixture
def splits(make_splits):
    return make_splits(noise=1.0, image_dim=40, text_dim=30)


def cosines(fitted, asked):
    return fitted.images.embed(asked.images) @ fitted.texts.embed(asked.texts).T


def test_its_cosine_is_the_weighted_sum_of_those_of_its_parts(splits, pairs):
    fitted = PosteriorCCABaseline().fit(splits, 0)
    asked = pairs(30, 5, noise=1.0, image_dim=40, text_dim=30)
    share = fitted.settings["share"]
    parts = [one().fitted(splits, fitted.settings) for one in (PosteriorBaseline, CCABaseline)]
    classes, partners = (cosines(part, asked) for part in parts)
    expected = (1 - share) * classes + share * partners
    np.testing.assert_allclose(cosines(fitted, asked), expected, atol=1e-5)
    # PyTorch, NumPy and a projector built again from its file agree.
    again = Projector(**ProjectorConfig(**fitted.images.settings).model_dump())
    again.load_state_dict(fitted.images.state_dict())
    rows = fitted.images.embed(asked.images)
    np.testing.assert_array_equal(again.embed(asked.images), rows)
    import torch

    np.testing.assert_allclose(
        again.eval()(torch.from_numpy(asked.images)).detach(), rows, atol=1e-5
    )


def test_its_share_costs_no_map_on_the_validation_pairs(splits):
    """The next larger share would cost some, with the same settings of both parts."""
    from dataclasses import replace

    known, held_out = replace(splits, refit=None), splits.validation
    fitted = PosteriorCCABaseline().fit(known, 0)
    parts = [one().fitted(known, fitted.settings) for one in (PosteriorBaseline, CCABaseline)]

    def value(share):
        images, texts = (
            np.hstack([a * (1 - share) ** 0.5, b * share**0.5])
            for a, b in (
                [getattr(part, side).embed(getattr(held_out, side)) for part in parts]
                for side in ("images", "texts")
            )
        )
        return validation_map(images, texts, held_out.labels)

    place = SHARES.index(fitted.settings["share"])
    alone = PosteriorBaseline().fit(known, 0)
    least = validation_map(
        alone.images.embed(held_out.images), alone.texts.embed(held_out.texts), held_out.labels
    )
    assert value(SHARES[place]) >= least
    assert all(value(share) < least for share in SHARES[:place])
