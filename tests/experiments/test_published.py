from __future__ import annotations

import pytest

from cmr_hub.errors import UnknownNameError
from cmr_hub.experiments.published import published_figures, published_keys, published_systems

# (key, dataset): image to text, text to image, average, as the sources print them.
PRINTED = {
    ("study-2019", "wikipedia"): (0.53, 0.46, 0.495),
    ("study-2019", "pascal-sentence"): (0.52, 0.54, 0.530),
    ("study-2019-bow", "wikipedia"): (None, None, 0.460),
    ("study-2019-word2vec", "wikipedia"): (None, None, 0.480),
    ("study-2019-glove", "wikipedia"): (None, None, 0.495),
    ("study-2019-adversarial", "wikipedia"): (None, None, 0.495),
    ("study-2019-mmd", "wikipedia"): (None, None, 0.490),
    ("study-2019-coral", "wikipedia"): (None, None, 0.475),
    ("study-2019-correlation", "wikipedia"): (None, None, 0.435),
    ("study-2019-label", "wikipedia"): (None, None, 0.375),
    ("study-2019-label-triplet", "wikipedia"): (None, None, 0.430),
    ("study-2019-all-losses", "wikipedia"): (None, None, 0.495),
    ("cca-jfse", "wikipedia"): (0.298, 0.273, 0.286),
    ("cca-jfse", "pascal-sentence"): (0.203, 0.208, 0.206),
    ("acmr-jfse", "wikipedia"): (0.468, 0.412, 0.440),
    ("acmr-jfse", "pascal-sentence"): (0.538, 0.544, 0.541),
    ("acmr-fume", "wikipedia"): (0.434, 0.414, 0.424),
    ("acmr-fume", "pascal-sentence"): (0.663, 0.591, 0.627),
    ("dscmr", "wikipedia"): (0.527, 0.481, 0.504),
    ("dscmr", "pascal-sentence"): (0.710, 0.722, 0.716),
    ("dscmr-fume", "pascal-sentence"): (0.679, 0.683, 0.681),
    ("jfse", "wikipedia"): (0.527, 0.484, 0.506),
    ("jfse", "pascal-sentence"): (0.632, 0.610, 0.621),
    ("fume", "wikipedia"): (0.558, 0.501, 0.530),
    ("fume", "pascal-sentence"): (0.723, 0.724, 0.723),
    ("cca-classic", "wikipedia"): (0.244, 0.198, 0.221),
    ("jfssl-classic", "wikipedia"): (0.306, 0.228, 0.267),
}


def test_every_figure_is_as_printed() -> None:
    found = {
        (key, dataset): (figure.i2t, figure.t2i, figure.average)
        for key in published_keys()
        for dataset, figure in published_systems([key])[0].figures.items()
    }
    assert found == PRINTED


@pytest.mark.parametrize("key", published_keys())
def test_the_average_is_that_of_the_directions_but_for_rounding(key: str) -> None:
    for figure in published_systems([key])[0].figures.values():
        if figure.i2t is not None and figure.t2i is not None:
            assert figure.average == pytest.approx((figure.i2t + figure.t2i) / 2, abs=0.001)


def test_what_was_chosen_on_the_test_set_says_so() -> None:
    assert (
        "epoch chosen on: test set"
        in published_systems(["fume"])[0].figures["pascal-sentence"].protocol
    )
    assert "depth not stated" in published_systems(["study-2019"])[0].figures["wikipedia"].protocol


@pytest.mark.parametrize(
    ("keys", "dataset", "found"),
    [
        (["study-2019"], "pascal-sentence", ["pascal-sentence"]),
        (["study-2019"], "wikipedia-features", ["wikipedia"]),
        (["study-2019-bow"], "pascal-sentence", ["wikipedia"]),
        (["dscmr", "dscmr-fume"], "wikipedia-features", ["wikipedia"]),
        (["dscmr", "dscmr-fume"], "pascal-sentence", ["pascal-sentence", "pascal-sentence"]),
        ([], "pascal-sentence", []),
    ],
)
def test_another_dataset_is_named_only_if_no_system_has_the_one_asked_for(
    keys, dataset, found
) -> None:
    assert [name for _, name, _ in published_figures(keys, dataset)] == found


def test_an_unknown_system_is_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown published system 'nobody'"):
        published_systems(["nobody"])
