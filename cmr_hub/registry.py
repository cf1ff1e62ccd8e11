"""Registries of classes and functions by name, extensible by plugins and user code."""

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
    """A mapping of names to lazily imported classes or functions.

    It contains the entries of this package, those that installed packages declare as entry points
    of the registry's group, and those that `register` adds.

    Args:
        kind: Kind of the entries for error messages, such as "loss" or "dataset".
        group: Name of the entry point group, such as "cmr_hub.losses".
        places: `module:attribute` by name.
        base: `module:class` of which all entries are subclasses; None for functions. Two
            registries may share a group; each returns only subclasses of its own base.
        separate: Package to install, by the names of entries in separate packages of this project.

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
        """Return the entry of a name.

        Raises:
            UnknownNameError: The name is unknown; the message lists the known names, or the package
                to install.
            CMRError: An entry of an installed package cannot be imported or is of another kind.
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
            entry = point.load()
        except Exception as error:
            raise CMRError(
                f"the {self.kind} {name!r} of the package {_package(point)} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not self.accepts(entry):
            raise CMRError(f"{name!r} of the package {_package(point)} is not a valid {self.kind}")
        return entry

    def accepts(self, thing: object) -> bool:
        """Return whether an object is a subclass of the base or, without a base, callable."""
        if self._base is None:
            return callable(thing)
        return isinstance(thing, type) and issubclass(thing, _imported(self._base))

    def name_of(self, thing: object) -> str | None:
        """Return the name of an entry added by `register` or declared by a package, or None."""
        for name, added in self._added.items():
            if added is thing:
                return name
        package = str(getattr(thing, "__module__", "")).partition(".")[0]
        for name, point in _declared(self.group).items():
            # Since the object exists, its package is imported already.
            if point.module.partition(".")[0] == package:
                with suppress(CMRError):
                    if self[name] is thing:
                        return name
        return None

    def unknown(self, name: str) -> UnknownNameError:
        """Return the error for an unknown name."""
        return UnknownNameError(self.kind, name, list(self), self._separate.get(name))

    def package_of(self, name: str) -> str | None:
        """Return the other installed package that declares a name, or None."""
        point = _declared(self.group).get(name)
        if point is None or name in self._added or name in self._places:
            return None
        return _package(point)

    def __contains__(self, name: object) -> bool:
        """Return whether a name exists, without importing anything."""
        if not isinstance(name, str):
            return False
        return name in self._added or name in self._places or name in _declared(self.group)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._places, *self._added, *_declared(self.group))))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds a class or a function under a name, in this process.

        Raises:
            CMRError: The name is already taken, or the object is of another kind.
        """
        if not isinstance(name, str):
            raise CMRError(f"register() needs a name, not {shown(name)}: @register('name')")

        def add(thing: T) -> T:
            if not self.accepts(thing):
                what = "a function" if self._base is None else f"a subclass of {self._base}"
                raise CMRError(f"{name}: a new {self.kind} must be {what}, not {shown(thing)}")
            if name in self and self._added.get(name) is not thing:
                raise CMRError(f"there is a {self.kind} {name!r} already; choose another name")
            self._added[name] = thing
            return thing

        return add


def _imported(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


_entry_points = cache(entry_points)  # reads the metadata of all packages, for any group


@cache
def _declared(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name; cached, as installed packages do not change."""
    return {point.name: point for point in _entry_points().select(group=group)}


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module
