import pytest

from cmr_hub.models.zero_shot_comparison import against_zero_shot, starts_from_features

BEFORE = {"map_avg": 0.5, "recall_avg": 0.25}


def record(map_avg, recall_avg, **changes):
    figures = {"map_avg": map_avg, "recall_avg": recall_avg}
    return {"epochs": 3, **figures, "zero_shot": BEFORE, **changes}


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (
            record(0.625, 0.25),
            "improved on zero-shot on the test pairs: MAP@all 0.625 against 0.500.",
        ),
        (record(0.375, 0.25), "BELOW zero-shot on the test pairs: MAP@all 0.375 against 0.500."),
        (record(0.625, 0.125), "@10) 0.125 against 0.250."),
        (record(0.5, 0.25), "Training changed nothing on the test pairs."),
        (record(None, 0.5), "improved on zero-shot on the test pairs: recall of the own pair"),
        (record(0.5, 0.25, epochs=0), "this model is the zero-shot model."),
        (record(0.5, 0.25, zero_shot=None), ""),
    ],
)
def test_what_training_has_changed(run, said):
    assert said in against_zero_shot(run)
    assert bool(said) == bool(against_zero_shot(run))


def test_better_and_worse_are_both_said():
    said = against_zero_shot(record(0.625, 0.125))
    assert said.index("MAP@all") < said.index("BELOW") < said.index("recall of the own pair")
    assert "BELOW" not in against_zero_shot(record(0.625, 0.5))
    assert "improved" not in against_zero_shot(record(0.375, 0.125))


def test_a_run_of_before_there_was_zero_shot_says_nothing():
    assert against_zero_shot({"epochs": 0, "map_avg": 0.5}) == ""
    assert not starts_from_features({"epochs": 0, "map_avg": 0.5})


def test_starts_from_features():
    assert starts_from_features(record(0.5, 0.5, fine_tuned=None))
    assert not starts_from_features(record(0.5, 0.5, fine_tuned={"blocks": 1}))
    assert not starts_from_features(record(0.5, 0.5, text_fine_tuned={"layers": 1}))
