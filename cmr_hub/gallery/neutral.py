"""About 1,000 everyday captions, to estimate the distribution of scores of unrelated sentences.

There are fourteen topics of twelve things. Each thing occurs without context and in five
surroundings. All topics have equal weight, so that the sentences do not favour a kind of picture.
They were written for this purpose and are not from a dataset.
"""

from __future__ import annotations

from itertools import product

_TOPICS = (
    # things; surroundings
    (
        "a man with a beard/an old woman/two children/a young couple/a baby/a group of friends/"
        "a girl in a red dress/a boy with glasses/a man in a suit/a crowd of people/"
        "a woman with long hair/three teenagers",
        "smiling at the camera/in front of a brick wall/on a bench in the park/"
        "walking down a city street/waiting in a bright room",
    ),
    (
        "a football player/a surfer/a skier/a cyclist/a tennis player/a runner/two boxers/"
        "a swimmer/a climber/a basketball team/a skateboarder/a golfer",
        "during a competition/training in the early morning/watched by many people/"
        "resting after a long day/seen from far away",
    ),
    (
        "a dog/a cat/a horse/a cow/a flock of sheep/a goat/a pig/a duck/two hens/a rabbit/a donkey/"
        "a small kitten",
        "lying in the grass/beside a wooden fence/looking at the camera/in front of a house/"
        "running across a yard",
    ),
    (
        "an elephant/a lion/a brown bear/a deer/a fox/an owl/an eagle/a butterfly/a school of fish/"
        "a turtle/a monkey/a snake",
        "in the wild/behind the glass of a zoo/drinking at the water/hiding among the leaves/"
        "seen from very close",
    ),
    (
        "a red car/a bus/a truck/a bicycle/a motorbike/a train/a sailing boat/a ferry/"
        "an aeroplane/a helicopter/a tractor/a tram",
        "at sunset/in the rain/parked near a building/moving very fast/with its doors open",
    ),
    (
        "a bowl of soup/a pizza/a chocolate cake/a loaf of bread/a plate of pasta/grilled fish/"
        "a green salad/a basket of apples/a sandwich/a cup of coffee/a bottle of wine/ice cream",
        "on a wooden table/on a white plate/at a market stall/served at a party/"
        "in the hands of a cook",
    ),
    (
        "a sofa/a bed/a lamp/a kitchen table/a wardrobe/a clock/a bathtub/a window with curtains/"
        "a carpet/a shelf full of books/a washing machine/a mirror",
        "in a small flat/in an old house/next to a door/in a room with blue walls/"
        "for sale in a shop",
    ),
    (
        "a rose/a potted plant/an oak tree/a field of sunflowers/a cactus/mushrooms/a palm tree/"
        "tall grass/a bunch of tulips/ivy on a wall/a vegetable garden/autumn leaves",
        "after the rain/in bright sunlight/seen from above/in the morning mist/near a path",
    ),
    (
        "a mountain/a lake/a sandy beach/a desert/a waterfall/a forest/a river/a rocky coast/"
        "a green valley/a frozen pond/an island/rolling hills",
        "under a blue sky/covered with snow/at night/with nobody in sight/behind a wooden hut",
    ),
    (
        "a church/a skyscraper/a bridge/a castle/a railway station/a small shop/a school/"
        "a farm house/a lighthouse/a market square/a factory/a stone tower",
        "in the old town/lit up in the evening/with flags in front of it/being repaired/"
        "beside a wide road",
    ),
    (
        "a carpenter/a doctor/a farmer/a teacher/a cook/a painter on a ladder/two builders/"
        "a fisherman/a mechanic/a police officer/a hairdresser/a gardener",
        "at work/talking to a customer/holding a tool/wearing gloves/taking a break outside",
    ),
    (
        "a guitar player/a drummer/a choir/a ballet dancer/a piano/a violin/a street musician/"
        "a statue/a mural/a puppet show/a painting in a frame/an orchestra",
        "on a stage/in a museum/in a black and white photo/in front of an audience/"
        "under coloured lights",
    ),
    (
        "a computer screen/a mobile phone/a newspaper/a map/a camera/a handwritten letter/"
        "a television/a keyboard/a road sign/a passport/a pile of books/a calculator",
        "on a desk/in somebody's hand/next to a cup/on a shelf in an office/out of focus",
    ),
    (
        "a wedding/a birthday party/fireworks/a rainbow/a thunderstorm/a street festival/"
        "a parade/a camp fire/a picnic/a traffic jam/a football match/a snowy morning",
        "in a village/in a big city/by the sea/many years ago/seen through a window",
    ),
)


def neutral_sentences() -> list[str]:
    """Return the sentences, which are distinct and always the same."""
    return [
        " ".join(filter(None, words))
        for things, surroundings in _TOPICS
        for words in product(things.split("/"), ("", *surroundings.split("/")))
    ]
