"""What a Realm takes in and gives out in bulk: many objects, documents, tables, copies (spec/sdk.md §6.3, §12.7)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from html import escape
from io import StringIO
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar, overload

from syncline.collector import COLLECTOR_PAUSED
from syncline.errors import (
    IllegalOperationError,
    InvalidPropertyError,
    ObjectTypeMismatchError,
    TypeMismatchError,
)
from syncline.realm import bulk, frames
from syncline.realm.assigning import Assigner, UpdateMode
from syncline.realm.bulk import Progress
from syncline.realm.bulk_progress import ProgressWish, file_progress, object_progress
from syncline.realm.columns import Column, Columns, column_names, loaded
from syncline.realm.converters import describe
from syncline.realm.copying import detached, values_of
from syncline.realm.display import ROWS, LiveTable, html_table, rich_table, table_of
from syncline.realm.export import Exporter, write_json
from syncline.realm.frames import from_frame, row_of_frame
from syncline.realm.importing import (
    DocumentReader,
    Origin,
    Source,
    csv_rows,
    file_name,
    json_documents,
    json_lines,
    opened,
)
from syncline.realm.models import Model

if TYPE_CHECKING:
    from syncline.query.expression import Expr
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["RealmExchange", "ResultsExchange"]

M = TypeVar("M", bound=Model)


class RealmExchange:
    """The part of :class:`~syncline.Realm` that takes in and copies objects."""

    _context: Context

    # --- objects ------------------------------------------------------------------------------------------------------

    @overload
    def create(
        self,
        cls: type[M],
        values: Mapping[str, Any] | M | None = None,
        /,
        *,
        update: UpdateMode = ...,
        ignore_unknown: bool = ...,
        **properties: Any,
    ) -> M: ...
    @overload
    def create(
        self,
        cls: str,
        values: Mapping[str, Any] | Model | None = None,
        /,
        *,
        update: UpdateMode = ...,
        ignore_unknown: bool = ...,
        **properties: Any,
    ) -> Any: ...
    def create(
        self,
        cls: type[M] | str,
        values: Mapping[str, Any] | Model | None = None,
        /,
        *,
        update: UpdateMode = UpdateMode.NEVER,
        ignore_unknown: bool = False,
        **properties: Any,
    ) -> Any:
        """A new object: ``realm.create(Dog, name="Rex")`` or ``realm.create(Dog, {"name": "Rex"})``.

        Values may hold mappings and unmanaged objects under links: they become objects too. Objects of other Realms are
        copied with everything they lead to. ``values`` may also be an object, of this Realm, another or none, whose
        copy is made; ``properties`` count more. ``update`` says what happens if an object with the same primary key
        exists. Names that the class does not have raise, or are left out with ``ignore_unknown``. Of an asymmetric
        class nothing is returned.

        Raises WrongTransactionStateError, InvalidPropertyError (unknown name), TypeMismatchError,
        MissingPropertyValueError, LimitExceededError, ObjectAlreadyExistsError, MissingPrimaryKeyError (an update of a
        class without), IllegalOperationError (an embedded class).
        """
        context = self._context
        tx = context.writing()
        binding = context.classes.of(cls)
        if values is None:
            values = properties
        elif isinstance(values, Model):
            created = self._create_from(binding, values, properties, update)
            return None if binding.info.asymmetric else created
        elif not isinstance(values, Mapping):
            raise TypeMismatchError(f"create: expected a mapping of values or an object, got {describe(values)}")
        elif properties:
            values = {**values, **properties}
        plan = binding.plan()
        if plan.is_plain and update is UpdateMode.NEVER and not ignore_unknown:
            return plan.create(tx, values)
        created = Assigner(context, update, ignore_unknown).run_create(binding, values)
        return None if binding.info.asymmetric else created

    def _create_from(self, binding: Binding, obj: Model, properties: Mapping[str, Any], update: UpdateMode) -> Model:
        """A copy of an object, with some properties different."""
        context = self._context
        if type(obj)._info.stored_name != binding.info.name:
            raise ObjectTypeMismatchError(f"create: expected {binding.name}, got {describe(obj)}")
        if obj._binding is not None and obj._binding.context is context:
            values = {**values_of(obj, binding), **properties}
            return Assigner(context, update).run_create(binding, values)
        copy: Model = detached(obj)
        for name, value in properties.items():
            setattr(copy, name, value)
        Assigner(context, update).run_add(copy)
        return copy

    def add(self, obj: M, *, update: UpdateMode = UpdateMode.NEVER) -> M:
        """Make an unmanaged object, and every object it links to, part of this Realm; the same object becomes live.

        An object of this Realm stays as it is. Objects of other Realms under its links are copied. Raises what
        :meth:`create` raises, IllegalOperationError for an object of another Realm.
        """
        context = self._context
        context.writing()
        if not isinstance(obj, Model):
            raise TypeMismatchError(f"add: expected an object of a model class, got {describe(obj)}")
        Assigner(context, update).run_add(obj)
        return obj

    def add_all(
        self,
        objects: Iterable[Model],
        *,
        update: UpdateMode = UpdateMode.NEVER,
        progress: ProgressWish = None,
    ) -> int:
        """:meth:`~syncline.Realm.add` for each, many at once; how many were given.

        ``progress``: see :meth:`create_many`. Raises what ``add`` raises; those before are written then, until the
        transaction is rolled back.
        """
        context = self._context
        context.writing()
        with object_progress(progress, "adding", objects) as tell:
            return bulk.add_all(context, objects, update, tell)

    @overload
    def create_many(
        self,
        cls: type[Model] | str,
        values: Iterable[Mapping[str, Any]],
        *,
        update: UpdateMode = UpdateMode.NEVER,
        ignore_unknown: bool = False,
        progress: ProgressWish = None,
    ) -> int: ...

    @overload
    def create_many(
        self,
        cls: type[Model] | str,
        values: Iterable[Iterable[Any]],
        *,
        properties: Sequence[str],
        update: UpdateMode = UpdateMode.NEVER,
        ignore_unknown: bool = False,
        progress: ProgressWish = None,
    ) -> int: ...

    def create_many(
        self,
        cls: type[Model] | str,
        values: Iterable[Any],
        *,
        properties: Sequence[str] | None = None,
        update: UpdateMode = UpdateMode.NEVER,
        ignore_unknown: bool = False,
        progress: ProgressWish = None,
    ) -> int:
        """:meth:`~syncline.Realm.create` for each mapping, many times faster; how many objects were written.

        ::

            realm.create_many(Reading, ({"id": n, "value": value} for n, value in enumerate(values)))
            realm.create_many(Reading, enumerate(values), properties=("id", "value"))

        With ``properties``, the names of the properties, ``values`` are rows of values for them: tuples, lists, rows of
        other databases.

        The file and its history are the same as after one ``create`` each. Under a link may also stand the primary key
        of an object that exists. ``values`` is read as it goes, in batches. Names that the class does not have raise
        InvalidPropertyError, or are left out with ``ignore_unknown``. ``progress`` is called with the number of objects
        every few thousand of them; True draws a bar, by rich or tqdm (ImportError without both), lines where there is
        no terminal. Raises what ``create`` raises; objects before the wrong one are written then, until the transaction
        is rolled back. Raises InvalidatedObjectError for the key of an object that does not exist, TypeMismatchError
        for what is no mapping or no row, InvalidPropertyError for a property that is named twice.
        """
        context = self._context
        context.writing()
        binding = context.classes.of(cls)
        names = None if properties is None else _distinct(properties)
        with object_progress(progress, binding.name, values) as tell:
            writer = bulk.BulkWriter(context, binding, update, ignore_unknown)
            if names is None:
                return writer.write(values, tell, _in_values)
            return writer.write_rows(names, values, tell, _in_values)

    # --- documents and tables -----------------------------------------------------------------------------------------

    def import_json(
        self,
        cls: type[Model] | str,
        data: Any,
        *,
        update: UpdateMode = UpdateMode.NEVER,
        ignore_unknown: bool = False,
        time_zone: tzinfo | None = None,
        progress: ProgressWish = None,
    ) -> int:
        """Objects from JSON as :meth:`Results.to_json` writes it; how many.

        ``data``: the text, a ``pathlib.Path``, an open file, or what was parsed already: a list of dictionaries or one.
        Text becomes a date, decimal, identifier or binary data where the property is one. Objects under links are
        created (or updated); ``{"$ref": [class, key]}`` and bare primary keys name objects that exist.

        ``time_zone`` is that of dates which name none; without it they are refused. ``progress``: see
        :meth:`create_many`. Raises what :meth:`create_many` raises, with a note which object is wrong;
        TypeMismatchError for text that is no JSON, with a note which line is.
        """
        context = self._context
        context.writing()
        documents, origin = json_documents(data), Origin()
        rows = DocumentReader(context, context.classes.of(cls), time_zone).rows(documents, origin)
        with object_progress(progress, "JSON", None) as tell:
            return self._write(cls, rows, origin, update, ignore_unknown, tell)

    def import_json_lines(
        self,
        cls: type[Model] | str,
        source: Source,
        *,
        update: UpdateMode = UpdateMode.NEVER,
        ignore_unknown: bool = False,
        time_zone: tzinfo | None = None,
        encoding: str = "utf-8-sig",
        progress: ProgressWish = None,
    ) -> int:
        """Objects from a file (its path, or open) with a JSON object on each line, read as it goes; see
        :meth:`import_json`. ``encoding``: of the file at a path. Errors have a note with file and line.
        """
        context = self._context
        context.writing()
        with opened(source, encoding) as file:
            name = file_name(file)
            origin = Origin(name, "line")
            rows = DocumentReader(context, context.classes.of(cls), time_zone).rows(json_lines(file, origin), origin)
            with file_progress(progress, name, file) as tell:
                return self._write(cls, rows, origin, update, ignore_unknown, tell)

    def import_csv(
        self,
        cls: type[Model] | str,
        source: Source,
        *,
        columns: Mapping[str, str | None] | None = None,
        update: UpdateMode = UpdateMode.NEVER,
        ignore_unknown: bool = False,
        time_zone: tzinfo | None = None,
        encoding: str = "utf-8-sig",
        progress: ProgressWish = None,
        **options: Any,
    ) -> int:
        """Objects from a CSV file (its path, or open) whose first line names the columns, read as it goes; how many.

        ``columns`` says which property a column is, where the names differ: ``{"Full name": "name", "notes": None}``;
        None leaves a column out. Text is read as in :meth:`import_json`; an empty field is null, or empty text where
        there is no null; links are named by primary keys; lists and the like are JSON. ``encoding``: of the file at a
        path. ``options`` go to :func:`csv.reader`, such as ``delimiter=";"``; quoting is checked strictly unless
        ``strict=False`` is one of them.

        Raises InvalidPropertyError for columns that are no properties, TypeMismatchError for fields that fit none and
        for what is no CSV, and what :meth:`create_many` raises, with notes that say file, line and column.
        """
        context = self._context
        context.writing()
        with opened(source, encoding, newline="") as file:
            name = file_name(file)
            origin = Origin(name, "line")
            reader = DocumentReader(context, context.classes.of(cls), time_zone)
            rows = csv_rows(file, reader, origin, columns or {}, ignore_unknown, options)
            with file_progress(progress, name, file) as tell:
                return self._write(cls, rows, origin, update, ignore_unknown, tell)

    def from_dataframe(
        self,
        cls: type[Model] | str,
        frame: Any,
        *,
        update: UpdateMode = UpdateMode.NEVER,
        ignore_unknown: bool = False,
        time_zone: tzinfo | None = None,
        progress: ProgressWish = None,
    ) -> int:
        """Objects from a pandas or polars data frame or a pyarrow table, one for each row; how many.

        Columns are properties by their names; links are named by primary keys. Missing values are null. Dates without
        a time zone are in ``time_zone``, or are refused. ``progress``: see :meth:`create_many`. Raises
        TypeMismatchError for anything that is no frame, and what :meth:`create_many` raises, with a note which row is
        wrong.
        """
        context = self._context
        context.writing()
        binding = context.classes.of(cls)
        values, count = from_frame(binding, frame, time_zone)
        with object_progress(progress, binding.name, range(count)) as tell:
            writer = bulk.BulkWriter(context, binding, update, ignore_unknown)
            return writer.write_columns(values, count, tell, row_of_frame)

    def _write(
        self,
        cls: type[Model] | str,
        rows: Iterable[Mapping[str, Any]],
        origin: Origin,
        update: UpdateMode,
        ignore_unknown: bool,
        progress: Progress | None,
    ) -> int:
        context = self._context
        return bulk.BulkWriter(context, context.classes.of(cls), update, ignore_unknown).write(
            rows, progress, origin.of, origin.columns
        )

    # --- copies -------------------------------------------------------------------------------------------------------

    def copy_to(self, obj: M, *, update: UpdateMode = UpdateMode.NEVER) -> M:
        """A deep copy of an object, of another Realm or of none, in this Realm; ``obj`` stays what it is.

        Everything it leads to is copied too, each object once. Raises what ``add`` raises, InvalidatedObjectError for
        an object that was deleted.
        """
        context = self._context
        context.writing()
        copy: M = detached(obj)
        Assigner(context, update).run_add(copy)
        return copy

    def copy_from(self, obj: M, depth: int | None = None) -> M:
        """An unmanaged deep copy of an object of this Realm; see :meth:`Model.detach`.

        Raises IllegalOperationError for an object of another Realm or of none.
        """
        self._context.check()
        binding = obj._binding
        if binding is None or binding.context is not self._context:
            raise IllegalOperationError(f"copy_from: {obj!r} does not belong to this Realm")
        copy: M = detached(obj, depth)
        return copy


class ResultsExchange:
    """The part of :class:`~syncline.Results` that gives out values, documents and tables."""

    _binding: Binding
    _context: Context

    if TYPE_CHECKING:

        @property
        def _is_whole_class(self) -> bool: ...
        def _all_keys(self) -> array[int]: ...

    def values(self, *names: str | Expr) -> list[dict[str, Any]]:
        """The values of these properties as dictionaries, for all properties without names; one pass, no objects.

        Names may lead through links: ``dogs.values("name", Dog.owner.name)``. A link is the primary key of its object
        (or its number, where the class has none); collections are lists and dictionaries. Values are Python's, as
        attributes give them. Raises InvalidPropertyError for an unknown name.
        """
        columns = self._read_columns(names)
        paths = [column.name for column in columns]
        return [dict(zip(paths, row, strict=True)) for row in zip(*map(loaded, columns), strict=True)]

    @overload
    def values_list(self, *names: str | Expr, flat: Literal[False] = ...) -> list[tuple[Any, ...]]: ...
    @overload
    def values_list(self, *names: str | Expr, flat: Literal[True]) -> list[Any]: ...
    def values_list(self, *names: str | Expr, flat: bool = False) -> list[Any]:
        """The same as tuples; with ``flat`` the values of one property: ``dogs.values_list("name", flat=True)``."""
        columns = [loaded(column) for column in self._read_columns(names)]
        if not flat:
            with COLLECTOR_PAUSED:
                return list(zip(*columns, strict=True))
        if len(columns) != 1:
            raise TypeError("values_list(flat=True) takes exactly one property")
        return columns[0]

    def _read_columns(self, names: Sequence[str | Expr]) -> list[Column]:
        keys = None if self._is_whole_class else self._all_keys()
        return Columns(self._binding, keys).read(column_names(self._binding, names))

    def to_dicts(self, depth: int | None = None, *, circular: str = "ref") -> list[dict[str, Any]]:
        """The objects as dictionaries that JSON can hold; see :meth:`Model.to_dict`."""
        return Exporter(self._context, depth, circular).dicts(self._binding, self._all_keys())

    @overload
    def to_json(self, fp: None = None, *, depth: int | None = ..., circular: str = ..., lines: bool = ...) -> str: ...
    @overload
    def to_json(self, fp: IO[str], *, depth: int | None = ..., circular: str = ..., lines: bool = ...) -> None: ...
    def to_json(
        self, fp: IO[str] | None = None, *, depth: int | None = None, circular: str = "ref", lines: bool = False
    ) -> str | None:
        """The objects as a JSON array, an object on a line; into an open text file, or as text.

        ``lines``: JSON lines, without brackets and commas. Dates are ISO 8601 in UTC, binary data base64; decimals,
        ObjectId, UUID, NaN and infinities are strings. Objects under links are written out, up to ``depth`` links away
        and once for each line; elsewhere stands ``{"$ref": [class, key]}``. ``circular="null"`` leaves an object that
        was written before out, ``"error"`` raises IllegalOperationError. A file is written in pieces.
        """
        into = StringIO() if fp is None else fp
        write_json(self._context, self._binding, self._all_keys(), into, depth=depth, circular=circular, lines=lines)
        return into.getvalue() if isinstance(into, StringIO) and fp is None else None

    def to_pandas(self, columns: Sequence[str | Expr] | None = None) -> Any:
        """A ``pandas.DataFrame`` with these columns, or with all properties; names may lead through links.

        int is Int64, bool bool or boolean, float float64, dates ``datetime64[ns, UTC]``, text, binary data, decimals,
        identifiers, lists and dictionaries objects; a link is the primary key of its object. Raises ImportError without
        pandas (``pip install 'syncline[pandas]'``).
        """
        return frames.to_pandas(self._read_columns(columns or ()))

    def to_polars(self, columns: Sequence[str | Expr] | None = None) -> Any:
        """A ``polars.DataFrame``; as :meth:`to_pandas`, with polars' own types.

        Decimals are Decimal(38, …), text where that is not enough; identifiers are text, Mixed values JSON.
        """
        return frames.to_polars(self._read_columns(columns or ()))

    def to_arrow(self, columns: Sequence[str | Expr] | None = None) -> Any:
        """A ``pyarrow.Table``; as :meth:`to_polars`, dictionaries as maps."""
        return frames.to_arrow(self._read_columns(columns or ()))

    # --- display ------------------------------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        """For notebooks: the first twenty objects as a table."""
        if self._context.closed:
            return f"<code>{escape(repr(self))}</code>"
        return html_table(table_of(self._binding, self._all_keys()))

    def __rich__(self) -> Any:
        """For :mod:`rich`: the first twenty objects as a table."""
        return repr(self) if self._context.closed else rich_table(table_of(self._binding, self._all_keys()))

    def live_table(self, rows: int = ROWS) -> LiveTable:
        """A table of the first ``rows`` objects for a notebook, which changes when they do; see :class:`LiveTable`.

        Write it as the last expression of a cell, or ``display`` it, and keep it. On a notebook's event loop nothing
        else is needed. Raises ImportError outside of IPython.
        """
        results: Any = self
        return LiveTable(results, rows)


def _in_values(number: int) -> str:
    return f"in values[{number}]"


def _distinct(properties: Sequence[str]) -> tuple[str, ...]:
    is_list = isinstance(properties, Iterable) and not isinstance(properties, str | set | frozenset)  # in their order
    names = tuple(properties) if is_list else ()
    if not is_list or not all(isinstance(name, str) for name in names):
        raise TypeMismatchError(f"create_many: properties are names of properties, got {describe(properties)}")
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise InvalidPropertyError(f"create_many: the property {twice[0]!r} is named twice")
    return names
