import json
from dataclasses import FrozenInstanceError, replace

import pytest

from cmr_hub.losses.objective import build_objective
from cmr_hub.training.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_objective_can_be_built(name):
    preset = PRESETS[name]
    assert preset.name == name
    objective = build_objective(preset.objective, preset.dim or 7, n_classes=5)
    assert set(objective.terms) == set(preset.objective)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_json(name):
    settings = PRESETS[name].as_dict()
    assert json.loads(json.dumps(settings)).keys() == settings.keys()
    assert settings["name"] == name
    assert settings["objective"] == PRESETS[name].objective
    assert settings["image_hidden"] == list(PRESETS[name].image_hidden)


def test_presets_cannot_be_changed():
    preset = PRESETS["acmr-paper"]
    with pytest.raises(FrozenInstanceError):
        preset.epochs = 1
    preset.as_dict()["objective"]["label"] = "changed"
    assert isinstance(preset.objective["label"], dict)
    assert replace(preset, epochs=1).as_dict() == preset.as_dict() | {"epochs": 1}
