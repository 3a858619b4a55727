"""Results: the objects that a query finds, lazily and live (spec/sdk.md §8).

Building one does no work. The first access asks the database once for the keys of all matching objects, kept as an
array; objects are read in pages when they are needed. When the Realm has moved on, the next access asks again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from syncline.errors import (
    IllegalOperationError,
    ModifyPrimaryKeyError,
    ObjectTypeMismatchError,
    OutOfBoundsError,
    QueryError,
    StaleAccessorError,
)
from syncline.query.arguments import bind
from syncline.query.ast import Always, And, Distinct, Limit, Path, Predicate, Query, Sort, SortKey, Stage
from syncline.query.expression import Condition, Expr
from syncline.query.parser import parse
from syncline.query.printing import query_to_rql, to_rql
from syncline.query.resolve import resolve
from syncline.realm.binding import Binding
from syncline.realm.converters import describe, no_index, no_property
from syncline.realm.deleting import delete_keys
from syncline.realm.exchange import ResultsExchange
from syncline.realm.freezing import ResultsFreezing
from syncline.realm.models import Model
from syncline.realm.objects import PAGE
from syncline.realm.patching import patch, patch_sorted, unlimited
from syncline.realm.sections import ResultsSections
from syncline.realm.snapshots import ResultsSnapshots
from syncline.realm.summaries import ResultsSummaries
from syncline.storage import query_run
from syncline.storage.catalogue import Catalogue
from syncline.storage.connection import translating
from syncline.storage.refs import ObjectRef
from syncline.values.numbers import plain_number

if TYPE_CHECKING:
    from syncline.realm.changes import CollectionChange
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = ["Results"]

T = TypeVar("T")
V = TypeVar("V")

_ALL: Final = Query()


class Results(ResultsExchange, ResultsSummaries, ResultsSnapshots[T], ResultsFreezing, ResultsSections, Sequence[T]):
    """Objects of one class that match a query, in its order; ``realm.objects(Dog)``.

    Iterating goes over the objects that match when the loop starts; those deleted meanwhile are left out.
    """

    def __init__(self, binding: Binding, query: Query = _ALL, source: query_run.Source = None) -> None:
        """Not for applications: use ``realm.objects()``. ``source``: the collection of links, or the object linked to,
        that is looked at.
        """
        self._binding = binding
        self._context = binding.context
        self._query = query
        self._source = source
        self._catalogue: Catalogue | None = None
        self._resolved = query
        self._at = -1
        self._keys = array("q")
        self._counted: tuple[int, int] = (-1, 0)
        self._page: tuple[int, int, list[Model]] = (-1, 0, [])
        self._resolve()

    # --- the query ----------------------------------------------------------------------------------------------------

    def _resolve(self) -> Query:
        """The query checked against the schema of the version that is read; not while the file lacks the class."""
        if self._binding.is_missing:
            return self._query
        catalogue = self._context.reader().catalogue
        if self._catalogue is not catalogue:
            context = self._context
            self._resolved = resolve(
                self._query, self._binding.info, catalogue, context.refer, context.classes.public_names()
            )
            self._catalogue = catalogue
        return self._resolved

    @property
    def _is_whole_class(self) -> bool:
        """Whether these are all objects of a class, in the order in which they were created."""
        return self._query == _ALL and self._source is None and not self._binding.is_missing

    def _with(self, predicate: Predicate | None = None, *stages: Stage) -> Results[T]:
        query = self._query
        if predicate is not None:
            if any(isinstance(each, Limit) for each in query.stages):
                raise IllegalOperationError("these results are limited already; filter before limit()")
            both = predicate if query.predicate == Always(True) else And((*_terms(query.predicate), *_terms(predicate)))
            query = Query(both, query.stages)
        return Results(self._binding, Query(query.predicate, (*query.stages, *stages)), self._source)

    def where(self, *conditions: Condition | bool) -> Results[T]:
        """Only objects that meet all ``conditions``: ``dogs.where(Dog.age > 3, Dog.name.startswith("R"))``.

        Raises QueryError for a condition that makes no sense, InvalidPropertyError for an unknown property.
        """
        results = self
        for condition in conditions:
            results = results._with(predicate=_condition("where", condition).node)
        return results

    def filter(self, rql: str, *arguments: Any) -> Results[T]:
        """Only objects that match a text in the Realm Query Language, with its orderings appended (spec/sdk.md §7).

        ``$0``, ``$1`` … stand for ``arguments``, ``$K0`` for a key path: ``dogs.filter("age > $0 SORT(name ASC)", 3)``.

        Raises QuerySyntaxError, QueryTypeError, QueryArgumentError and InvalidPropertyError, which point at the place
        in the text, and IllegalOperationError for results that are limited already.
        """
        query = bind(parse(rql), arguments)
        only_stages = query.predicate == Always(True) and query.stages
        return self._with(None if only_stages else query.predicate, *query.stages)

    def sort(self, *keys: SortKey | Expr | str, descending: bool = False) -> Results[T]:
        """Sorted by ``keys``, the first counting most: expressions, ``Dog.age.desc()``, or names (``"best.age"``,
        ``"scores['k']"``).

        ``descending`` turns keys that say nothing themselves. Null comes first, objects behind null links last. Sorting
        again makes the new keys count more than the old.
        """
        if not keys:
            raise QueryError("sort() needs at least one property to sort by")
        return self._with(None, Sort(tuple(_sort_key(key, descending) for key in keys)))

    def distinct(self, *properties: Expr | str) -> Results[T]:
        """Only the first object for each combination of values of ``properties``."""
        if not properties:
            raise QueryError("distinct() needs at least one property")
        return self._with(None, Distinct(tuple(_sort_key(each, False).path for each in properties)))

    def limit(self, count: int) -> Results[T]:
        """At most the first ``count`` objects."""
        return self._with(None, Limit(cast(int, plain_number(count))))

    @property
    def description(self) -> str:
        """The query as text in the Realm Query Language."""
        return query_to_rql(self._query)

    # --- reading ------------------------------------------------------------------------------------------------------

    def _run(self, function: Callable[..., V], query: Query, *more: Any) -> V:
        """A function of ``storage.query_run`` on the version that is read."""
        reader = self._context.reader()
        with self._context.lock, translating(self._context.file.path):
            reader.flush()
            return function(reader, query, self._binding.info, *(more or (self._source,)))

    def _all_keys(self) -> array[int]:
        """The keys of the matching objects now; asked for once per version (in a write: per change)."""
        context = self._context
        context.reader()
        if self._at != context.changes:
            self._check_source()
            self._keys = array("q") if self._binding.is_missing else self._run(query_run.find, self._resolve())
            self._at = context.changes
        return self._keys

    def _patch_keys(self, old: array[int], candidates: set[int]) -> array[int]:
        """The matching keys now, if they were ``old`` and only ``candidates`` may have come, gone or moved."""
        if self._binding.is_missing:
            return old
        query, limit = unlimited(self._resolve())
        apply = patch_sorted if query.stages else patch
        keys = apply(old, candidates, lambda some: self._run(query_run.find_among, query, some))
        if keys is None:
            return self._all_keys()
        self._keys, self._at = keys if limit is None else keys[:limit], self._context.changes
        return self._keys

    @property
    def is_valid(self) -> bool:
        """Whether there is anything to look at: the Realm is open, its file has the class, and the object in whose list
        these are, or that they link to, exists.
        """
        if self._context.closed or self._binding.is_missing:
            return False
        self._context.check()
        return self._source_exists()

    def _check_source(self) -> None:
        if self._source is not None and not self._source_exists():
            what = "that these {} link to" if isinstance(self._source[1], ObjectRef) else "whose list these {} were in"
            raise StaleAccessorError(f"the object {what.format(self._binding.name)} was deleted")

    def _source_exists(self) -> bool:
        """Whether the collection that is looked at still has its owner, or the object that is linked to exists."""
        if self._source is None:
            return True
        reader, place = self._context.reader(), self._source[1]
        with self._context.lock:
            if isinstance(place, ObjectRef):
                info = reader.catalogue.by_id.get(place.class_id)
                return info is not None and reader.exists(info, place.object_key)
            return reader.collection_exists(place)

    def __len__(self) -> int:
        context = self._context
        context.reader()
        if self._at == context.changes or self._binding.is_missing:
            return len(self._all_keys())
        if self._counted[0] != context.changes:
            self._check_source()
            self._counted = (context.changes, self._run(query_run.count, self._resolve()))
        return self._counted[1]

    def __bool__(self) -> bool:
        return len(self) > 0

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        keys = self._all_keys()
        if isinstance(index, slice):
            return cast("list[T]", self._binding.page(keys[index]))
        try:
            key = keys[index]
        except IndexError:
            raise OutOfBoundsError(
                f"index {index} is out of range: there are {len(keys)} {self._binding.name} objects"
            ) from None
        except TypeError:
            raise no_index(index, f"Results of {self._binding.name}") from None
        return cast(T, self._object(index + len(keys) if index < 0 else index, key))

    def _object(self, index: int, key: int) -> Model:
        """The object at a place; a loop over the indexes reads a page at a time, any other access one object."""
        context = self._context
        epoch, start, page = self._page
        if epoch == context.epoch and start <= index < start + len(page) and page[index - start]._key == key:
            return page[index - start]
        if epoch == context.epoch and index == start + len(page):
            page = self._binding.page(self._keys[index : index + PAGE])
        else:
            page = self._binding.page(self._keys[index : index + 1])
        self._page = (context.epoch, index, page)
        return page[0]

    def __iter__(self) -> Iterator[T]:
        context = self._context
        context.reader()
        if self._is_whole_class and self._at != context.changes:  # the keys are not worth asking for
            return cast("Iterator[T]", self._binding.iterate_all())
        return cast("Iterator[T]", self._binding.iterate(self._all_keys()))

    def __reversed__(self) -> Iterator[T]:
        return cast("Iterator[T]", self._binding.iterate(self._all_keys()[::-1]))

    def __contains__(self, value: object) -> bool:
        return self._place_of(value) is not None

    def _place_of(self, value: object) -> int | None:
        binding = value._binding if isinstance(value, Model) else None
        if binding is None or binding.identity != self._binding.identity:
            return None
        assert isinstance(value, Model)
        try:
            return self._all_keys().index(value._key)
        except ValueError:
            return None

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The place of an object in the order of the results.

        Raises ValueError if it is not among them, ObjectTypeMismatchError for an object of another class,
        InvalidatedObjectError for one that was deleted.
        """
        binding = value._binding if isinstance(value, Model) else None
        if binding is not None:
            if binding.name != self._binding.name:
                raise ObjectTypeMismatchError(f"index: expected {self._binding.name}, got {describe(value)}")
            binding.check_valid(value)
        place = self._place_of(value)
        if place is None or place not in range(*slice(start, stop).indices(len(self))):
            raise ValueError(f"{value!r} is not in these results")
        return place

    def index_of(self, condition: Condition | str, *arguments: Any) -> int:
        """The place of the first object that meets a condition (an expression, or a text as of :meth:`filter`).

        Raises ValueError if none does, and what :meth:`filter` raises for a text that makes no sense.
        """
        node = (
            bind(parse(condition), arguments).predicate
            if isinstance(condition, str)
            else _condition("index_of", condition).node
        )
        both = And((*_terms(self._query.predicate), *_terms(node)))
        matching = set(Results[T](self._binding, Query(both), self._source)._all_keys())
        for place, key in enumerate(self._all_keys()):
            if key in matching:
                return place
        raise ValueError(f"no {self._binding.name} among these results meets {to_rql(node)}")

    def count(self, value: Any = None) -> int:
        """The number of objects; with ``value`` how often that object is among them."""
        if value is None:
            return len(self)
        binding = value._binding if isinstance(value, Model) else None
        return self._all_keys().count(value._key) if binding is not None and value in self else 0

    def first(self) -> T | None:
        """The first object, or None."""
        context = self._context
        context.reader()
        if self._at == context.changes or self._binding.is_missing:
            return self[0] if self._all_keys() else None
        self._check_source()
        query = self._resolve()
        keys = self._run(query_run.find, Query(query.predicate, (*query.stages, Limit(1))))
        return cast(T, self._binding.page(keys)[0]) if keys else None

    def last(self) -> T | None:
        """The last object, or None."""
        return self[-1] if self._all_keys() else None

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        if self._context.closed:
            return f"<Results of {self._binding.name} (closed)>"
        known = f" ({len(self._keys)} objects)" if self._at == self._context.changes else ""
        description = self.description
        rest = description.removeprefix("TRUEPREDICATE")
        is_condition = rest == description or rest.startswith((" AND ", " OR "))
        return f"<Results of {self._binding.name}{f' where {description}' if is_condition else rest}{known}>"

    # --- writing ------------------------------------------------------------------------------------------------------

    def update(self, **values: Any) -> int:
        """Set properties of every matching object; the number of objects. Raises what assigning raises."""
        self._context.writing()
        attributes = self._binding.model._info.attributes
        named = self._binding.plan().named(values)
        for name in named:
            if attributes[name].property.primary_key:
                raise ModifyPrimaryKeyError(f"{attributes[name].converter.where}: a primary key cannot be changed")
        keys = self._all_keys()[:]
        for key in keys:
            for name, value in named.items():
                self._context.assigner().assign(self._binding, key, attributes[name], value)
        self._context.touch()
        return len(keys)

    def delete_all(self) -> int:
        """Delete every matching object; the number of objects."""
        self._context.writing()
        keys = sorted(set(self._all_keys()))
        delete_keys(self._context, self._binding, keys)
        return len(keys)

    # --- observing ----------------------------------------------------------------------------------------------------

    def observe(
        self,
        callback: Callable[[Results[T], CollectionChange], object],
        *,
        key_paths: list[str] | None = None,
        keep: bool = False,
    ) -> NotificationToken:
        """Call ``callback(results, change)`` when objects come, go, move or change (spec/sdk.md §9).

        The first call comes once the results were evaluated, with an empty change. An object counts as changed if one
        of its properties was written, or one of an object it links to, up to three links away; ``key_paths`` limits
        that: ``["name", "best.age"]``. Keep the returned token, or have the Realm ``keep`` it. Raises
        WrongTransactionStateError inside a write transaction and for a frozen Realm, InvalidPropertyError for a key
        path that leads nowhere.
        """
        self._context.reader()
        return self._context.observers.observe_results(self, callback, key_paths, keep)

    def changes(self, key_paths: list[str] | None = None, *, frozen: bool = True) -> Changes[CollectionChange]:
        """What :meth:`observe` tells, as an asynchronous iterator: ``async for change in results.changes(): …``.

        The first item has ``initial`` set. Changes that come before an item was taken are merged into it.
        ``change.collection`` is what the indexes are about: as it was then, for good, unless ``frozen`` is False.
        Raises what :meth:`observe` raises, and WrongThreadError for a Realm that does not belong to an event loop.
        """
        self._context.reader()
        observers = self._context.observers
        return observers.stream(lambda inbox: observers.observe_results(self, inbox, key_paths), frozen=frozen)


def _terms(predicate: Predicate) -> tuple[Predicate, ...]:
    return predicate.terms if isinstance(predicate, And) else (predicate,)


def _condition(method: str, value: object) -> Condition:
    """The condition that was given. Raises QueryError for anything else."""
    if isinstance(value, Condition):
        return value
    raise QueryError(
        f"{method}() takes conditions such as Dog.age > 3, got {describe(value)}; compare properties of the class, "
        "not of an object, and combine conditions with & | ~"
    )


def _sort_key(key: SortKey | Expr | str, descending: bool) -> SortKey:
    if isinstance(key, SortKey):
        return key
    if isinstance(key, Expr):
        return key.desc() if descending else key.asc()
    if isinstance(key, str) and key:
        return SortKey(_path(key), not descending)
    raise no_property(key)


def _path(text: str) -> Path:
    """The path that a name is: ``"best.age"``, ``"scores['k']"``."""
    if "[" not in text:
        return Path(tuple(text.split(".")))
    try:
        match bind(parse(f"TRUEPREDICATE DISTINCT({text})")).stages:
            case (Distinct((Path(elements),)),):
                return Path(elements)
    except QueryError:
        pass
    raise QueryError(f"{text!r} is no path; one key of a dictionary is named in quotes: \"scores['key']\"")
