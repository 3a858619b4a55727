"""Key paths: which properties an observer asks about (spec/sdk.md §9.6).

``"best.age"`` names properties as the model calls them, ``*`` all of a level, ``@links.Person.dogs`` the objects that
link here. A path is read once, when the observer is added, into :class:`KeyPath` nodes of stored names; nodes for the
same class and rest are shared, so that ``*.*.*.*`` stays small however the classes link to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from syncline.errors import InvalidPropertyError
from syncline.query.expression import ClassRef
from syncline.realm.models import ModelInfo, unknown_property

if TYPE_CHECKING:
    from syncline.realm.attributes import Attribute, BacklinksAttribute

__all__ = ["Incoming", "KeyPath", "Step", "incoming_steps", "parse_key_paths"]

#: Every property of a level.
ALL: Final = "*"
LINKS: Final = "@links"


class Incoming(NamedTuple):
    """A step against a link: to the objects of the class ``origin`` that link here through its property ``name``.

    ``label``: what the path calls it.
    """

    origin: str
    name: str
    label: str


#: A property by its stored name, or a step against a link.
Step: TypeAlias = "str | Incoming"


class KeyPath(NamedTuple):
    """From one class on: the steps that count, and what counts behind each of them."""

    steps: dict[Step, KeyPath | None]


def parse_key_paths(
    paths: Sequence[str] | None, model: ModelInfo, find: Callable[[str], ModelInfo]
) -> list[KeyPath] | None:
    """The paths, from ``model`` on; None for None. ``find``: a class by its public name.

    Raises InvalidPropertyError for a path that leads nowhere.
    """
    if paths is None:
        return None
    if isinstance(paths, str):
        raise InvalidPropertyError(f"key_paths is a list of paths, not one text: [{paths!r}]")
    return [_Parser(path, find).parse(model) for path in paths]


def incoming_steps(paths: Sequence[KeyPath] | None) -> bool:
    """Whether one of the paths goes against a link."""
    todo, seen = list(paths or ()), set[int]()
    while todo:
        path = todo.pop()
        if id(path) not in seen:
            seen.add(id(path))
            if any(isinstance(step, Incoming) for step in path.steps):
                return True
            todo += [further for further in path.steps.values() if further is not None]
    return False


class _Parser:
    """Reads one path."""

    def __init__(self, path: str, find: Callable[[str], ModelInfo]) -> None:
        self._path = path
        self._find = find
        self._known: dict[tuple[str, tuple[str, ...]], KeyPath | None] = {}

    def parse(self, model: ModelInfo) -> KeyPath:
        found = self._read(model, tuple(self._path.split(".")), strict=True)
        if found is None:
            raise InvalidPropertyError(f"key path {self._path!r} matches no property of {model.public_name}")
        return found

    def _read(self, owner: ModelInfo, names: tuple[str, ...], strict: bool) -> KeyPath | None:
        """The path from ``owner`` on; where it leads nowhere None behind a ``*``, an exception if ``strict``."""
        place = (owner.stored_name, names)
        if strict or place not in self._known:
            owner.finish(strict=True)
            self._known[place] = (
                self._read_all(owner, names) if names[0] == ALL else self._read_one(owner, names, strict)
            )
        return self._known[place]

    def _read_all(self, owner: ModelInfo, names: tuple[str, ...]) -> KeyPath | None:
        rest = names[1:]
        steps: dict[Step, KeyPath | None] = {}
        ways = [(_step(attribute), _target(attribute)) for attribute in owner.attributes.values()]
        for step, target in [*ways, *(_backlinks(computed) for computed in owner.computed.values())]:
            further = self._read(target, rest, strict=False) if rest and target is not None else None
            if further is not None or set(rest) <= {ALL}:
                steps[step] = further
        return KeyPath(steps) if steps else None

    def _read_one(self, owner: ModelInfo, names: tuple[str, ...], strict: bool) -> KeyPath | None:
        step: Step
        target: ModelInfo | None
        if names[0] == LINKS:
            step, target = self._read_incoming(owner, names)
            rest = names[3:]
        elif names[0] in owner.attributes:
            attribute = owner.attributes[names[0]]
            step, target = _step(attribute), _target(attribute)
            rest = names[1:]
        elif names[0] in owner.computed:
            step, target = _backlinks(owner.computed[names[0]])
            rest = names[1:]
        elif strict:
            raise unknown_property(owner.public_name, names[0], owner.attributes)
        else:
            return None
        if not rest:
            return KeyPath({step: None})
        if target is None and strict:
            raise InvalidPropertyError(f"key path {self._path!r}: {names[0]!r} is no link, so nothing can follow it")
        further = self._read(target, rest, strict) if target is not None else None
        if further is not None:
            return KeyPath({step: further})
        return KeyPath({step: None}) if set(rest) <= {ALL} else None

    def _read_incoming(self, owner: ModelInfo, names: tuple[str, ...]) -> tuple[Incoming, ModelInfo]:
        if len(names) < 3:
            raise InvalidPropertyError(
                f"key path {self._path!r}: @links is followed by a class and its property: @links.Person.dogs"
            )
        origin = self._find(names[1])
        origin.finish(strict=True)
        attribute = origin.attributes.get(names[2])
        if attribute is None:
            raise unknown_property(origin.public_name, names[2], origin.attributes)
        target = _target(attribute)
        if target is None or target.stored_name != owner.stored_name:
            raise InvalidPropertyError(
                f"key path {self._path!r}: {names[1]}.{names[2]} is no link to {owner.public_name}"
            )
        return Incoming(origin.stored_name, attribute.property.stored_name, ".".join(names[:3])), origin


def _step(attribute: Attribute) -> Step:
    return attribute.property.stored_name


def _backlinks(attribute: BacklinksAttribute) -> tuple[Incoming, ModelInfo]:
    _, origin, name = attribute.elements()
    return Incoming(origin, name, attribute.name), cast("ModelInfo", attribute.source())


def _target(attribute: Attribute) -> ModelInfo | None:
    target: Callable[[], ClassRef] | None = attribute.target
    return cast("ModelInfo", target()) if target is not None else None
