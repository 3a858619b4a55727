"""From the elements of a path to its steps (spec/sdk.md §7.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Final, NoReturn

from syncline.errors import InvalidPropertyError, QueryTypeError
from syncline.query.ast import (
    Argument,
    ClassLike,
    Element,
    Index,
    KeyPathArgument,
    Path,
    Position,
    PropertyLike,
    SchemaLike,
    Selector,
    Span,
    Step,
)
from syncline.query.carets import pointed
from syncline.query.lexer import tokens
from syncline.query.text import half_character
from syncline.values import kinds

__all__ = ["Names", "Scope", "UnknownPropertyError", "incoming", "resolve_path"]


class UnknownPropertyError(QueryTypeError, InvalidPropertyError):
    """A query names a property or class that there is not."""


@dataclass(frozen=True, slots=True)
class Names:
    """What an application calls classes and properties, where that is not the stored name.

    ``classes``: public → stored. ``properties``: by stored class name, public → stored; or, for a property that shows
    the objects that link here, the three elements ``("@links", "Person", "dogs")``, in stored names.
    """

    classes: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Mapping[str, str | tuple[str, ...]]] = field(default_factory=dict)

    def find_class(self, schema: SchemaLike, name: str) -> ClassLike | None:
        """The class of that public or stored name, also with the prefix ``class_``."""
        for known in (name, name.removeprefix("class_")):
            found = schema.find(self.classes.get(known, known))
            if found is not None:
                return found
        return None

    def find_property(self, cls: ClassLike, name: str) -> PropertyLike | tuple[str, ...] | None:
        """The property of that public or stored name, or the elements it stands for; None if there is none."""
        mapped = self.properties.get(cls.name, {}).get(name, name)
        return mapped if isinstance(mapped, tuple) else cls.properties.get(mapped)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a path begins: at an object of ``cls``, which in a subquery is called ``variable``.

    ``outer``: variables of the subqueries around it.
    """

    cls: ClassLike
    variable: str | None = None
    outer: tuple[str, ...] = ()


def resolve_path(path: Path, scope: Scope, schema: SchemaLike, names: Names) -> Path:
    """The path with its steps, and stored names.

    Raises UnknownPropertyError for a name that there is not, QueryTypeError where no path can go on.
    """
    return _Walk(path, scope, schema, names).run()


def incoming(cls: ClassLike, schema: SchemaLike) -> tuple[Step, ...]:
    """Backward steps over every property that can link to objects of ``cls``, Mixed ones included."""
    return tuple(
        Step(cls, prop, source, backward=True)
        for source in schema.classes.values()
        for prop in source.properties.values()
        if prop.type == kinds.MIXED or (prop.type == kinds.LINK and prop.target == cls.name)
    )


#: How much of a wrong name is shown.
_SHOWN: Final = 100
_LIST_PLACES: Final = (Position.FIRST, Position.LAST)


class _Walk:
    """One walk: ``cls`` is the class whose properties can follow, ``whole`` that ``[*]`` or ``@values`` was written."""

    def __init__(self, path: Path, scope: Scope, schema: SchemaLike, names: Names) -> None:
        self.path = path
        self.scope = scope
        self.schema = schema
        self.names = names
        self.cls: ClassLike | None = scope.cls
        self.steps: list[Step] = []
        self.inner: list[Selector] = []
        self.written: list[Element] = []
        self.whole = False
        #: elements that are still to come, each with its number in the path
        self.pending: deque[tuple[int, Element]] = deque(enumerate(path.elements))
        self.number = 0

    def run(self) -> Path:
        self._variable()
        while self.pending:
            self.number, element = self.pending.popleft()
            if isinstance(element, KeyPathArgument) or (
                isinstance(element, Index) and isinstance(element.value, Argument)
            ):
                raise TypeError(f"{self.path} is not bound")
            text = element.value if isinstance(element, Index) else element
            if isinstance(text, str) and half_character(text) is not None:
                self._fail(f"{text[:_SHOWN]!a} has half a surrogate pair, which is no character")
            if isinstance(element, Index):
                assert not isinstance(element.value, Argument)
                self._index(element.value)
                self.written.append(element)
            else:
                self._name(element)
        return replace(self.path, elements=tuple(self.written), steps=tuple(self.steps), inner=tuple(self.inner))

    def _variable(self) -> None:
        head = self.path.elements[0] if self.path.elements else None
        if head is None or not isinstance(head, str) or not head.startswith("$"):
            return
        if head == self.scope.variable:
            self.pending.popleft()
            self.written.append(head)
        elif head in self.scope.outer:
            self._fail(f"{head} belongs to the subquery around this one, and cannot be reached from here")

    # --- names ---

    def _name(self, name: str) -> None:
        last = self.steps[-1] if self.steps else None
        if name == "@links":
            self._links()
        elif name == "@values":
            self._values(last)
        elif name == "@keys":
            self._keys(last)
        elif self.inner or self._at_mixed(last):
            self.inner.append(name)
            self.written.append(name)
        elif last is not None and self._is_whole(last, kinds.DICTIONARY_COLLECTION) and not self._leads_on(name):
            self._select(name, None)
            self.written.append(name)
        elif self.cls is not None:
            self._property(self.cls, name)
        else:
            self._fail(self._dead_end(last, name))

    def _leads_on(self, name: str) -> bool:
        """Whether behind a dictionary of links a name is a property of the objects, not a key."""
        return self.cls is not None and (self.whole or self.names.find_property(self.cls, name) is not None)

    def _property(self, cls: ClassLike, name: str) -> None:
        found = self.names.find_property(cls, name)
        if found is None:
            public = self.names.properties.get(cls.name, {})
            near = get_close_matches(name, [*public, *cls.properties], n=1)
            hint = f": did you mean {near[0]!r}?" if near else f"; it has {', '.join(cls.properties) or 'none'}"
            shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
            self._fail(f"{cls.name} has no property {shown!r}{hint}", UnknownPropertyError)
        if isinstance(found, tuple):
            self.pending.extendleft((self.number, element) for element in reversed(found))
            return
        target = self.schema.find(found.target) if found.type == kinds.LINK and found.target else None
        self._step(Step(cls, found, target))
        self.written.append(found.name)

    def _links(self) -> None:
        cls = self.cls
        if cls is None or self.inner:
            self._fail("@links stands where an object is, at the beginning or behind a link")
        following = [self.pending.popleft()[1] for _ in range(min(2, len(self.pending)))]
        if len(following) < 2 or not all(isinstance(each, str) for each in following):
            self._fail("@links is followed by a class and its property, or by .@count: @links.Person.dogs")
        class_name, name = str(following[0]), str(following[1])
        source = self.names.find_class(self.schema, class_name)
        if source is None:
            self._fail(f"there is no class {class_name!r}", UnknownPropertyError)
        prop = self.names.find_property(source, name)
        if prop is None or isinstance(prop, tuple):
            self._fail(f"{source.name} has no property {name!r}", UnknownPropertyError)
        if prop.type != kinds.MIXED and not (prop.type == kinds.LINK and prop.target == cls.name):
            self._fail(f"{source.name}.{name} does not link to {cls.name}")
        self._step(Step(cls, prop, source, backward=True))
        self.written += ["@links", source.name, prop.name]

    def _values(self, last: Step | None) -> None:
        if last is None or not self._is_whole(last, kinds.DICTIONARY_COLLECTION):
            self._fail("@values stands directly behind a dictionary")
        self.whole = True
        self.written.append("@values")

    def _keys(self, last: Step | None) -> None:
        if self.inner or self._at_mixed(last):
            self.inner.append(Position.KEYS)
        elif last is not None and self._is_whole(last, kinds.DICTIONARY_COLLECTION):
            self._select(Position.KEYS, None)
            self.cls = None
        else:
            self._fail("@keys stands directly behind a dictionary, or a mixed value")
        self.written.append("@keys")

    # --- indexes ---

    def _index(self, value: int | str | Position) -> None:
        last = self.steps[-1] if self.steps else None
        if self.inner or self._at_mixed(last):
            self.inner.append(value)
        elif last is None:
            self._fail("an index stands behind a property")
        elif self._is_whole(last, kinds.LIST_COLLECTION) or self._is_whole(last, kinds.DICTIONARY_COLLECTION):
            keyed = last.property.collection == kinds.DICTIONARY_COLLECTION
            if value is Position.ALL:
                self.whole = True
            elif keyed != isinstance(value, str):
                name = last.property.name
                self._fail(
                    f"{name} is a dictionary: give a key, as in {name}['key']"
                    if keyed
                    else f"{name} is a list: give a number, FIRST, LAST or *"
                )
            else:
                self._select(value, last.target)
        else:
            self._fail(f"{self._called(last)} has no elements that an index could pick")

    # --- where we are ---

    def _step(self, step: Step) -> None:
        self.steps.append(step)
        self.cls = step.target
        self.whole = False

    def _select(self, selector: Selector, target: ClassLike | None) -> None:
        self.steps[-1] = replace(self.steps[-1], select=selector)
        self.cls = target if target is not None else self.steps[-1].target
        self.whole = False

    def _is_whole(self, step: Step, collection: int) -> bool:
        """Whether the last step is such a collection, of which nothing was picked yet."""
        whole = not step.backward and step.property.collection == collection and step.select is None
        return whole and not self.whole

    def _at_mixed(self, last: Step | None) -> bool:
        """Whether the walk has come to one Mixed value, or to each of those of a collection."""
        if last is None or last.backward or last.property.type != kinds.MIXED or last.select is Position.KEYS:
            return False
        return last.property.collection == kinds.SINGLE_COLLECTION or last.select is not None or self.whole

    def _called(self, step: Step) -> str:
        if step.backward:
            return f"@links.{step.target.name if step.target else ''}.{step.property.name}"
        kind = {kinds.SET_COLLECTION: "a set"}.get(step.property.collection)
        if kind is None:
            kind = "a link" if step.property.type == kinds.LINK else "no collection"
        return f"{step.property.name}, which is {kind},"

    def _dead_end(self, last: Step | None, name: str) -> str:
        before = ".".join(map(str, self.written))
        if last is not None and last.property.type == kinds.MIXED and last.plural:
            return f"{before} holds many values: write {before}[*].{name} for all or {before}[0].{name} for one"
        return f"{before} is no link, so {name!r} cannot follow it"

    def _fail(self, why: str, error: type[QueryTypeError] = QueryTypeError) -> NoReturn:
        if self.path.span is None:
            raise error(why if error is UnknownPropertyError else f"{self.path}: {why}")
        raise error(pointed(why, _span_of(self.path.span, self.number)))


def _span_of(span: Span, number: int) -> Span:
    """Where the element of that number stands in the text of a path."""
    text = span.text[span.start : span.stop]
    place = -1
    for lexeme in tokens(text):
        if lexeme.kind in ("DOT", "RSQB", "ANY", "ALL", "NONE"):
            continue
        if lexeme.kind != "LSQB":
            place += 1
        if place == number:
            start = span.start + lexeme.start
            return Span(span.text, start, start + len(lexeme.text))
    return span
