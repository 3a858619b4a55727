"""What can be told of a value before anything is written: whether its types fit, all the way down (spec/sdk.md §6.6).

Objects that are linked to are not looked into: they are created, or updated, one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from syncline.errors import TypeMismatchError
from syncline.realm.by_key import ByKey
from syncline.realm.converters import Converter, describe
from syncline.realm.models import Model
from syncline.realm.spots import built_in_place
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.collection_writer import dictionary_key
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.assigning import Assigner
    from syncline.realm.binding import Binding

__all__ = ["check_keys", "verify", "verify_elements"]

#: What is nested deeper than Mixed values can be is refused when it is stored.
_DEPTH_MAX: Final = 100


def check_keys(keys: Iterable[Any], where: str) -> None:
    """Raise TypeMismatchError or InvalidDictionaryKeyError unless all are keys of a dictionary."""
    for key in keys:
        if not isinstance(key, str):
            raise TypeMismatchError(f"{where}: the keys of a dictionary are str, got {describe(key)}")
        dictionary_key(key)


def verify_elements(
    assigner: Assigner, converter: Converter, place: PropertyInfo, value: Iterable[Any], depth: int = 0
) -> None:
    """:func:`verify` for each element of a list, set or dictionary."""
    if isinstance(value, Mapping):
        check_keys(value, converter.where)
        value = value.values()
    for each in value:
        verify(assigner, converter, place, each, depth)


def verify(assigner: Assigner, converter: Converter, place: PropertyInfo, value: Any, depth: int = 0) -> None:
    """Raise what assigning ``value`` to a place would raise because of its type, or because something is missing.

    Raises TypeMismatchError, InvalidPropertyError, MissingPropertyValueError, InvalidDictionaryKeyError,
    LimitExceededError and IllegalOperationError.
    """
    if not built_in_place(place, value):
        converter.check(value, _is_object)
    elif not place.embedded:
        if depth < _DEPTH_MAX:
            verify_elements(assigner, converter, place, value, depth + 1)
    else:
        assigner.check_embeddable(converter, value)
        binding = assigner.context.classes.binding(place.target_id)
        if isinstance(value, Mapping):
            _verify_embedded(assigner, binding, value)
        elif not value.is_managed and assigner.replaces:
            binding.plan().check_required(value._values, value._defaults)


def _verify_embedded(assigner: Assigner, binding: Binding, given: Mapping[str, Any]) -> None:
    plan = binding.plan()
    values = plan.named(given, assigner.ignore_unknown)
    if assigner.replaces:
        plan.check_required(values)
    for name, value in values.items():
        attribute = binding.model._info.attributes[name]
        inner = binding.places[attribute.place]
        if inner.collection == kinds.SINGLE_COLLECTION:
            verify(assigner, attribute.converter, inner, value)
        elif isinstance(value, Iterable) and not isinstance(value, str | bytes | Iterator):  # which lasts only once
            verify_elements(assigner, attribute.converter, inner, value)


def _is_object(value: Any, target: str | None) -> bool:
    """Whether a link may lead there; of which class it is, is looked at when it is stored."""
    return isinstance(value, Model | ByKey)
