"""What objects can be copied to: dictionaries, unmanaged objects, pickles (spec/sdk.md §6.3, §12.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from syncline.errors import InvalidatedObjectError

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.models import Model

__all__ = ["ModelCopies"]


class ModelCopies:
    """The part of :class:`~syncline.Model` that makes copies."""

    __slots__ = ()

    if TYPE_CHECKING:
        _binding: Binding | None
        _defaults: dict[str, Any]
        _key: int
        _values: Any

    def to_dict(self, depth: int | None = None, *, circular: str = "ref") -> dict[str, Any]:
        """The object as a dictionary that JSON can hold (spec/sdk.md §12.7).

        Dates are ISO 8601 in UTC, binary data base64; decimals, identifiers, NaN and infinities are strings. Objects
        under links are written out, up to ``depth`` links away and each once; elsewhere stands
        ``{"$ref": [class, key]}``. ``circular="null"`` leaves an object that was written before out, ``"error"`` raises
        IllegalOperationError. Raises InvalidatedObjectError for an object in no Realm or deleted.
        """
        from syncline.realm.export import Exporter

        binding = self._binding
        if binding is None:
            raise InvalidatedObjectError(f"{self!r} is in no Realm; add it to one before you export it")
        binding.check_valid(cast("Model", self))
        return Exporter(binding.context, depth, circular).dicts(binding, [self._key])[0]

    def detach(self, depth: int | None = None) -> Self:
        """An unmanaged copy of the object with everything it leads to, each object once, cycles too.

        Links to objects more than ``depth`` links away become None, or are left out of collections. Raises
        InvalidatedObjectError for an object that was deleted.
        """
        from syncline.realm.copying import detached

        copy: Self = detached(cast("Model", self), depth)
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.detach()

    def __copy__(self) -> Self:
        if self._binding is not None:
            raise TypeError(f"a live {type(self).__name__} has no shallow copy; use detach(), perhaps with a depth")
        copy = type(self).__new__(type(self))
        copy._defaults.update(self._defaults)
        copy._values.update(
            {
                name: value.copy() if isinstance(value, list | set | dict) else value
                for name, value in self._values.items()
            }
        )
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        binding = self._binding
        if binding is None:
            return _unpickled, (type(self),), (self._values, self._defaults)
        if binding.version is None:
            raise TypeError(
                f"a live {type(self).__name__} cannot be pickled: it belongs to an open Realm; pickle obj.detach() or "
                "obj.to_dict(), or its primary key"
            )
        return _unchanged, (self.detach(),)

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        values, defaults = state
        self._values.update(values)
        self._defaults.update(defaults)


def _unpickled(cls: Any) -> Any:
    """An unmanaged object that is about to get its values."""
    return cls.__new__(cls)


def _unchanged(obj: Any) -> Any:
    """What a frozen object is pickled as: its unmanaged copy."""
    return obj
