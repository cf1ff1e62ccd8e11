"""The lookup that all registries share; their own names are tested beside them."""

from __future__ import annotations

import json

import pytest

from cmr_hub.errors import UnknownNameError
from cmr_hub.registry import registered

REGISTRY = {"loads": "json:loads", "dumps": "json:dumps", "gone": "no_such_module:thing"}


def test_a_name_gives_its_attribute() -> None:
    assert registered("tool", "loads", REGISTRY) is json.loads


def test_only_what_is_asked_for_is_imported() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        registered("tool", "gone", REGISTRY)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown tool 'load'.*: loads, dumps, gone"):
        registered("tool", "load", REGISTRY)
