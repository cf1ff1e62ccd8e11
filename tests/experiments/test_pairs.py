"""What a pair is, and which are held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.joined import joined
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import TrainingError
from cmr_hub.experiments.methods import get_method, method_names
from cmr_hub.experiments.pairs import (
    by_sentences,
    complete_pairs,
    pair_rows,
    paired_features,
    training_splits,
)
from cmr_hub.training.presets import CAPTIONS, PRESETS


@pytest.fixture
def pictures(colour_folder):
    return load_dataset("folder", colour_folder)


@pytest.fixture
def several(pictures):
    """24 pictures without label and the same 24 with, each of two captions."""
    unlabelled = replace(pictures, name="plain", labels=np.full(36, -1), classes=())
    return joined([unlabelled, pictures]).split("train")


def test_a_pair_for_each_caption_and_for_each_labelled_item(several):
    words = text_encoder("bow").fit(several.sentences)
    rows = pair_rows(several, words, True)
    expected = []
    for item, sentences in enumerate(several.sentences):
        expected += [(item, (sentence,), False) for sentence in sentences]
        if several.labels[item] >= 0:
            expected.append((item, sentences, True))
    captions = rows.captions
    found = zip(captions.items, rows.documents, captions.whole, strict=True)
    assert [(int(item), tuple(text), bool(whole)) for item, text, whole in found] == expected
    np.testing.assert_array_equal(rows.labels, several.labels[captions.items])
    np.testing.assert_array_equal(captions.sources, captions.items // 24)
    by_items = pair_rows(several, words, False)
    assert by_items.documents == several.sentences
    assert by_items.captions is None


def test_captions_without_a_known_word_are_left_out(pictures):
    words = text_encoder("bow").fit(pictures.sentences)
    sentences = (("zyx", "flame"), *(("zyx",),) * 35)
    strange = replace(pictures, sentences=sentences, labels=np.full(36, -1), classes=())
    assert list(pair_rows(strange, words, True).documents) == [("flame",)]
    with pytest.raises(TrainingError, match="no caption of folder has a word that bow knows"):
        pair_rows(strange.subset([1, 2]), words, True)


def test_when_captions_are_pairs(pictures):
    assert by_sentences(pictures, CAPTIONS)
    assert not by_sentences(pictures, PRESETS["infonce"])
    unlabelled = replace(pictures, labels=np.full(36, -1))
    assert by_sentences(unlabelled, PRESETS["infonce"])
    assert by_sentences(unlabelled, get_method("cca"))


def test_items_without_label_stay_where_they_can_be_learnt_from(several):
    assert len(complete_pairs(several, CAPTIONS)) == 48
    assert len(complete_pairs(several, PRESETS["acmr-paper"])) == 24


def test_all_pairs_of_an_item_are_held_out_together_and_of_each_dataset_a_share(
    several, mobilenet, tmp_path
):
    words = text_encoder("bow").fit(several.sentences)
    cache = FeatureCache(tmp_path)

    def features(part):
        return paired_features(part, mobilenet, words, cache, sentences=True)

    preset = replace(CAPTIONS, validation_fraction=0.25)
    splits = training_splits(several, preset, 0, features)
    whole = features(several)
    assert splits.refit.sha256 == whole.sha256
    assert len(splits.fit) + len(splits.validation) == len(whole)
    held = splits.validation
    assert len(held.images) == 6 + 6
    assert np.bincount(held.captions.sources).tolist() == [6 * 2, 6 * 3]
    # Two of each class of the labelled ones, each with its two captions and all of them.
    assert np.bincount(held.labels[held.captions.whole]).tolist() == [2, 2, 2]
    other = training_splits(several, preset, 1, features)
    assert other.validation.sha256 != held.sha256


def test_methods_that_do_without_labels():
    without = [name for name in method_names() if not get_method(name).needs_labels()]
    assert set(without) == {
        *("mmd", "coral", "correlation", "supcon", "infonce", "cmpm", "dcca", "adapter"),
        *("captions", "random", "cca", "kcca", "pls", "paired-neighbours"),
    }
