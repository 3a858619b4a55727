"""Results as pandas, polars and Arrow tables, and objects from them (spec/sdk.md §12.7).

The libraries are optional and imported on call. Columns are made from the values of one pass over the file; a link is
the primary key of its object, a list or set a list column, a dictionary a map (in pandas a ``dict``).
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, tzinfo
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from syncline.errors import RealmError, TypeMismatchError
from syncline.realm.columns import Column
from syncline.realm.converters import describe
from syncline.realm.json_values import from_json, to_json
from syncline.values import Decimal128, ObjectId, Timestamp, kinds

if TYPE_CHECKING:
    from syncline.realm.binding import Binding

__all__ = ["from_frame", "row_of_frame", "to_arrow", "to_pandas", "to_polars"]

#: Range of a signed 64-bit number of nanoseconds since 1970.
_NS_MIN: Final = -(2**63) + 1
_NS_MAX: Final = 2**63 - 1
#: What stands for no time among them.
_NAT: Final = -(2**63)


def _library(name: str, extra: str) -> Any:
    """An optional library. Raises ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"this needs {name}: pip install 'syncline[{extra}]'", name=name) from error


def _kind(column: Column) -> int:
    """The kind of the column's values: that of the key for a link, LINK for objects that have none."""
    kind = column.attribute.converter.kind
    if kind != kinds.LINK:
        return kind
    if column.key is not None:
        return column.key.converter.kind
    return kinds.OBJECT if _is_embedded(column) else kinds.INT


def _is_embedded(column: Column) -> bool:
    target = column.attribute.target
    return target is not None and getattr(target(), "kind", kinds.TOP_LEVEL) == kinds.EMBEDDED


def _nanoseconds(value: Timestamp | None) -> int | None:
    return None if value is None else value.seconds * 1_000_000_000 + value.nanoseconds


def _in_range(values: list[int | None]) -> bool:
    return all(value is None or _NS_MIN <= value <= _NS_MAX for value in values)


# --- pandas -----------------------------------------------------------------------------------------------------------


def to_pandas(columns: list[Column]) -> Any:
    """A ``pandas.DataFrame``."""
    pandas = _library("pandas", "pandas")
    return pandas.DataFrame({column.name: _pandas_series(pandas, column) for column in columns})


def _pandas_series(pandas: Any, column: Column) -> Any:
    values, kind = column.values, _kind(column)
    if column.attribute.property.type.is_collection:
        load = _python(kind)
        return pandas.Series([_nested(load, value) for value in values], dtype=object)
    if kind == kinds.INT:
        return pandas.Series(values, dtype="Int64")
    if kind == kinds.BOOL:
        return pandas.Series(values, dtype="boolean" if None in values else "bool")
    if kind in (kinds.DOUBLE, kinds.FLOAT):
        return _pandas_floats(pandas, values, "float32" if kind == kinds.FLOAT else "float64")
    if kind == kinds.TIMESTAMP:
        numbers = [_nanoseconds(value) for value in values]
        if _in_range(numbers):
            numpy = importlib.import_module("numpy")
            times = numpy.array([_NAT if number is None else number for number in numbers], dtype="int64")
            return pandas.Series(times.view("datetime64[ns]")).dt.tz_localize("UTC")
    return pandas.Series([_python(kind)(value) for value in values], dtype=object)


def _pandas_floats(pandas: Any, values: list[Any], dtype: str) -> Any:
    """Null and NaN differ: a column with nulls is one of pandas' nullable kind."""
    numpy = importlib.import_module("numpy")
    if None not in values:
        return pandas.Series(numpy.array(values, dtype=dtype))
    mask = numpy.array([value is None for value in values])
    numbers = numpy.array([0.0 if value is None else value for value in values], dtype=dtype)
    return pandas.Series(pandas.arrays.FloatingArray(numbers, mask))


def _python(kind: int) -> Callable[[Any], Any]:
    """What Python has for a stored value."""
    if kind == kinds.TIMESTAMP:
        return _datetime
    if kind == kinds.DECIMAL:
        return lambda value: None if value is None else value.to_decimal()
    return lambda value: value


def _datetime(value: Timestamp | None) -> Any:
    if value is None or value.nanoseconds % 1000:
        return value
    try:
        return value.to_datetime()
    except OverflowError:
        return value


def _nested(load: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: load(each) for name, each in value.items()}
    return [load(each) for each in value]


# --- Arrow ------------------------------------------------------------------------------------------------------------


def to_arrow(columns: list[Column]) -> Any:
    """A ``pyarrow.Table``."""
    arrow = _library("pyarrow", "arrow")
    return arrow.table({column.name: _arrow_array(arrow, column) for column in columns})


def _arrow_array(arrow: Any, column: Column) -> Any:
    kind, prop = _kind(column), column.attribute.property.type
    if prop.collection == kinds.SINGLE_COLLECTION:
        type, values = _arrow_values(arrow, kind, column.values)
        return arrow.array(values, type)
    flat: list[Any] = []
    for value in column.values:
        flat += value.values() if isinstance(value, dict) else value
    type, flat_values = _arrow_values(arrow, kind, flat)
    offsets = [0]
    for value in column.values:
        offsets.append(offsets[-1] + len(value))
    items = arrow.array(flat_values, type)
    places = arrow.array(offsets, arrow.int32())
    if prop.collection != kinds.DICTIONARY_COLLECTION:
        return arrow.ListArray.from_arrays(places, items)
    names = arrow.array([name for value in column.values for name in value], arrow.string())
    return arrow.MapArray.from_arrays(places, names, items)


def _arrow_values(arrow: Any, kind: int, values: list[Any]) -> tuple[Any, list[Any]]:
    """Arrow type and values of single values."""
    simple = {
        kinds.INT: arrow.int64(),
        kinds.BOOL: arrow.bool_(),
        kinds.STRING: arrow.string(),
        kinds.BINARY: arrow.binary(),
        kinds.DOUBLE: arrow.float64(),
        kinds.FLOAT: arrow.float32(),
    }
    if kind in simple:
        return simple[kind], values
    if kind == kinds.TIMESTAMP:
        return _arrow_times(arrow, values)
    if kind == kinds.DECIMAL:
        return _arrow_decimals(arrow, values)
    return arrow.string(), [_text(kind, value) for value in values]


def _arrow_times(arrow: Any, values: list[Any]) -> tuple[Any, list[Any]]:
    """Nanoseconds; where they do not fit into 64 bits, seconds."""
    numbers = [_nanoseconds(value) for value in values]
    if _in_range(numbers):
        return arrow.timestamp("ns", "UTC"), numbers
    return arrow.timestamp("s", "UTC"), [None if value is None else value.seconds for value in values]


def _arrow_decimals(arrow: Any, values: list[Any]) -> tuple[Any, list[Any]]:
    """decimal128 with the digits that the values need; text where 38 are not enough, or one is no number."""
    decimals = [None if value is None else value.to_decimal() for value in values]
    digits, scale = _digits([value for value in decimals if value is not None])
    if digits is None:
        return arrow.string(), [None if value is None else str(value) for value in decimals]
    return arrow.decimal128(max(digits, 1), scale), decimals


def _digits(values: list[Decimal]) -> tuple[int | None, int]:
    """Digits in all and after the point that hold all values; None for the digits if 38 do not."""
    before = scale = 0
    for value in values:
        if not value.is_finite():
            return None, 0
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)
        scale = max(scale, -exponent)
        before = max(before, len(digits) + exponent)
    return (None if before + scale > 38 else before + scale), scale


def _text(kind: int, value: Any) -> str | None:
    """Values that tables have no type for: identifiers as text, what varies as JSON."""
    if value is None:
        return None
    if kind in (kinds.OBJECT_ID, kinds.UUID):
        return str(value)
    return json.dumps(value, default=_json_default, ensure_ascii=False)


def _json_default(value: Any) -> Any:
    return to_json(Timestamp.from_datetime(value) if hasattr(value, "tzinfo") else value)


# --- polars -----------------------------------------------------------------------------------------------------------


def to_polars(columns: list[Column]) -> Any:
    """A ``polars.DataFrame``."""
    polars = _library("polars", "polars")
    return polars.DataFrame([_polars_series(polars, column) for column in columns])


def _polars_series(polars: Any, column: Column) -> Any:
    kind, prop = _kind(column), column.attribute.property.type
    if prop.collection == kinds.SINGLE_COLLECTION:
        type, values = _polars_values(polars, kind, column.values)
        return polars.Series(column.name, values, type)
    flat = [each for value in column.values for each in (value.values() if isinstance(value, dict) else value)]
    type, items = _polars_values(polars, kind, flat)
    elements = iter(items)
    if prop.collection != kinds.DICTIONARY_COLLECTION:
        lists: list[Any] = [[next(elements) for _ in value] for value in column.values]
        return polars.Series(column.name, lists, polars.List(type))
    entry = polars.Struct({"key": polars.String, "value": type})
    maps = [[{"key": name, "value": next(elements)} for name in value] for value in column.values]
    return polars.Series(column.name, maps, polars.List(entry))


def _polars_values(polars: Any, kind: int, values: list[Any]) -> tuple[Any, list[Any]]:
    simple = {
        kinds.INT: polars.Int64,
        kinds.BOOL: polars.Boolean,
        kinds.STRING: polars.String,
        kinds.BINARY: polars.Binary,
        kinds.DOUBLE: polars.Float64,
        kinds.FLOAT: polars.Float32,
    }
    if kind in simple:
        return simple[kind], values
    if kind == kinds.TIMESTAMP:
        numbers = [_nanoseconds(value) for value in values]
        if _in_range(numbers):
            return polars.Datetime("ns", "UTC"), numbers
        return polars.Datetime("us", "UTC"), [None if number is None else number // 1000 for number in numbers]
    if kind == kinds.DECIMAL:
        decimals = [None if value is None else value.to_decimal() for value in values]
        digits, scale = _digits([value for value in decimals if value is not None])
        if digits is not None:
            return polars.Decimal(38, scale), decimals
        return polars.String, [None if value is None else str(value) for value in decimals]
    return polars.String, [_text(kind, value) for value in values]


# --- from frames ------------------------------------------------------------------------------------------------------


def row_of_frame(number: int) -> str:
    """A note for the error of a row, by its number from 0 on."""
    return f"in row {number} of the frame (the first one is 0)"


def from_frame(binding: Binding, frame: Any, zone: tzinfo | None = None) -> tuple[dict[str, list[Any]], int]:
    """The columns of a pandas or polars data frame or an Arrow table as values for ``create_many``, and how many rows.

    Missing values are null: pandas' NA and NaT, and NaN where the property holds no floating-point numbers. ``zone``:
    of dates that have none. Raises TypeMismatchError for anything that is no frame and for values that do not fit.
    """
    attributes, public = binding.model._info.attributes, binding.plan().public_names
    columns: dict[str, list[Any]] = {}
    count, named = _frame_columns(frame)
    for name, values in named.items():
        attribute = attributes.get(public.get(name, name))
        if attribute is None:
            columns[name] = values
            continue
        converter, prop = attribute.converter, attribute.property.type
        if converter.kind == kinds.LINK:
            target = attribute.target
            key = None if target is None else _key_of(target())
            converter = key.converter if key is not None else converter
        single = _reader(converter, zone)
        if not prop.is_collection:
            columns[name] = _read(single, values)
        elif prop.collection == kinds.DICTIONARY_COLLECTION:
            columns[name] = _read(partial(_read_entries, single), values)
        else:
            columns[name] = _read(partial(_read_elements, single), values)
    return columns, count


def _read(read: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    """What the cells of a column mean. A note says which one is wrong."""
    found: list[Any] = []
    try:
        for value in values:
            found.append(read(value))
    except RealmError as error:
        error.add_note(row_of_frame(len(found)))
        raise
    return found


def _read_entries(read: Callable[[Any], Any], value: Any) -> dict[str, Any]:
    return {name: read(each) for name, each in _entries(value)}


def _read_elements(read: Callable[[Any], Any], value: Any) -> list[Any]:
    return [] if value is None else list(map(read, value))


def _key_of(info: Any) -> Any:
    return next((a for a in info.attributes.values() if a.property.primary_key), None)


def _frame_columns(frame: Any) -> tuple[int, dict[str, list[Any]]]:
    library = type(frame).__module__.partition(".")[0]
    if library == "pandas" and hasattr(frame, "columns"):
        return len(frame), {str(name): _pandas_list(frame[name]) for name in frame.columns}
    if library == "polars" and hasattr(frame, "columns"):
        frame = frame.collect() if hasattr(frame, "collect") else frame
        return frame.height, {name: _polars_list(frame[name]) for name in frame.columns}
    if library == "pyarrow" and hasattr(frame, "column_names"):
        return frame.num_rows, {name: _arrow_list(frame[name]) for name in frame.column_names}
    raise TypeMismatchError(f"expected a pandas or polars DataFrame or a pyarrow Table, got {describe(frame)}")


def _pandas_list(series: Any) -> list[Any]:
    pandas = importlib.import_module("pandas")
    if isinstance(series.dtype, pandas.DatetimeTZDtype):
        numbers = series.dt.as_unit("ns").astype("int64").tolist()
        return [None if missing else _timestamp(n) for n, missing in zip(numbers, series.isna().tolist(), strict=True)]
    return [None if value is pandas.NA or value is pandas.NaT else value for value in series.tolist()]


def _polars_list(series: Any) -> list[Any]:
    polars = importlib.import_module("polars")
    dtype = series.dtype
    if isinstance(dtype, polars.Datetime) and dtype.time_zone is not None and dtype.time_unit == "ns":
        return [None if number is None else _timestamp(number) for number in series.dt.epoch("ns").to_list()]
    values: list[Any] = series.to_list()
    return values


def _arrow_list(column: Any) -> list[Any]:
    arrow = importlib.import_module("pyarrow")
    if arrow.types.is_timestamp(column.type) and column.type.tz is not None and column.type.unit == "ns":
        return [None if number is None else _timestamp(number) for number in column.cast(arrow.int64()).to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def _timestamp(nanoseconds: int) -> Timestamp:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if seconds < 0 and rest:
        seconds, rest = seconds + 1, rest - 1_000_000_000
    return Timestamp(seconds, rest)


def _reader(converter: Any, zone: tzinfo | None) -> Callable[[Any], Any]:
    """What a cell means for a property."""
    floats = converter.kind in (kinds.DOUBLE, kinds.FLOAT)
    return lambda value: _value(converter, value, floats, zone)


def _value(converter: Any, value: Any, floats: bool, zone: tzinfo | None) -> Any:
    """What a cell means for a property; what does not fit is for the property to refuse."""
    if value is None:
        return None
    if isinstance(value, date) and converter.kind == kinds.TIMESTAMP and getattr(value, "tzinfo", None) is None:
        return from_json(converter, _moment(converter, value, zone))
    if isinstance(value, float):
        if not floats and math.isnan(value):
            return None
        if converter.kind == kinds.INT and value.is_integer():
            return int(value)
    elif hasattr(value, "item") and not isinstance(value, Decimal128 | ObjectId):  # a number of numpy's
        value = value.item()
    if isinstance(value, str) and converter.kind == kinds.MIXED:
        return value
    return from_json(converter, value, zone)


def _moment(converter: Any, value: date, zone: tzinfo | None) -> Timestamp:
    """A date or a naive time in a zone. Raises TypeMismatchError without."""
    if zone is None:
        raise TypeMismatchError(f"{converter.where}: {value} has no time zone: give time_zone=UTC, or what is meant")
    time = value.time() if isinstance(value, datetime) else datetime.min.time()
    seconds, nanoseconds = Timestamp.from_datetime(datetime.combine(value, time, zone))
    return Timestamp.normalised(seconds, nanoseconds + getattr(value, "nanosecond", 0))  # pandas' own


def _entries(value: Any) -> list[tuple[str, Any]]:
    """The entries of a map, in whichever form a library has it."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.items())
    return [(each["key"], each["value"]) if isinstance(each, Mapping) else tuple(each) for each in value]
