import colorsys
import hashlib
import io
import subprocess
import sys
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import resvg_py
from PIL import Image

from cmr_hub_sketches import CLASSES, SETTINGS, draw, make_scene
from cmr_hub_sketches.colours import COLOURS
from cmr_hub_sketches.draw import svg
from cmr_hub_sketches.kit import Art, curve_path, limb_path, number, xy
from cmr_hub_sketches.objects import KINDS
from cmr_hub_sketches.objects.kind import Look
from cmr_hub_sketches.props import PROPS
from cmr_hub_sketches.room import box_of

# Hue in degrees, saturation and value in 0..1: what people call by these names, told anew here.
NAMED = {
    "red": lambda h, s, v: ((h < 14) | (h > 346)) & (s > 0.5) & (v > 0.3),
    "orange": lambda h, s, v: (h > 14) & (h < 42) & (s > 0.5) & (v > 0.55),
    "golden": lambda h, s, v: (h > 24) & (h < 48) & (s > 0.3) & (v > 0.6),
    "yellow": lambda h, s, v: (h > 36) & (h < 62) & (s > 0.4) & (v > 0.6),
    "green": lambda h, s, v: (h > 90) & (h < 170) & (s > 0.3) & (v > 0.25),
    "blue": lambda h, s, v: (h > 195) & (h < 235) & (s > 0.4) & (v > 0.35),
    "purple": lambda h, s, v: (h > 255) & (h < 300) & (s > 0.25) & (v > 0.3),
    "pink": lambda h, s, v: (h > 315) & (s > 0.15) & (s < 0.65) & (v > 0.6),
    "brown": lambda h, s, v: (h > 10) & (h < 40) & (s > 0.35) & (v < 0.7) & (v > 0.2),
    "black": lambda h, s, v: v < 0.35,
    "white": lambda h, s, v: (s < 0.15) & (v > 0.75),
    "grey": lambda h, s, v: (s < 0.2) & (v > 0.35) & (v < 0.85),
}


def share_of(image, colour, box):
    left, top, right, bottom = (round(side) for side in box)
    pixels = np.asarray(image, dtype=float)[max(top, 0) : bottom, max(left, 0) : right] / 255
    rows = [colorsys.rgb_to_hsv(*pixel) for pixel in pixels.reshape(-1, 3)[::3]]
    h, s, v = np.array(rows).T
    return np.mean(NAMED[colour](h * 360, s, v))


def test_a_seed_is_a_picture():
    scene = make_scene(11)
    image = draw(scene)
    assert image.mode == "RGB"
    assert image.size == (320, 240)
    assert draw(scene, 112).size == (112, 84)
    code = (
        "import hashlib; from cmr_hub_sketches import draw, make_scene; "
        "print(hashlib.sha256(draw(make_scene(11)).tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == hashlib.sha256(image.tobytes()).hexdigest()


@pytest.mark.parametrize("label", CLASSES)
def test_every_class_draws_in_every_pose_and_its_colour_is_seen(label):
    kind = KINDS[label]
    wanted = dict.fromkeys(kind.poses)
    seen = set()
    for seed in range(200):
        scene = make_scene(seed, label)
        if (scene.main.pose in seen and len(set(scene.main.colours)) == 1) or scene.time != "day":
            continue
        if scene.weather in ("foggy", "snowy", "rainy"):
            continue
        seen.add(scene.main.pose)
        image = draw(scene)
        for place, colour in zip(scene.main.places, scene.main.colours, strict=True):
            box = box_of(kind.poses[scene.main.pose], place)
            for part in colour.split(" and "):
                share = share_of(image, part, (box.left, box.top, box.right, box.bottom))
                assert share > 0.03, (scene.main, part)
        if len(seen) == len(wanted):
            return
    assert len(seen) == len(wanted)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_draws_at_every_hour(setting):
    scene = next(s for s in map(make_scene, range(2000)) if s.setting == setting)
    brightness = {}
    airs = (("day", "sunny"), ("day", "rainy"), ("sunset", "clear"), ("night", "clear"))
    for time, weather in airs:
        indoors = scene.wall is not None
        here = replace(scene, time=time, weather=None if indoors else weather)
        image = np.asarray(draw(here, 160))
        assert image.std() > 15
        brightness[time, weather] = image.mean()
    assert brightness["night", "clear"] < brightness["day", "sunny"] - 15


def test_no_pixel_is_left_out():
    """Opaque everywhere: a gap between sky and ground would be a hole."""
    for seed in range(0, 400, 7):
        data = resvg_py.svg_to_bytes(svg_string=svg(make_scene(seed)), width=160)
        alpha = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[..., 3]
        assert alpha.min() == 255, seed


@pytest.mark.parametrize("kind", [*KINDS.values(), *PROPS.values()], ids=lambda kind: kind.name)
def test_things_fill_the_box_that_they_say(kind):
    """What stands too wide, too high or beside its place would be cut off or float."""
    for pose, (width, height) in kind.poses.items():
        scale = 150 / max(width, height)
        art = Art(lambda colour: colour)
        with art.at(150, 200, scale):
            kind.draw(art, Look((200, 60, 60), None, pose, False, Random(3)))
        data = resvg_py.svg_to_bytes(svg_string=art.svg(300, 260))
        alpha = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[..., 3]
        rows, columns = np.nonzero(alpha > 60)
        tolerance = 16
        assert abs(columns.min() - (150 - width * scale / 2)) < tolerance, pose
        assert abs(columns.max() - (150 + width * scale / 2)) < tolerance, pose
        assert abs(rows.min() - (200 - height * scale)) < tolerance, pose
        if not pose.endswith("flying"):
            assert abs(rows.max() - 200) < tolerance, pose


def test_night_lights_the_lamps():
    scene = next(
        s for s in map(make_scene, range(0, 4000)) if s.label == "bus" and s.time == "night"
    )
    dark = np.asarray(draw(scene), dtype=int)
    assert ((dark[..., 0] > 240) & (dark[..., 1] > 200) & (dark[..., 2] < 200)).sum() > 20


def test_bad_widths():
    for width in (0, 30, 333, 8192):
        with pytest.raises(ValueError, match="multiple of 4"):
            draw(make_scene(0), width)


def test_paths():
    assert xy("0 -4, 12.5 3") == [(0, -4), (12.5, 3)]
    assert [number(value) for value in (1.0, 0.126, -0.001, 100)] == ["1", "0.13", "0", "100"]
    assert curve_path([(0, 0), (6, 0), (12, 0)]) == "M0 0C1 0 4 0 6 0C8 0 11 0 12 0"
    limb = limb_path([(0, 0), (10, 0)], [2, 4])
    assert limb.startswith("M0 1")
    assert limb.endswith("Z")
    assert not limb_path([(0, 0), (10, 0)], [2, 4], bare=0.5).endswith("Z")


def test_equal_paints_are_written_once():
    art = Art(lambda colour: colour)
    assert art.down(COLOURS["red"], COLOURS["blue"]) == art.down(COLOURS["red"], COLOURS["blue"])
    assert art.svg(1, 1).count("<linearGradient") == 1
