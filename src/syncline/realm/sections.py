"""Results in sections, such as contacts by their first letter (spec/sdk.md §8).

Sections stand in the order in which their keys first occur in the results, elements in the order of the results.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, overload

from syncline.errors import KeyNotFoundError, OutOfBoundsError, StaleAccessorError, TypeMismatchError
from syncline.realm.converters import Converter, describe
from syncline.realm.models import unknown_property
from syncline.realm.schema import PropertyType
from syncline.values import kinds
from syncline.values.order import sort_key

if TYPE_CHECKING:
    from syncline.realm.changes import CollectionChange
    from syncline.realm.results import Results
    from syncline.realm.section_changes import SectionedChange
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = ["Layout", "ResultsSections", "Section", "SectionedResults", "first_letter"]

T = TypeVar("T")

_KEY: Final = Converter("the key of a section", PropertyType(kinds.MIXED, nullable=True))


class _OfProperty:
    """A key that is made of one property: of many objects it is read in one pass."""

    def __init__(self, name: str, make: Callable[[Any], Any] | None = None) -> None:
        self._name = name
        self._make = make

    def __call__(self, obj: Any) -> Any:
        value = getattr(obj, self._name)
        return value if self._make is None else self._make(value)

    def of_all(self, results: Results[Any]) -> list[Any]:
        """The keys of all objects of the results."""
        attribute = results._binding.model._info.attributes.get(self._name)
        kind = None if attribute is None else attribute.property.type
        if kind is None or kind.is_collection or kind.kind in (kinds.LINK, kinds.MIXED) or results._binding.is_missing:
            return [self(obj) for obj in results]
        values = results.values_list(self._name, flat=True)
        return values if self._make is None else [self._make(value) for value in values]


def _first_character(value: str | None) -> str:
    return value[:1] if value else ""


def first_letter(name: str) -> Callable[[Any], str]:
    """For :meth:`Results.sectioned`: the first character of a string property; "" for an empty one, or none."""
    return _OfProperty(name, _first_character)


class ResultsSections:
    """The part of :class:`~syncline.Results` that divides them."""

    def sectioned(self, key: str | Callable[[Any], Any]) -> SectionedResults[Any]:
        """The results in sections by a property, or by what ``key(obj)`` gives: ``first_letter("name")``.

        Sections stand in the order in which their keys first occur, so sort by what the key is made of. Keys are null
        or scalars. Raises InvalidPropertyError for an unknown property, TypeMismatchError for what is neither.
        """
        results = cast("Results[Any]", self)
        if isinstance(key, str):
            attributes = results._binding.model._info.attributes
            if key not in attributes:
                raise unknown_property(results._binding.name, key, attributes)
            key = _OfProperty(key)
        elif not callable(key):
            raise TypeMismatchError(f"expected the name of a property or a function of an object, got {describe(key)}")
        return SectionedResults(results, key)


class Layout:
    """Which rows are in which section: ``rows`` has section and place of each row of the results."""

    def __init__(self, keys: Sequence[Any]) -> None:
        """``keys``: of each row of the results. Raises TypeMismatchError for a key that is an object or collection."""
        #: by key as the database compares it: the number of the section
        self.numbers: dict[Hashable, int] = {}
        self.keys: list[Any] = []
        self.members: list[list[int]] = []
        self.rows: list[tuple[int, int]] = []
        known: dict[tuple[type[Any], Any], int] = {}  # what equal keys share takes a while to know
        for row, key in enumerate(keys):
            number = known.get((type(key), key)) if isinstance(key, Hashable) else None
            if number is None:
                number = known[type(key), key] = self._number(key)
            self.rows.append((number, len(self.members[number])))
            self.members[number].append(row)

    def _number(self, key: Any) -> int:
        """That of the section with a key, which is new perhaps."""
        identity = identity_of(key)
        number = self.numbers.get(identity)
        if number is None:
            number = self.numbers[identity] = len(self.keys)
            self.keys.append(key)
            self.members.append([])
        return number


def identity_of(key: Any) -> Hashable:
    """What equal keys share; 1 equals 1.0, but not True."""
    return sort_key(_KEY.store_scalar(key))


class SectionedResults(Sequence["Section[T]"], Generic[T]):
    """Live sections of results; ``dogs.sort("name").sectioned(first_letter("name"))``."""

    def __init__(self, results: Results[T], key: Callable[[T], Any]) -> None:
        """Not for applications: use :meth:`Results.sectioned`."""
        self.results = results
        self._key = key
        self._known: tuple[int, Layout] = (-1, Layout(()))

    def layout(self) -> Layout:
        """The sections now; worked out once per version (in a write: per change)."""
        self.results._all_keys()
        changes = self.results._context.changes
        if self._known[0] != changes:
            key, results = self._key, self.results
            keys = key.of_all(results) if isinstance(key, _OfProperty) else [key(obj) for obj in results]
            self._known = (changes, Layout(keys))
        return self._known[1]

    @property
    def keys(self) -> list[Any]:
        """The keys of the sections, in their order."""
        return list(self.layout().keys)

    def __len__(self) -> int:
        return len(self.layout().keys)

    @overload
    def __getitem__(self, index: int) -> Section[T]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Section[T]]: ...
    def __getitem__(self, index: Any) -> Any:
        """A section by its number, or by its key if that is no int. Raises OutOfBoundsError, KeyNotFoundError."""
        layout = self.layout()
        if isinstance(index, slice):
            return [Section(self, key) for key in layout.keys[index]]
        if not isinstance(index, int) or isinstance(index, bool):
            return self.section(index)
        try:
            return Section(self, layout.keys[index])
        except IndexError:
            raise OutOfBoundsError(f"there is no section {index}: there are {len(layout.keys)}") from None

    def section(self, key: Any) -> Section[T]:
        """The section with that key, also where keys are ints. Raises KeyNotFoundError."""
        if identity_of(key) not in self.layout().numbers:
            raise KeyNotFoundError(f"there is no section {key!r}")
        return Section(self, key)

    def __iter__(self) -> Iterator[Section[T]]:
        return iter([Section(self, key) for key in self.layout().keys])

    __hash__ = object.__hash__

    def freeze(self) -> SectionedResults[T]:
        """The sections as they are now, for good."""
        return SectionedResults(self.results.freeze(), self._key)

    def thaw(self) -> SectionedResults[T]:
        """The live sections, in the Realm of this thread or event loop. Live ones are themselves."""
        return SectionedResults(self.results.thaw(), self._key) if self.is_frozen else self

    @property
    def is_frozen(self) -> bool:
        """Whether they stay as they are for good."""
        return self.results._context.frozen

    def observe(
        self,
        callback: Callable[[SectionedResults[T], SectionedChange], object],
        *,
        key_paths: list[str] | None = None,
        keep: bool = False,
    ) -> NotificationToken:
        """Call ``callback(sections, change)`` when rows or sections change; see :meth:`Results.observe`."""
        self.results._context.reader()
        return self.results._context.observers.observe_sections(self, callback, key_paths, keep)

    def changes(self, key_paths: list[str] | None = None, *, frozen: bool = True) -> Changes[SectionedChange]:
        """What :meth:`observe` tells, as an asynchronous iterator; see :meth:`Results.changes`."""
        self.results._context.reader()
        observers = self.results._context.observers
        return observers.stream(lambda inbox: observers.observe_sections(self, inbox, key_paths), frozen=frozen)


class Section(Sequence[T]):
    """The elements of results that share a key. It follows its key wherever the section moves."""

    def __init__(self, sections: SectionedResults[T], key: Any) -> None:
        self._sections = sections
        self.key = key

    @property
    def is_valid(self) -> bool:
        """Whether the section has elements; the others are gone."""
        return identity_of(self.key) in self._sections.layout().numbers

    @property
    def index(self) -> int:  # type: ignore[override]
        """The number of the section now. Raises StaleAccessorError if it is gone."""
        number = self._sections.layout().numbers.get(identity_of(self.key))
        if number is None:
            raise StaleAccessorError(f"no element is in the section {self.key!r} any more")
        return number

    def __len__(self) -> int:
        return len(self._sections.layout().members[self.index])

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        rows, results = self._sections.layout().members[self.index], self._sections.results
        if isinstance(index, slice):
            return [results[row] for row in rows[index]]
        try:
            return results[rows[index]]
        except IndexError:
            raise OutOfBoundsError(f"index {index} is out of range: the section has {len(rows)} elements") from None

    def __iter__(self) -> Iterator[T]:
        return iter(self[:])

    def __repr__(self) -> str:
        return f"<Section {self.key!r}>"

    def freeze(self) -> Section[T]:
        """The section as it is now, for good."""
        return Section(self._sections.freeze(), self.key)

    def thaw(self) -> Section[T]:
        """The live section, in the Realm of this thread or event loop."""
        return Section(self._sections.thaw(), self.key)

    def observe(
        self,
        callback: Callable[[Section[T], CollectionChange], object],
        *,
        key_paths: list[str] | None = None,
        keep: bool = False,
    ) -> NotificationToken:
        """Call ``callback(section, change)`` when elements of this section come, go or change; also when the section
        goes and comes again. See :meth:`Results.observe`.
        """
        observers = self._sections.results._context.observers
        return observers.observe_section(self, callback, key_paths, keep)
