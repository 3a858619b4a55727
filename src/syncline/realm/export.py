"""Objects as dictionaries and JSON (spec/sdk.md §12.7).

An object and all that it leads to is read level by level, each class with one query, and put together afterwards.
Within one document an object is written out where it is met first; later, and beyond ``depth`` links, ``{"$ref":
[class, key]}`` stands for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from syncline.errors import IllegalOperationError, LimitExceededError, TypeMismatchError
from syncline.realm.columns import Columns
from syncline.realm.converters import describe
from syncline.realm.graph import ObjectGraph, references_in
from syncline.realm.json_values import to_json
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["CIRCULAR", "PAGE", "Exporter", "write_json"]

#: What stands for an object that was written out before: a reference, nothing; or it is an error.
CIRCULAR: Final = ("ref", "null", "error")

#: Objects written to a file at once.
PAGE: Final = 1000


#: Kinds that JSON has as they are.
_SAME: Final = frozenset({kinds.INT, kinds.BOOL, kinds.STRING})


def _form(value: Any) -> Any:
    """A scalar, or a list or dictionary of scalars, as JSON has it."""
    if isinstance(value, dict):
        return {name: to_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [to_json(each) for each in value]
    return to_json(value)


class _Place(NamedTuple):
    """Where the form of an object goes once its turn comes; ``depth``: how many links away it is."""

    container: Any
    key: Any
    reference: ObjectRef
    depth: int
    embedded: bool


class Exporter:
    """Makes dictionaries of objects of one Realm at one version."""

    def __init__(self, context: Context, depth: int | None = None, circular: str = "ref") -> None:
        if circular not in CIRCULAR:
            raise ValueError(f"circular is one of {', '.join(map(repr, CIRCULAR))}, not {circular!r}")
        self.context = context
        self.depth = depth
        self.circular = circular
        self._graph = ObjectGraph(context, depth)
        self._keys: dict[ObjectRef, Any] = {}

    def dicts(self, binding: Binding, keys: Sequence[int]) -> list[dict[str, Any]]:
        """The objects that exist, in their order."""
        self.context.reader()
        with self.context.lock:
            if not any(place.tied for place in binding.places):
                return self._flat(binding, keys)
            class_id = binding.info.id
            references = [ObjectRef(class_id, k) for k in keys]
            self._graph.load(references)
            return [self._document(reference) for reference in references if reference in self._graph.rows]

    def _flat(self, binding: Binding, keys: Sequence[int]) -> list[dict[str, Any]]:
        """Objects that lead nowhere."""
        _, columns = self._graph.columns(binding, keys)
        names = list(binding.model._info.attributes)
        forms = [
            column if place.type in _SAME and place.collection == kinds.SINGLE_COLLECTION else list(map(_form, column))
            for place, column in zip(binding.places, columns, strict=True)
        ]
        return [dict(zip(names, row, strict=True)) for row in zip(*forms, strict=True)]

    def forms(self, values: Iterable[Any]) -> list[Any]:
        """Embedded objects, or lists and dictionaries of them, given as references."""
        self.context.reader()
        values = list(values)
        with self.context.lock:
            self._graph.load([each for value in values for each in references_in(value)])
            return [self._form_of_embedded(value) for value in values]

    def _form_of_embedded(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._form_of_embedded(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._form_of_embedded(each) for each in value]
        return None if value is None else self._document(value)

    # --- putting together ---------------------------------------------------------------------------------------------

    def _document(self, root: ObjectRef) -> dict[str, Any]:
        """One object with everything in it, in the order in which it will be read."""
        holder: dict[str, Any] = {}
        seen: set[ObjectRef] = set()
        waiting = [_Place(holder, "", root, 0, False)]
        while waiting:
            place = waiting.pop()
            reference = place.reference
            too_deep = self.depth is not None and place.depth > self.depth
            if not place.embedded and (too_deep or reference in seen or reference not in self._graph.rows):
                place.container[place.key] = self._reference(reference, too_deep)
                continue
            seen.add(reference)
            form: dict[str, Any] = {}
            place.container[place.key] = form
            waiting += reversed(self._fill(form, place))
        document: dict[str, Any] = holder[""]
        return document

    def _fill(self, form: dict[str, Any], place: _Place) -> list[_Place]:
        """The values of one object; the objects under its links come later."""
        binding = self.context.classes.binding(place.reference.class_id)
        later: list[_Place] = []
        attributes = binding.model._info.attributes.values()
        for attribute, info, value in zip(attributes, binding.places, self._graph.rows[place.reference], strict=True):
            name = attribute.name
            if info.type == kinds.LINK:
                depth = place.depth + (not info.embedded)
                form[name] = self._links(form, name, value, depth, info.embedded, later)
            elif info.type == kinds.MIXED:
                form[name] = self._mixed(value)
            else:
                form[name] = _form(value)
        return later

    def _links(self, container: Any, key: Any, value: Any, depth: int, embedded: bool, later: list[_Place]) -> Any:
        if isinstance(value, ObjectRef):
            later.append(_Place(container, key, value, depth, embedded))
            return None
        if isinstance(value, dict):
            entries: dict[str, Any] = {}
            for name, each in value.items():
                entries[name] = self._links(entries, name, each, depth, embedded, later)
            return entries
        if isinstance(value, list):
            elements: list[Any] = [None] * len(value)
            for index, each in enumerate(value):
                self._links(elements, index, each, depth, embedded, later)
            return elements
        return value

    def _mixed(self, value: Any) -> Any:
        reader = self.context.reader()
        if isinstance(value, ObjectRef):
            return self._reference(value, True)
        if isinstance(value, CollectionRef):
            if value.kind == kinds.LIST_COLLECTION:
                return [self._mixed(each) for each in reader.list_slice(value)]
            return {name: self._mixed(each) for name, each in reader.dict_items(value)}
        if isinstance(value, list):
            return [self._mixed(each) for each in value]
        if isinstance(value, dict):
            return {name: self._mixed(each) for name, each in value.items()}
        return to_json(value)

    def _reference(self, reference: ObjectRef, too_deep: bool) -> Any:
        """What stands for an object that is not written out."""
        binding = self.context.classes.binding(reference.class_id)
        if not too_deep and self.circular == "null":
            return None
        if not too_deep and self.circular == "error":
            raise IllegalOperationError(f"a {binding.name} is met twice: give circular='ref', or a depth")
        if reference not in self._keys:
            self._keys.update(Columns(binding, ()).keys_of([reference]))
        return {"$ref": [binding.name, to_json(self._keys.get(reference))]}


def write_json(
    context: Context,
    binding: Binding,
    keys: Sequence[int],
    fp: IO[str],
    *,
    depth: int | None,
    circular: str,
    lines: bool,
) -> None:
    """Write objects as a JSON array, one on a line; with ``lines`` as JSON lines."""
    if not hasattr(fp, "write"):
        raise TypeMismatchError(f"to_json: expected an open text file, such as open(path, 'w'), got {describe(fp)}")
    separator = "" if lines else "[\n"
    for start in range(0, len(keys), PAGE):
        exporter = Exporter(context, depth, circular)
        for form in exporter.dicts(binding, keys[start : start + PAGE]):
            fp.write(separator + json_text(form))
            separator = "\n" if lines else ",\n"
    if not lines:
        fp.write("[]" if separator == "[\n" else "\n]")
    elif separator:
        fp.write("\n")


def json_text(form: Any) -> str:
    """Compact JSON; text that is not UTF-8 is escaped so that it can be read back."""
    try:
        text = json.dumps(form, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise LimitExceededError("these objects are linked too deeply for one JSON document: give a depth") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(form, allow_nan=False, separators=(",", ":"))
    return text
