"""The module changes its process for good, so what it does is looked at in processes of its own."""

import importlib.util
import subprocess
import sys
import time

import pytest
import torch
from at_once import at_once

from cmr_hub.encoders import torchvision_ops

PLAIN = """
try:
    import torchvision
except RuntimeError as error:
    assert "operator torchvision::nms does not exist" in str(error), error
    print("needs help")
else:
    print("works")
"""
HELPED = """
from cmr_hub.encoders import torchvision_ops
torchvision_ops.ensure_torchvision()
declared = torchvision_ops._declared
torchvision_ops.ensure_torchvision()
assert torchvision_ops._declared is declared
import torch, torchvision
from torchvision.models import mobilenet_v2
from torchvision.transforms import v2
assert v2.CenterCrop(4)(torch.zeros(3, 8, 8)).shape == (3, 4, 4)
torchvision_ops.ensure_torchvision()
assert torchvision_ops._declared is declared
print("works" if declared is None else "needs help")
"""


def test_helps_exactly_where_help_is_needed():
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for code in (PLAIN, HELPED)
    ]
    (plain, plain_errors), (helped, helped_errors) = (run.communicate() for run in runs)
    assert [run.returncode for run in runs] == [0, 0], plain_errors + helped_errors
    assert helped == plain


@pytest.fixture
def declared(monkeypatch):
    """The schemas that were declared, though none is, in a process that looks fresh."""
    schemas = []

    class Library:
        def __init__(self, *arguments):
            assert arguments == ("torchvision", "DEF")

        def define(self, schema):
            schemas.append(schema)

    monkeypatch.setattr(torch.library, "Library", Library)
    monkeypatch.setattr(torchvision_ops, "_declared", None)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    return schemas


def test_declares_once_where_the_operators_do_not_load(declared, monkeypatch):
    monkeypatch.setattr(torchvision_ops, "_operators_load", lambda folders: False)
    torchvision_ops.ensure_torchvision()
    torchvision_ops.ensure_torchvision()
    assert [schema.partition("(")[0] for schema in declared] == ["nms", "qnms"]


def test_declares_once_in_many_threads(declared, monkeypatch):
    monkeypatch.setattr(torchvision_ops, "_operators_load", lambda folders: time.sleep(0.05))

    def help_and_look():
        torchvision_ops.ensure_torchvision()
        return len(declared)

    assert at_once([help_and_look] * 4) == [2] * 4


def test_nothing_where_the_operators_load(declared, monkeypatch):
    monkeypatch.setattr(torchvision_ops, "_operators_load", bool)
    torchvision_ops.ensure_torchvision()
    assert declared == []


def test_nothing_where_torchvision_is_already_there(declared, monkeypatch):
    monkeypatch.setattr(torchvision_ops, "_operators_load", lambda folders: False)
    monkeypatch.setitem(sys.modules, "torchvision", object())
    torchvision_ops.ensure_torchvision()
    assert declared == []


def test_nothing_where_torchvision_is_not_installed(declared, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    torchvision_ops.ensure_torchvision()
    assert declared == []


def test_operators_of_another_build_do_not_load(tmp_path):
    assert not torchvision_ops._operators_load([str(tmp_path)])
    (tmp_path / "_C.so").write_bytes(b"\x7fELF and no more")
    assert not torchvision_ops._operators_load([str(tmp_path)])
