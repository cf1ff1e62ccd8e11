"""Registries: names and what they stand for, extended by whoever installs or writes more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from cmr_hub.errors import CMRError, UnknownNameError, shown

T = TypeVar("T")


class Registry(Mapping[str, Any]):
    """A name to a class or a function, which is imported when it is asked for.

    Besides those of this package there are those that installed packages declare as entry points
    of the registry's group, and those that `register` adds.

    Args:
        kind: what the registry holds, for errors: "loss", "dataset".
        group: of the entry points, e.g. "cmr_hub.losses".
        places: `module:attribute` by name.
        base: `module:class` that all of them are subclasses of; None where they are functions.
            Two registries may share a group: each gives what is a subclass of its own base.
        separate: the package to install by name, for names that packages of this project have
            beside it.

    Example:
        >>> LOSSES = Registry("loss", "cmr_hub.losses", {})
        >>> @LOSSES.register("mine")
        ... class MyLoss: ...
        >>> LOSSES["mine"] is MyLoss
        True
    """

    def __init__(
        self,
        kind: str,
        group: str,
        places: Mapping[str, str],
        base: str | None = None,
        separate: Mapping[str, str] | None = None,
    ) -> None:
        self.kind, self.group, self._base = kind, group, base
        self._places, self._separate = dict(places), dict(separate or {})
        self._added: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """What stands for a name.

        Raises:
            UnknownNameError: nothing does; the known names are listed, or the package that has it
                and is not installed.
            CMRError: an installed package declares it, and it cannot be imported, or is of
                another kind.
        """
        if not isinstance(name, str):
            raise UnknownNameError(self.kind, name, list(self))
        if name in self._added:
            return self._added[name]
        if name in self._places:
            return _imported(self._places[name])
        point = _declared(self.group).get(name)
        if point is None:
            raise self.unknown(name)
        try:
            found = point.load()
        except Exception as error:
            raise CMRError(
                f"the {self.kind} {name!r} of the package {_package(point)} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not self.is_one(found):
            raise CMRError(f"{name!r} of the package {_package(point)} is no {self.kind}")
        return found

    def is_one(self, thing: object) -> bool:
        """Whether it is a subclass of the registry's base; without a base, whether it is called."""
        if self._base is None:
            return callable(thing)
        return isinstance(thing, type) and issubclass(thing, _imported(self._base))

    def name_of(self, thing: object) -> str | None:
        """What `register` added it under, or a package declares it as; None for neither."""
        for name, added in self._added.items():
            if added is thing:
                return name
        package = str(getattr(thing, "__module__", "")).partition(".")[0]
        for name, point in _declared(self.group).items():
            # Its package is imported already, as the thing is there.
            if point.module.partition(".")[0] == package:
                with suppress(CMRError):
                    if self[name] is thing:
                        return name
        return None

    def unknown(self, name: str) -> UnknownNameError:
        """The error for a name that stands for nothing."""
        return UnknownNameError(self.kind, name, list(self), self._separate.get(name))

    def package_of(self, name: str) -> str | None:
        """The installed package that declares a name; None for those of this package and added."""
        point = _declared(self.group).get(name)
        if point is None or name in self._added or name in self._places:
            return None
        return _package(point)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a name; nothing is imported."""
        if not isinstance(name, str):
            return False
        return name in self._added or name in self._places or name in _declared(self.group)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._places, *self._added, *_declared(self.group))))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that adds a class or a function under a name, in this process.

        Raises:
            CMRError: the name is taken by another, or the thing is of another kind.
        """
        if not isinstance(name, str):
            raise CMRError(f"register() takes a name, not {shown(name)}: @register('name')")

        def add(thing: T) -> T:
            if not self.is_one(thing):
                what = "a function" if self._base is None else f"a subclass of {self._base}"
                raise CMRError(
                    f"{name}: {what} is wanted for a new {self.kind}, not {shown(thing)}"
                )
            if name in self and self._added.get(name) is not thing:
                raise CMRError(f"there is a {self.kind} {name!r} already; choose another name")
            self._added[name] = thing
            return thing

        return add


def _imported(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


@cache
def _declared(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name. What is installed does not change while this runs."""
    return {point.name: point for point in entry_points(group=group)}


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module
