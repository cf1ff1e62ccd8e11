from __future__ import annotations

from itertools import product

from cmr_hub.baselines.search import search_settings

GRID = {"a": (1.0, 2.0, 3.0, 4.0), "b": (0.1, 0.2, 0.3), "c": (5.0,)}


def test_finds_the_best_of_the_whole_grid_where_settings_lean_on_each_other():
    def score(settings):
        return -((settings["a"] - 1) ** 2) - (10 * settings["b"] - settings["a"]) ** 2

    best = max(product(*GRID.values()), key=lambda v: score(dict(zip(GRID, v, strict=True))))
    assert tuple(search_settings(GRID, score).values()) == best == (1.0, 0.1, 5.0)


def test_of_equal_settings_it_keeps_the_middle():
    assert search_settings(GRID, lambda _: 0.5) == {"a": 3.0, "b": 0.2, "c": 5.0}


def test_scores_nothing_twice():
    asked = []

    def score(settings):
        asked.append(tuple(settings.values()))
        return -settings["a"]

    search_settings(GRID, score)
    assert len(asked) == len(set(asked))


def test_a_score_that_is_not_a_number_is_never_chosen():
    def score(settings):
        return float("nan") if settings["a"] == 4 else settings["a"]

    assert search_settings(GRID, score)["a"] == 3


def test_goes_through_all_settings_again_after_one_has_changed():
    gains = {(3.0, 0.2): 0, (3.0, 0.1): 1, (1.0, 0.1): 2}

    def score(settings):
        return gains.get((settings["a"], settings["b"]), -1)

    assert search_settings(GRID, score) == {"a": 1.0, "b": 0.1, "c": 5.0}
