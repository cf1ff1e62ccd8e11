import json
from dataclasses import FrozenInstanceError, replace

import pytest

from cmr_hub.errors import TrainingError
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


def test_what_a_preset_does_without_is_not_in_its_settings():
    """Stored runs are found by these settings: a new field must not change the old ones."""
    without = [name for name in PRESETS if "residual" not in PRESETS[name].as_dict()]
    assert without == [name for name in PRESETS if name != "adapter"]
    assert PRESETS["adapter"].as_dict()["residual"] is True
    assert replace(PRESETS["adapter"], residual=False).as_dict().keys() == (
        PRESETS["adapter"].as_dict().keys() - {"residual"}
    )


def test_common_dim():
    assert PRESETS["infonce"].common_dim(1280, 300, 20) == PRESETS["infonce"].dim
    assert PRESETS["cmr-best"].common_dim(1280, 300, 20) == 22
    assert PRESETS["adapter"].common_dim(512, 512, 20) == 512
    with pytest.raises(
        TrainingError, match=r"encoder of one dual encoder.*1280 and 300 dimensions"
    ):
        PRESETS["adapter"].common_dim(1280, 300, 20)
    with pytest.raises(TrainingError, match="leave out dim = 64"):
        replace(PRESETS["adapter"], dim=64).common_dim(512, 512, 20)
    assert replace(PRESETS["adapter"], dim=512).common_dim(512, 512, 20) == 512
