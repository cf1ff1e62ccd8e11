"""Vocabulary of the sentences: nouns, verbs and places, with synonyms."""

from __future__ import annotations

from typing import TypeAlias

Noun: TypeAlias = tuple[str, str]
"""Singular and plural."""
Verb: TypeAlias = tuple[str, str, str]
"""Singular, plural and participle."""

NUMBERS = ("no", "one", "two", "three", "four")


def _noun(singular: str, plural: str | None = None) -> Noun:
    return singular, plural or singular + "s"


NOUNS: dict[str, tuple[Noun, ...]] = {
    "aeroplane": (_noun("aeroplane"), _noun("airplane"), _noun("plane")),
    "bicycle": (_noun("bicycle"), _noun("bike")),
    "bird": (_noun("bird"),),
    "boat": (_noun("boat"),),
    "bottle": (_noun("bottle"),),
    "bus": (_noun("bus", "buses"),),
    "car": (_noun("car"), _noun("automobile")),
    "cat": (_noun("cat"),),
    "chair": (_noun("chair"),),
    "cow": (_noun("cow"),),
    "dining table": (_noun("dining table"), _noun("table")),
    "dog": (_noun("dog"),),
    "horse": (_noun("horse"),),
    "motorbike": (_noun("motorbike"), _noun("motorcycle")),
    "person": (_noun("person", "people"),),
    "potted plant": (_noun("potted plant"), _noun("house plant")),
    "sheep": (_noun("sheep", "sheep"),),
    "sofa": (_noun("sofa"), _noun("couch", "couches")),
    "train": (_noun("train"),),
    "tv monitor": (_noun("television"), _noun("TV")),
    # Secondary objects; others are called by their names.
    "flowers": (
        _noun("bunch of {} flowers", "bunches of {} flowers"),
        _noun("clump of {} flowers", "clumps of {} flowers"),
    ),
    "apples": (_noun("bowl of {} apples", "bowls of {} apples"),),
    "books": (
        _noun("stack of {} books", "stacks of {} books"),
        _noun("pile of {} books", "piles of {} books"),
    ),
    "vase": (
        _noun("vase of {} flowers", "vases of {} flowers"),
        _noun("vase with {} flowers", "vases with {} flowers"),
    ),
    "glass": (_noun("glass of water", "glasses of water"),),
    "snowman": (
        _noun("snowman with a {} scarf", "snowmen with {} scarves"),
        _noun("snowman in a {} scarf", "snowmen in {} scarves"),
    ),
    "bench": (_noun("bench", "benches"),),
    "bush": (_noun("bush", "bushes"),),
    "cactus": (_noun("cactus", "cacti"),),
    "bookshelf": (_noun("bookshelf", "bookshelves"), _noun("bookcase")),
    "parasol": (_noun("parasol"), _noun("beach umbrella")),
    "hot-air balloon": (_noun("hot-air balloon"), _noun("balloon")),
    "rock": (_noun("rock"), _noun("boulder")),
    "bin": (_noun("bin"), _noun("litter bin")),
    "street lamp": (_noun("street lamp"), _noun("lamp post")),
    "mug": (_noun("mug"), _noun("cup")),
    "rug": (_noun("rug"), _noun("carpet")),
    "fir tree": (_noun("fir tree"), _noun("fir")),
    "house": (_noun("house"), _noun("cottage")),
    "picture": (_noun("{} picture"), _noun("framed {} picture")),
}
"""Nouns of each kind; {} marks the position of the colour, if it is not in front."""

POSE_NOUNS: dict[tuple[str, str], tuple[Noun, ...]] = {
    ("aeroplane", "airliner flying"): (_noun("aeroplane"), _noun("plane"), _noun("airliner")),
    ("aeroplane", "airliner"): (_noun("aeroplane"), _noun("plane"), _noun("airliner")),
    ("aeroplane", "propeller flying"): (
        _noun("aeroplane"),
        _noun("plane"),
        _noun("propeller plane"),
    ),
    ("aeroplane", "propeller"): (_noun("aeroplane"), _noun("plane"), _noun("propeller plane")),
    ("boat", "sailing"): (_noun("boat"), _noun("sailing boat"), _noun("sailboat")),
    ("boat", "motor"): (_noun("boat"), _noun("motor boat")),
    ("boat", "fishing"): (_noun("boat"), _noun("fishing boat")),
    ("chair", "wooden"): (_noun("chair"), _noun("wooden chair")),
    ("chair", "office"): (_noun("chair"), _noun("office chair"), _noun("swivel chair")),
    ("dining table", "round"): (
        _noun("dining table"),
        _noun("round dining table"),
        _noun("round table"),
    ),
    ("train", "steam"): (_noun("train"), _noun("steam train")),
    ("potted plant", "palm"): (_noun("potted plant"), _noun("house plant"), _noun("potted palm")),
    ("potted plant", "cactus"): (_noun("potted plant"), _noun("potted cactus", "potted cacti")),
    ("potted plant", "flowering"): (_noun("potted plant"), _noun("flowering plant")),
    ("potted plant", "leafy"): (_noun("potted plant"), _noun("house plant"), _noun("leafy plant")),
    ("tv monitor", "monitor"): (_noun("monitor"), _noun("computer monitor")),
    ("tv monitor", "old"): (
        _noun("television"),
        _noun("TV"),
        _noun("old television"),
        _noun("old TV"),
    ),
}
"""Nouns of a single pose."""

PEOPLE: dict[str, tuple[Noun, ...]] = {
    "man": (_noun("man", "men"), _noun("person", "people")),
    "woman": (_noun("woman", "women"), _noun("person", "people"), _noun("lady", "ladies")),
    "boy": (_noun("boy"), _noun("child", "children")),
    "girl": (_noun("girl"), _noun("child", "children")),
}

PARTS: dict[str, tuple[Noun, ...]] = {
    "person": (
        ("in {colour}", "in {colour}"),
        ("dressed in {colour}", "dressed in {colour}"),
        ("wearing {colour}", "wearing {colour}"),
    ),
    "dining table": (
        ("with {a} tablecloth", "with {colour} tablecloths"),
        ("covered with {a} cloth", "covered with {colour} cloths"),
    ),
    "potted plant": (("in {a} pot", "in {colour} pots"),),
    "tv monitor": (
        ("with {a} screen", "with {colour} screens"),
        ("showing {a} picture", "showing {colour} pictures"),
    ),
}
"""Kinds of which only a part is coloured, in singular and plural."""

STRIPED = ("lighthouse", "parasol")
"""Kinds that are striped in their colour and white."""

ADJECTIVES: dict[tuple[str, str], tuple[str, ...]] = {
    ("cat", "orange"): ("orange", "ginger"),
    ("cow", "black and white"): ("black and white", "black-and-white"),
    ("dog", "golden"): ("golden", "golden-haired"),
}
"""Synonyms of the colour of a kind."""

STAND: Verb = ("stands", "stand", "standing")
_PARKED: Verb = ("is parked", "are parked", "parked")
_DRIVE: Verb = ("drives", "drive", "driving")
_LIE: Verb = ("lies", "lie", "lying")
_REST: Verb = ("rests", "rest", "resting")
_SIT: Verb = ("sits", "sit", "sitting")
_FLY: Verb = ("flies", "fly", "flying")
_GRAZE: Verb = ("grazes", "graze", "grazing")
_RUN: Verb = ("runs", "run", "running")
_GALLOP: Verb = ("gallops", "gallop", "galloping")
_WALK: Verb = ("walks", "walk", "walking")
_WAVE: Verb = ("waves", "wave", "waving")

VERBS: dict[str, tuple[Verb, ...]] = {
    "air": (_FLY, ("soars", "soar", "soaring")),
    "road": (_DRIVE, ("travels", "travel", "travelling")),
    "track": (
        ("runs", "run", "running"),
        ("travels", "travel", "travelling"),
        ("rolls", "roll", "rolling"),
    ),
    "water": (("floats", "float", "floating"),),
    "table": (STAND,),
    "ground": (STAND,),
    "sitting": (_SIT,),
    "lying": (_LIE, _REST),
    "grazing": (_GRAZE, ("feeds", "feed", "feeding")),
    "running": (_RUN,),
    "galloping": (_GALLOP, _RUN),
    "walking": (_WALK,),
    "waving": (_WAVE, ("waves a hand", "wave their hands", "waving")),
    "swimming": (("swims", "swim", "swimming"), ("floats", "float", "floating")),
    "standing": (STAND,),
    "sailing": (("sails", "sail", "sailing"), ("floats", "float", "floating")),
}
"""Verbs by pose or, for other poses, by what the object stands on."""

PARKED = (_PARKED, STAND)
PARKING = ("car", "bicycle", "motorbike", "aeroplane", "bus")
"""Kinds that are parked when they are on the ground."""

PLACES: dict[str, tuple[str, ...]] = {
    "sea": ("on the sea", "on the open sea", "out at sea"),
    "lake": ("on a lake", "on the water of a lake"),
    "beach": ("on a beach", "on a sandy beach", "on the sand by the sea"),
    "meadow": ("in a meadow", "in a green meadow", "on the grass of a meadow"),
    "hills": ("in the hills", "among green hills", "in front of rolling hills"),
    "mountains": (
        "in the mountains",
        "at the foot of snowy mountains",
        "in front of snow-capped mountains",
    ),
    "forest": ("in a forest", "in the woods", "in front of a dense forest"),
    "desert": ("in the desert", "on the sand of a desert"),
    "snow": ("in the snow", "in a snowy field", "on snow-covered ground"),
    "street": ("on a street", "on a city street", "in a street of tall houses"),
    "park": ("in a park", "in a city park", "on the lawn of a park"),
    "farm": ("on a farm", "in front of a farm's red barn", "in a farmyard"),
    "airport": ("at an airport", "on the tarmac of an airport", "on the runway of an airport"),
    "living room": ("in a living room",),
    "kitchen": ("in a kitchen",),
    "office": ("in an office",),
    "bedroom": ("in a bedroom",),
}
"""Phrases for settings."""

ACROSS: dict[str, tuple[str, ...]] = {
    "hills": ("through the hills", "through green hills"),
    "mountains": ("through the mountains", "past snowy mountains"),
    "forest": ("through a forest", "through the woods"),
    "desert": ("through the desert", "across the desert"),
    "snow": ("through the snow", "across snowy fields"),
    "meadow": ("through a meadow", "across a green meadow"),
}
"""Phrases for the direction of a road or a track."""

OVER: dict[str, tuple[str, ...]] = {
    "sky": ("in the sky", "high above the clouds", "in the sky above the clouds"),
    "sea": ("over the sea", "above the sea"),
    "mountains": ("over the mountains", "above snowy mountains"),
    "hills": ("over green hills", "above the hills"),
    "desert": ("over the desert", "above the desert"),
}
"""Phrases for objects in the air."""

WAYS = {"road": ("on a road",), "track": ("on the rails", "on the railway", "on a track")}
STREETS = ("along a street", "along a city street", "down a street in town")
TABLES = ("on a table", "on a wooden table")
WALLS = ("with {} walls", "with walls painted {}")

MOMENTS: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("day", "sunny"): ("on a sunny day", "in bright sunshine", "in sunny weather"),
    ("day", "cloudy"): ("on a cloudy day", "under a cloudy sky", "under grey clouds"),
    ("day", "rainy"): ("on a rainy day", "in the rain", "in rainy weather"),
    ("day", "foggy"): ("on a foggy day", "in the fog", "in foggy weather"),
    ("day", "snowy"): ("on a snowy day", "in falling snow", "in a snowfall"),
    ("sunset", "clear"): ("at sunset", "as the sun sets", "in the light of the setting sun"),
    ("night", "clear"): ("at night", "on a clear night", "under the moon and the stars"),
    ("night", "rainy"): ("on a rainy night", "in the rain at night"),
    ("night", "snowy"): ("on a snowy night", "in falling snow at night"),
    ("day", None): ("in the daytime", "by day", "in daylight"),
    ("night", None): ("at night", "in the evening", "after dark"),
}
"""Phrases for time of day and weather."""

SURROUNDINGS: dict[str, tuple[str, ...]] = {
    "sky": ("in the sky",),
    "back": ("in the background", "further back"),
    "front": ("in the foreground", "nearby"),
    "wall": ("on the wall",),
    "floor": ("by the wall",),
    "table": ("on the table",),
}
"""Phrases for the positions of secondary objects."""
