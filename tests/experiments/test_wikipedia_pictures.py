"""Wikipedia's original pictures and articles, from the files to a search."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr_hub.datasets import PairDataset, load_dataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images.vgg16 import VGG16Encoder, vgg16
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.experiments.run import run_experiment
from cmr_hub.gallery.build import build_gallery
from cmr_hub.training.presets import PRESETS


@pytest.fixture(scope="module")
def random_vgg16():
    """Its ImageNet weights are 528 MB to download; random ones tell pictures apart a little."""
    with torch.device("meta"):
        blueprints = vgg16().state_dict()
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, blueprint in blueprints.items():
        # Without a bias above zero a random network of this depth goes dark.
        bound = (6 / blueprint[0].numel()) ** 0.5 if blueprint.ndim > 1 else 0.1
        state[name] = torch.empty(blueprint.shape).uniform_(-bound, bound, generator=generator)
    return VGG16Encoder(state, "file")


def test_from_files_to_search(data_home, random_vgg16, tmp_path):
    dataset = load_dataset("wikipedia", data_home / "wikipedia")
    assert isinstance(dataset, PairDataset)
    assert len(dataset) == 11
    # The eleven whole pairs are ten of the training list and one of the test list: too few for
    # the protocol, enough to go all the way.
    dataset = replace(dataset, splits=np.repeat(["train", "validation", "test"], [6, 2, 3]))
    cache = FeatureCache(tmp_path)
    preset = replace(
        PRESETS["acmr-paper"],
        **{"epochs": 60, "early_stopping": False, "learning_rate": 1e-3, "dropout": (0.0, 0.0)},
    )
    experiment = run_experiment(
        dataset,
        preset,
        0,
        image_encoder=random_vgg16,
        text_encoder=text_encoder("bow", min_df=1),
        cache=cache,
    )
    assert experiment.record.image_encoder == "vgg16"
    assert experiment.record.pairs == {"train": 6, "validation": 2, "test": 3}
    losses = [row["loss"] for row in experiment.history]
    assert losses[-1] < losses[0]

    model = experiment.model
    model.gallery = build_gallery(model, dataset, cache=cache)
    assert len(model.gallery) == 11
    training = dataset.split("train")
    for position, sentences in enumerate(training.sentences):
        # A whole article of the training split finds its own picture among the first.
        hits = model.search(" ".join(sentences), k=3)
        assert [hit.rank for hit in hits] == [1, 2, 3]
        assert training.images[position] in [hit.path for hit in hits]
    hits = model.search(image=dataset.images[0], k=11)
    assert sorted(hit.id for hit in hits) == sorted(dataset.ids)
    assert all(hit.sentences for hit in hits)
