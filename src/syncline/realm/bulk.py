"""Many objects at once: ``realm.create_many``, ``realm.add_all`` (spec/sdk.md §6, spec/changesets.md §9.6).

What is given is taken in batches, and these in runs of values for the same properties. A run that needs nothing but
rows is checked by column and written at once (:mod:`syncline.storage.bulk`); any other, and any with something wrong in
it, goes the way of ``create`` object by object. Either way the file and its history are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from syncline.collector import COLLECTOR_PAUSED
from syncline.errors import ObjectAlreadyExistsError, RealmError, TypeMismatchError
from syncline.realm.assigning import Assigner, UpdateMode, check_update, same
from syncline.realm.attributes import Attribute
from syncline.realm.by_key import ByKey, link_by_key, links_by_key
from syncline.realm.converters import Converter, describe
from syncline.realm.models import Model
from syncline.realm.plans import NO_DEFAULTS
from syncline.storage.bulk import BulkColumn, create_batch, find_all
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.refs import ObjectRef
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["BATCH", "BulkWriter", "Origins", "Progress", "add_all"]

#: ``progress(done)`` after each batch: how many objects were written.
Progress: TypeAlias = Callable[[int], object]

#: Where an object comes from, by its number from 0 on: a note for an error.
Origins: TypeAlias = Callable[[int], str]

#: Objects taken at once.
BATCH: Final = 4096
#: From so many objects on a run is worth the detour over columns.
_WORTHWHILE: Final = 8


class BulkWriter:
    """Writes objects of one class in one write transaction."""

    def __init__(self, context: Context, binding: Binding, mode: UpdateMode, ignore_unknown: bool = False) -> None:
        """Raises MissingPrimaryKeyError for updates in a class without primary key."""
        self.context = context
        self.binding = binding
        self.mode = mode
        self.ignore_unknown = ignore_unknown
        self.plan = binding.plan()
        #: what is being written, when objects are written one by one
        self._tried: Mapping[str, Any] | None = None
        self._assigner = Assigner(context, mode, ignore_unknown)
        if mode is not UpdateMode.NEVER:
            check_update(mode, binding)
        info = binding.info
        #: rows of the class can be written without looking at anything else
        self._is_simple = not info.embedded and not info.asymmetric
        self._links = [a for a in self.plan.rest if a.converter.kind == kinds.LINK]
        single = {a.name: a for a in self._links if not (a.property.type.is_collection or self._place(a).embedded)}
        #: links of one value, which a row holds itself
        self._columns: dict[str, Attribute] = single
        self._fast_names = {plain.name for plain in self.plan.plain} | set(single)
        if self.plan.key is not None:
            self._fast_names.add(self.plan.key.name)
        #: defaults that take more than the row
        self._late_defaults = {
            a.name for a in self.plan.rest if a.property.has_default and a.property.default is not None
        }

    def _place(self, attribute: Attribute) -> PropertyInfo:
        return self.binding.places[attribute.place]

    # --- what is given ------------------------------------------------------------------------------------------------

    def write(
        self,
        values: Iterable[Mapping[str, Any]],
        progress: Progress | None = None,
        origins: Origins | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> int:
        """Create (or update) an object for each mapping; how many.

        For the notes of errors: ``origins``, and ``columns``, what those of a table are called, by names in mappings.
        """
        done = 0
        for batch in _batches(values):
            try:
                self._write_batch(batch)
            except RealmError as error:
                if columns:
                    self._note_column(error, columns)
                self._note(error, batch, done, origins)
                raise
            done += len(batch)
            if progress is not None:
                progress(done)
        return done

    def _write_batch(self, batch: list[Mapping[str, Any]]) -> None:
        columns = _columns_of(batch)
        if columns is not None:
            self._write_run(columns, batch)
            return
        for names, run in _runs(batch, _names):
            self._write_run({name: list(map(itemgetter(name), run)) for name in names}, run)

    def _note(self, error: RealmError, batch: Sequence[Any], done: int, origins: Origins | None) -> None:
        """Say which object of the batch is wrong, if its values were given like that."""
        number = next((number for number, values in enumerate(batch, done) if values is self._tried), None)
        if origins is not None and number is not None:
            error.add_note(origins(number))

    def _note_column(self, error: RealmError, columns: Mapping[str, str]) -> None:
        """Say in which column the value stands that the error is about, if it is about one."""
        tried, public = self._tried or {}, self.plan.public_names
        given = {public.get(name, name): name for name in tried}
        refused = self._assigner.refused
        if refused is not None:
            found = given.get(refused.name)
        else:  # what a row starts with is written at once
            found = next((alias for name, alias in given.items() if self._is_refused(name, tried[alias], error)), None)
        if found is not None:
            error.add_note(f"in column {columns[found]!r}")

    def _is_refused(self, name: str, value: Any, error: RealmError) -> bool:
        """Whether the value of a scalar property raises the same by itself."""
        try:
            self._try(name, value)
        except RealmError as again:
            return str(again) == str(error)
        return False

    def _try(self, name: str, value: Any) -> None:
        """Raise what is wrong with a primary key or another scalar, writing nothing."""
        tx, key = self.context.writing(), self.plan.key
        if key is not None and name == key.name:
            stored = self.plan.key_of({name: value}, NO_DEFAULTS)
            if tx.find(self.binding.info, stored) is not None:
                raise ObjectAlreadyExistsError(self.binding.name, stored)
        plain = next((each for each in self.plan.plain if each.name == name), None)
        if plain is not None:
            tx.prepare_single(self.binding.info, plain.place, plain.converter.store(value, self.context))

    def write_columns(
        self,
        columns: Mapping[str, list[Any]],
        count: int,
        progress: Progress | None = None,
        origins: Origins | None = None,
    ) -> int:
        """The same for values by property, ``count`` of each."""
        for start in range(0, count, BATCH):
            part = {name: values[start : start + BATCH] for name, values in columns.items()}
            size = min(BATCH, count - start)
            self._write_columns(part, size, start, origins)
            if progress is not None:
                progress(start + size)
        return count

    def write_rows(
        self,
        names: tuple[str, ...],
        rows: Iterable[Sequence[Any]],
        progress: Progress | None = None,
        origins: Origins | None = None,
    ) -> int:
        """The same for rows of values for the properties ``names``."""
        done = 0
        for batch in _batches(rows):
            self._write_columns(_columns_of_rows(names, batch, done), len(batch), done, origins)
            done += len(batch)
            if progress is not None:
                progress(done)
        return done

    def _write_columns(self, columns: Mapping[str, list[Any]], count: int, done: int, origins: Origins | None) -> None:
        names = tuple(columns)
        if self._write_part(names, columns, count):
            return
        rows = zip(*columns.values(), strict=True) if names else [()] * count
        batch = [dict(zip(names, row, strict=True)) for row in rows]
        try:
            self._write_each(batch)
        except RealmError as error:
            self._note(error, batch, done, origins)
            raise

    def _write_each(self, run: Sequence[Mapping[str, Any]]) -> None:
        """One object after the other."""
        linking = {a.name: a.converter for a in self._links if not self._place(a).embedded}
        stored = {a.property.stored_name: a.name for a in self._links}
        for mapping in run:
            self._tried = values = mapping
            if linking:
                values = {
                    name: links_by_key(linking[stored.get(name, name)], value)
                    if stored.get(name, name) in linking
                    else value
                    for name, value in values.items()
                }
            self._assigner = Assigner(self.context, self.mode, self.ignore_unknown)
            self._assigner.run_create(self.binding, values)

    def add_run(self, names: tuple[str, ...], run: Sequence[Model]) -> bool:
        """Whether unmanaged objects with values for the same properties could be added by column."""
        if not (self._is_simple and set(names) <= self._fast_names):
            return False
        for name in self._columns:
            if name in names and any(isinstance(obj._values[name], Mapping) for obj in run):
                return False
        columns = {name: [obj._values[name] for obj in run] for name in names}
        stored = self._stored(columns, len(run))
        return stored is not None and self._create(stored, len(run), run) is not None

    def _write_run(self, columns: Mapping[str, list[Any]], run: Sequence[Mapping[str, Any]]) -> None:
        """Write mappings with the same names, which are also given by column."""
        if not (len(run) >= _WORTHWHILE and self._write_part(tuple(columns), columns, len(run))):
            self._write_each(run)

    # --- by column ----------------------------------------------------------------------------------------------------

    def _write_part(self, names: tuple[str, ...], columns: Mapping[str, list[Any]], count: int) -> bool:
        """Whether the objects could be written by column; if not, nothing was done."""
        if not self._is_simple:
            return False
        with COLLECTOR_PAUSED:
            return self._write_simple(names, columns, count)

    def _write_simple(self, names: tuple[str, ...], columns: Mapping[str, list[Any]], count: int) -> bool:
        given = set(names)
        if not given <= self._fast_names:
            if not self.ignore_unknown or given & set(self.binding.model._info.attributes) - self._fast_names:
                return False
            given &= self._fast_names
            if set(names) & set(self.plan.public_names):
                return False
        stored = self._stored({name: columns[name] for name in names if name in given}, count)
        if stored is None:
            return False
        if self.mode is UpdateMode.NEVER or self.plan.key is None or self.plan.key.name not in given:
            return self._create(stored, count) is not None
        return self._upsert(stored, count)

    def _stored(self, columns: Mapping[str, list[Any]], count: int) -> dict[str, list[Any]] | None:
        """The stored forms of the values; None if something is wrong with them or needs more than a row."""
        attributes = self.binding.model._info.attributes
        stored: dict[str, list[Any]] = {}
        try:
            for name, values in columns.items():
                if name in self._columns:
                    references = self._references(attributes[name], values)
                    if references is None:
                        return None
                    stored[name] = references
                else:
                    stored[name] = _converted(attributes[name].converter, values, self.context)
        except (RealmError, TypeError, ValueError):
            return None
        return stored

    def _references(self, attribute: Attribute, values: list[Any]) -> list[ObjectRef | None] | None:
        """The rows that links lead to; None if one would have to be made, or is missing."""
        target = attribute.converter.type.target
        assert target is not None
        linked = [link_by_key(value) for value in values]
        wanted = [value.key for value in linked if isinstance(value, ByKey)]
        found: dict[Any, ObjectRef] = {}
        if wanted:
            info = self.context.writing().catalogue.classes[target]
            key = self.context.classes.binding(info.id).plan().key
            if key is None:
                return None
            wanted = _converted(key.converter, wanted, self.context)
            numbers = find_all(self.context.writing(), info, wanted)
            if -1 in numbers:
                return None
            found = {key: ObjectRef(info.id, k) for key, k in zip(wanted, numbers, strict=True)}
        keys = iter(wanted)
        references: list[ObjectRef | None] = []
        for value in linked:
            if value is None:
                if not attribute.converter.nullable:
                    return None
                references.append(None)
            elif isinstance(value, ByKey):
                references.append(found[next(keys)])
            elif isinstance(value, Model) and value.is_managed:
                references.append(self.context.reference(value, target, attribute.converter.where))
            else:
                return None
        return references

    def _create(self, stored: Mapping[str, list[Any]], count: int, adopted: Sequence[Model] = ()) -> int | None:
        """The object key of the first of ``count`` new objects; None if they have to be made one by one."""
        tx, info, plan = self.context.writing(), self.binding.info, self.plan
        if tx.has_tombstones(info) or self._late_defaults - set(stored):
            return None
        if self.mode is UpdateMode.MODIFIED:  # does not write the null that a new object's link is already
            nulls = {name: stored[name].count(None) for name in self._columns if name in stored}
            if any(0 < number < count for number in nulls.values()):
                return None
            stored = {name: values for name, values in stored.items() if not nulls.get(name)}
        try:
            columns = self._bulk_columns(stored, count)
            if columns is None:
                return None
            keys = stored.get(plan.key.name) if plan.key is not None else None
            if plan.key is not None and keys is None:
                keys = [plan.key_of({}, NO_DEFAULTS) for _ in range(count)]
            if keys is not None and (len(set(keys)) < count or max(find_all(tx, info, keys)) >= 0):
                return None
        except RealmError:
            return None
        first = create_batch(tx, info, keys, count, columns)
        for number, obj in enumerate(adopted):
            self.binding.adopt(obj, first + number)
        self.context.changes += 1
        return first

    def _bulk_columns(self, stored: Mapping[str, list[Any]], count: int) -> list[BulkColumn] | None:
        """Scalars in the order of declaration, then links: the order in which creation records them."""
        tx, info = self.context.writing(), self.binding.info
        given = {name: BulkColumn(tx, info, self._place_of(name), values, False)
                 for name, values in stored.items() if self.plan.key is None or name != self.plan.key.name}  # fmt: skip
        columns: list[BulkColumn] = []
        factories: list[tuple[int, Callable[[], Any], Converter, PropertyInfo]] = []
        for name, _, converter, place, default in self.plan.plain:
            if name in given:
                columns.append(given[name])
            elif default is None:
                pass
            elif type(default) is tuple:
                columns.append(BulkColumn(tx, info, place, [default[1]] * count, True))
            elif callable(default):
                factories.append((len(columns) + len(factories), default, converter, place))
            else:
                return None  # a value is missing
        made = [[make() for _, make, _, _ in factories] for _ in range(count)] if factories else []
        for number, (position, _, converter, place) in enumerate(factories):
            values = [converter.store(row[number], self.context) for row in made]
            columns.insert(position, BulkColumn(tx, info, place, values, True))
        columns += [given[a.name] for a in self.plan.rest if a.name in given]
        return columns

    def _place_of(self, name: str) -> PropertyInfo:
        return self._place(self.binding.model._info.attributes[name])

    # --- updating -----------------------------------------------------------------------------------------------------

    def _upsert(self, stored: Mapping[str, list[Any]], count: int) -> bool:
        key = self.plan.key
        assert key is not None
        keys = stored[key.name]
        try:
            numbers = find_all(self.context.writing(), self.binding.info, keys)
        except RealmError:
            return False
        if len(set(keys)) < count:
            return False
        if max(numbers) < 0:
            return self._create(stored, count) is not None
        if min(numbers) < 0:
            return self._upsert_mixed(stored, numbers)
        return self._update(stored, numbers)

    def _upsert_mixed(self, stored: Mapping[str, list[Any]], numbers: list[int]) -> bool:
        """Some exist and some do not: in their order, one group after the other."""
        groups = [list(group) for _, group in groupby(range(len(numbers)), lambda row: numbers[row] >= 0)]
        if len(groups) * _WORTHWHILE > len(numbers):
            return False
        for group in groups:
            part = {name: values[group[0] : group[-1] + 1] for name, values in stored.items()}
            existing = numbers[group[0] : group[-1] + 1]
            done = self._update(part, existing) if existing[0] >= 0 else self._create(part, len(group)) is not None
            if not done:
                rows = [dict(zip(part, row, strict=True)) for row in zip(*part.values(), strict=True)]
                self._write_each([self._live(row) for row in rows])
        return True

    def _live(self, row: dict[str, Any]) -> dict[str, Any]:
        """Stored values as an application would give them: links as objects."""
        return {
            name: self.context.object_at(value) if isinstance(value, ObjectRef) else value
            for name, value in row.items()
        }

    def _update(self, stored: Mapping[str, list[Any]], numbers: list[int]) -> bool:
        """Write into objects that exist what was given, in MODIFIED mode what differs."""
        context, info, key = self.context, self.binding.info, self.plan.key
        tx = context.writing()
        places = [
            (place, info.singles.index(place), stored[attribute.name])
            for attribute, place in (
                (attribute, self._place(attribute)) for attribute in self.binding.model._info.attributes.values()
            )
            if attribute is not key and attribute.name in stored
        ]
        if any(not place.nullable and None in values for place, _, values in places if place.type != kinds.LINK):
            return False
        try:
            for place, _, values in places:
                BulkColumn(tx, info, place, values, False)
        except RealmError:
            return False
        modified = self.mode is UpdateMode.MODIFIED
        rows = tx.rows(info, numbers) if modified else {}
        for row, k in enumerate(numbers):
            present = rows.get(k, ())
            for place, slot, values in places:
                value = values[row]
                if not (modified and type(present[slot]) is type(value) and same(value, present[slot])):
                    tx.set(info, k, place, value)
        context.touch()
        return True


def add_all(context: Context, objects: Iterable[Any], mode: UpdateMode, progress: Progress | None = None) -> int:
    """``realm.add_all``: unmanaged objects become live; how many were given."""
    writers: dict[type, BulkWriter] = {}
    done = 0
    for batch in _batches(objects):
        for (cls, names), run in _runs(batch, _shape):
            if (
                cls is None
                or mode is not UpdateMode.NEVER
                or len(run) < _WORTHWHILE
                or len(set(map(id, run))) < len(run)
            ):
                _add_each(context, run, mode)
                continue
            writer = writers.get(cls)
            if writer is None:
                writer = writers[cls] = BulkWriter(context, context.classes.of(cls), mode)
            if not writer.add_run(names, run):
                _add_each(context, run, mode)
        done += len(batch)
        if progress is not None:
            progress(done)
    return done


def _add_each(context: Context, run: Sequence[Any], mode: UpdateMode) -> None:
    for obj in run:
        if not isinstance(obj, Model):
            raise TypeMismatchError(f"add: expected an object of a model class, got {describe(obj)}")
        Assigner(context, mode).run_add(obj)


def _columns_of(batch: Sequence[Any]) -> dict[str, list[Any]] | None:
    """The values by name, if all are dictionaries with the same names."""
    if set(map(type, batch)) != {dict} or len(set(map(len, batch))) > 1:
        return None
    try:
        return {name: list(map(itemgetter(name), batch)) for name in batch[0]}
    except KeyError:
        return None


def _columns_of_rows(names: tuple[str, ...], batch: list[Any], done: int) -> dict[str, list[Any]]:
    """The values by name; ``done``: the number of the first row.

    Raises TypeMismatchError for what is no row of as many values.
    """
    if not set(map(type, batch)) <= {tuple, list}:
        batch = [_row(row, done + number) for number, row in enumerate(batch)]
    if set(map(len, batch)) != {len(names)}:
        number, row = next((number, row) for number, row in enumerate(batch) if len(row) != len(names))
        raise TypeMismatchError(
            f"create_many: values[{done + number}] has {len(row)} values, but {len(names)} properties are named: "
            f"{', '.join(names)}"
        )
    # not zip(*batch): an iterator for each row, and the garbage collector runs for so many
    return {name: list(map(itemgetter(place), batch)) for place, name in enumerate(names)}


def _row(row: Any, number: int) -> tuple[Any, ...]:
    if isinstance(row, str | bytes | Mapping | set | frozenset) or not isinstance(row, Iterable):
        raise TypeMismatchError(
            f"create_many: with properties=…, values[{number}] has to be a row of values, got {describe(row)}"
        )
    return tuple(row)


def _names(values: Any) -> tuple[str, ...]:
    """The names in a mapping. Raises TypeMismatchError for anything else."""
    if not isinstance(values, Mapping):
        advice = "; name the properties of rows: properties=(…)" if isinstance(values, tuple | list) else ""
        raise TypeMismatchError(f"create_many: expected mappings of values, got {describe(values)}{advice}")
    return tuple(values)


def _shape(obj: Any) -> tuple[Any, tuple[str, ...]]:
    """Class and names of the values of an unmanaged object that may be written by column."""
    if isinstance(obj, Model) and obj._binding is None and not obj._defaults:
        return type(obj), tuple(obj._values)
    return None, ()


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _runs(batch: list[Any], shape: Callable[[Any], Any]) -> Iterator[tuple[Any, list[Any]]]:
    """Neighbours of the same shape."""
    for key, run in groupby(batch, shape):
        yield key, list(run)


def _converted(converter: Converter, values: list[Any], context: Context) -> list[Any]:
    """The stored forms of the values of a scalar property."""
    exact = converter.exact
    if set(map(type, values)) == {exact}:
        return values
    return [value if type(value) is exact else converter.store(value, context) for value in values]
