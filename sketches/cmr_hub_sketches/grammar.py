"""Generate five correct English sentences about a scene."""

from __future__ import annotations

from random import Random

from cmr_hub_sketches import lexicon as words
from cmr_hub_sketches.lexicon import Noun, Verb
from cmr_hub_sketches.scene import Group, Scene

_PRONOUNS = {"man": "him", "woman": "her", "boy": "him", "girl": "her"}


def sentences(scene: Scene) -> tuple[str, str, str, str, str]:
    """Return five different sentences, always the same ones for a scene.

    All of them name the main objects, their number, colour and place. One sentence is complete; the
    others leave out the time of day, the companion or the secondary objects.
    """
    dice = Random(f"sentences {scene.seed} {scene.label}")
    teller = _Teller(scene, dice)
    made = [
        teller.all(),
        teller.moment_first(),
        teller.there_is(),
        teller.caption(),
        teller.shown(),
    ]
    dice.shuffle(made)
    first, second, third, fourth, fifth = (_finished(sentence) for sentence in made)
    return first, second, third, fourth, fifth


def article(phrase: str) -> str:
    """Return the phrase with "a" or "an"."""
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def joined(parts: list[str]) -> str:
    """Join parts as "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _finished(sentence: str) -> str:
    text = " ".join(sentence.split()).replace(" ,", ",")
    return text[0].upper() + text[1:] + "."


class _Teller:
    """Generate phrases about a scene, which differ between calls."""

    def __init__(self, scene: Scene, dice: Random) -> None:
        self.scene = scene
        self.dice = dice

    # Whole sentences

    def all(self) -> str:
        """Return a sentence about the whole scene."""
        told = f"{self._main()} {self._verb()} {self._way()} {self._moment()}"
        return self._with(told, self._company() + self._props())

    def moment_first(self) -> str:
        """Return a sentence that begins with the time of day and weather."""
        return f"{self._moment()}, {self._main()} {self._verb()} {self._way()}"

    def there_is(self) -> str:
        """Return a sentence about the main objects, their place and their companion."""
        main, company = self._main(), self._company()
        be = "is" if main.startswith(("a ", "an ")) else "are"
        told = f"there {be} {main} {self._place()}"
        return self._with(told, company) if company else f"{told} {self._moment()}"

    def caption(self) -> str:
        """Return a caption without a finite verb."""
        return f"{self._main()} {self._participle()} {self._way()} {self._moment()}"

    def shown(self) -> str:
        """Return a sentence about the main and the secondary objects."""
        start = self.dice.choice(
            ("this picture shows", "we see", "here we can see", "you can see", "a picture of")
        )
        told, props = f"{start} {self._main()} {self._place()}", self._props()
        return self._with(told, props) if props else f"{told} {self._moment()}"

    # The main things

    def _main(self) -> str:
        return self._thing(self.scene.main)

    def _thing(self, group: Group) -> str:
        """Return a phrase such as "a red bus" or "two cars, one red and one blue"."""
        dice, count = self.dice, group.count
        noun = dice.choice(_nouns(group))
        if not group.colours:
            return self._counted(noun, "", count)
        colours = [self._adjective(group.kind, colour) for colour in group.colours]
        mixed = len(set(group.colours)) > 1
        if group.kind in words.PARTS:
            part = dice.choice(words.PARTS[group.kind])
            things = self._counted(noun, "", count)
            if not mixed:
                return f"{things} {_filled(part[count > 1], colours[0])}"
            return f"{things}, {joined([f'one {_filled(part[0], name)}' for name in colours])},"
        if not mixed:
            return self._counted(noun, colours[0], count)
        if dice.random() < 0.5:
            return joined([article(f"{colour} {noun[0]}") for colour in colours])
        ones = joined([f"one {colour}" for colour in colours])
        return f"{self._counted(noun, '', count)}, {ones},"

    def _adjective(self, kind: str, colour: str) -> str:
        if kind in words.STRIPED:
            return f"{colour} and white"
        return self.dice.choice(words.ADJECTIVES.get((kind, colour), (colour,)))

    def _counted(self, noun: Noun, colour: str, count: int) -> str:
        name = noun[count > 1]
        name = name.format(colour) if "{}" in name else f"{colour} {name}".strip()
        return article(name) if count == 1 else f"{words.NUMBERS[count]} {name}"

    def _verbs(self) -> tuple[Verb, ...]:
        scene = self.scene
        action = scene.main.pose.split()[-1]
        if scene.stance == "ground" and scene.label in words.PARKING:
            return words.PARKED
        if scene.stance == "air":
            return words.VERBS["air"]
        return words.VERBS.get(action, words.VERBS[scene.stance])

    def _verb(self) -> str:
        """Return the verb in singular or plural."""
        singular, plural, _ = self.dice.choice(self._verbs())
        return plural if self.scene.main.count > 1 else singular

    def _participle(self) -> str:
        return self.dice.choice(self._verbs())[2]

    # Place and time

    def _way(self) -> str:
        """Return the direction of movement on a road, otherwise the place."""
        choice, scene = self.dice.choice, self.scene
        if scene.stance != "road" or self.dice.random() < 0.4:
            return self._place()
        if scene.setting == "street":
            return choice(words.STREETS)
        return f"along a road {choice(words.ACROSS[scene.setting])}"

    def _place(self) -> str:
        choice, scene = self.dice.choice, self.scene
        if scene.stance == "air":
            return choice(words.OVER[scene.setting])
        if scene.stance in words.WAYS and scene.setting != "street":
            return f"{choice(words.WAYS[scene.stance])} {choice(words.ACROSS[scene.setting])}"
        place = choice(words.PLACES[scene.setting])
        if scene.wall is not None:
            place = f"{place} {choice(words.WALLS).format(scene.wall)}"
        return f"{choice(words.TABLES)} {place}" if scene.stance == "table" else place

    def _moment(self) -> str:
        return self.dice.choice(words.MOMENTS[self.scene.time, self.scene.weather])

    # What else is there

    def _with(self, told: str, others: list[str]) -> str:
        return f"{told}, with {joined(others)}" if others else told

    def _company(self) -> list[str]:
        """Return a phrase such as "a brown dog to the left of them", or nothing."""
        other, main = self.scene.companion, self.scene.main
        if other is None:
            return []
        pronoun = "them" if main.count > 1 else _PRONOUNS.get(main.pose.split()[0], "it")
        side = other.relation
        beside = (
            f"to the {side} of {pronoun}",
            f"on the {side}",
            f"next to {pronoun}",
            f"beside {pronoun}",
        )
        where = self.dice.choice((f"behind {pronoun}",) if side == "behind" else beside)
        return [f"{self._thing(other)} {where}"]

    def _props(self) -> list[str]:
        """Return a phrase such as "two trees in the background" for each position."""
        parts: dict[str, list[str]] = {}
        for group in self.scene.props:
            parts.setdefault(group.relation, []).append(self._thing(group))
        return [
            f"{joined(things)} {self.dice.choice(words.SURROUNDINGS[relation])}"
            for relation, things in parts.items()
        ]


def _nouns(group: Group) -> tuple[Noun, ...]:
    if group.kind == "person":
        return words.PEOPLE[group.pose.split()[0]]
    default = words.NOUNS.get(group.kind, ((group.kind, f"{group.kind}s"),))
    return words.POSE_NOUNS.get((group.kind, group.pose), default)


def _filled(part: str, colour: str) -> str:
    return part.format(colour=colour, a=article(colour))
