"""Synthetic pictures drawn from random seeds, with sentences that describe them correctly.

Example:
    >>> from cmr_hub_sketches import draw, make_scene, sentences
    >>> scene = make_scene(5, "bus")
    >>> draw(scene, width=640).save("bus.png")                              # doctest: +SKIP
    >>> sentences(scene)[0]                                                 # doctest: +SKIP
    'There is a red bus on a road through the desert on a cloudy day.'
"""

from __future__ import annotations

from cmr_hub_sketches.compose import make_scene
from cmr_hub_sketches.draw import draw
from cmr_hub_sketches.grammar import sentences
from cmr_hub_sketches.objects import CLASSES
from cmr_hub_sketches.scene import Group, Place, Scene
from cmr_hub_sketches.settings import SETTINGS

__all__ = ["CLASSES", "SETTINGS", "Group", "Place", "Scene", "draw", "make_scene", "sentences"]
