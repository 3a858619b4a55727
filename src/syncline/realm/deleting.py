"""Deleting objects (spec/sdk.md §6.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from syncline.errors import IllegalOperationError, TypeMismatchError
from syncline.realm.binding import Binding
from syncline.realm.converters import describe
from syncline.realm.models import Model

if TYPE_CHECKING:
    from syncline.realm.context import Context

__all__ = ["clear", "delete", "delete_keys"]


def delete(context: Context, objects: Iterable[Any]) -> None:
    """Delete live objects of this Realm; nothing is deleted if one of them cannot be."""
    keys: dict[Binding, list[int]] = {}
    if isinstance(objects, Mapping):  # the objects in a dictionary
        objects = [obj for obj in objects.values() if obj is not None]
    elif not isinstance(objects, Iterable):
        raise TypeMismatchError(f"delete: expected an object or a collection of them, got {describe(objects)}")
    for obj in objects:
        if not isinstance(obj, Model):
            raise TypeMismatchError(f"delete: expected objects of a Realm, got {describe(obj)}")
        binding = obj._binding
        if binding is None or binding.context is not context:
            raise IllegalOperationError(f"delete: {obj!r} does not belong to this Realm")
        binding.check_valid(obj)
        keys.setdefault(binding, []).append(obj._key)
    for binding, chosen in keys.items():
        delete_keys(context, binding, sorted(set(chosen)))


def delete_keys(context: Context, binding: Binding, keys: list[int]) -> None:
    """Delete the rows of a class, given in ascending order."""
    tx = context.writing()
    if len(keys) == 1:
        tx.erase(binding.info, keys[0])
    elif keys:
        tx.erase_many(binding.info, keys)
    for key in keys:
        binding.forget(key)
    context.touch()


def clear(context: Context, binding: Binding) -> None:
    """Delete all objects of a class."""
    context.writing().clear_class(binding.info)
    binding.forget_all()
    context.touch()
