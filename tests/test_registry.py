"""What all registries share; their own names are tested beside them."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest

from cmr_hub import registry
from cmr_hub.errors import CMRError, UnknownNameError
from cmr_hub.registry import Registry

PLACES = {"loads": "json:loads", "dumps": "json:dumps", "gone": "no_such_module:thing"}


@pytest.fixture
def tools() -> Registry:
    return Registry("tool", "cmr_hub.tests", PLACES)


@pytest.fixture
def declared(monkeypatch) -> None:
    points = [
        EntryPoint("theirs", "json:JSONDecoder", "cmr_hub.tests"),
        EntryPoint("loads", "json:JSONDecoder", "cmr_hub.tests"),
        EntryPoint("broken", "no_such_module:thing", "cmr_hub.tests"),
    ]
    found = {point.name: point for point in points}
    monkeypatch.setattr(registry, "_declared", lambda group: found if "tests" in group else {})


def test_a_name_gives_its_attribute(tools) -> None:
    assert tools["loads"] is json.loads
    assert "loads" in tools
    assert dict.fromkeys(tools) == dict.fromkeys(PLACES)
    assert len(tools) == 3


def test_only_what_is_asked_for_is_imported(tools) -> None:
    assert "gone" in tools
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        tools["gone"]


def test_an_unknown_name_lists_the_known_ones(tools, declared) -> None:
    tools.register("mine")(len)
    with pytest.raises(
        UnknownNameError,
        match=r"unknown tool 'load'.*: loads, dumps, gone, mine, theirs, broken",
    ):
        tools["load"]


def test_those_of_other_packages(tools, declared) -> None:
    assert tools["theirs"] is json.JSONDecoder
    assert tools["loads"] is json.loads, "ours cannot be replaced"
    with pytest.raises(CMRError, match=r"the tool 'broken' of the package .* ModuleNotFoundError"):
        tools["broken"]


def test_one_of_ones_own(tools, declared) -> None:
    @tools.register("mine")
    class Mine: ...

    assert tools["mine"] is Mine
    assert tools.register("mine")(Mine) is Mine
    for taken in ("mine", "loads", "theirs"):
        with pytest.raises(CMRError, match=r"there is a tool .* already"):
            tools.register(taken)(len)


def test_only_of_its_kind(monkeypatch) -> None:
    """Two registries of one group: each returns subclasses of its own base only."""
    points = [
        EntryPoint(name, f"json:{name}", "cmr_hub.tests") for name in ("JSONDecoder", "loads")
    ]
    monkeypatch.setattr(registry, "_declared", lambda group: {one.name: one for one in points})
    decoders = Registry("decoder", "cmr_hub.tests", {}, base="json:JSONDecoder")
    encoders = Registry("encoder", "cmr_hub.tests", {}, base="json:JSONEncoder")
    assert decoders["JSONDecoder"] is json.JSONDecoder
    assert decoders.name_of(json.JSONDecoder) == "JSONDecoder"
    for tools, name in ((encoders, "JSONDecoder"), (encoders, "loads"), (decoders, "loads")):
        with pytest.raises(
            CMRError, match=f"{name!r} of the package json is not a valid {tools.kind}"
        ):
            tools[name]
    with pytest.raises(
        CMRError, match="a new encoder must be a subclass of json:JSONEncoder, not <class"
    ):
        encoders.register("mine")(json.JSONDecoder)
    with pytest.raises(CMRError, match=r"register\(\) needs a name, not <class"):
        encoders.register(json.JSONEncoder)
