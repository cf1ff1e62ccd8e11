import json
from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from cmr_hub.losses.objective import build_objective
from cmr_hub.models.projector import Projector
from cmr_hub.training.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_built(name):
    preset = PRESETS[name]
    assert preset.name == name
    objective = build_objective(preset.objective, preset.dim, n_classes=5)
    assert set(objective.terms) == set(preset.objective)
    shape = (preset.dim, preset.activation, preset.dropout, preset.output, preset.radius)
    projectors = [
        Projector(7, hidden, *shape) for hidden in (preset.image_hidden, preset.text_hidden)
    ]
    rows = [projector(torch.ones(10, 7)) for projector in projectors]
    objective.observe(torch.ones(10, 7), torch.ones(10, 7))
    total, _ = objective(*rows, torch.arange(10) % 5)
    assert torch.isfinite(total)


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
