"""Names and arguments are those of huggingface_hub's ModelHubMixin."""

import inspect

import pytest
from huggingface_hub import ModelHubMixin

from cmr_hub.loading import load
from cmr_hub.models.cross_modal import CrossModalModel

# Of the mixin's generic way to keep a config and to choose files: a model here knows its own.
LEFT_OUT = {
    "config",
    *("model_card_kwargs", "model_kwargs", "push_to_hub_kwargs", "repo_id", "push_to_hub"),
    *("allow_patterns", "ignore_patterns", "delete_patterns"),
}


def parameters(function):
    found = inspect.signature(function).parameters.values()
    return [parameter for parameter in found if parameter.name not in ("self", "cls")]


@pytest.mark.parametrize("name", ["from_pretrained", "save_pretrained", "push_to_hub"])
def test_methods(name):
    theirs, ours = (
        parameters(getattr(ModelHubMixin, name)),
        parameters(getattr(CrossModalModel, name)),
    )
    assert ours[0].kind is theirs[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    accepted = {parameter.name for parameter in ours}
    wanted = {parameter.name for parameter in theirs[1:]} - LEFT_OUT
    assert wanted <= accepted
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in ours[1:])


def test_load_takes_what_from_pretrained_takes():
    more = {"backend", "device", "int8", "precision"}
    assert {parameter.name for parameter in parameters(load)} - more == {
        parameter.name for parameter in parameters(CrossModalModel.from_pretrained)
    }
