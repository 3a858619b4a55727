"""``Stored``: annotations of properties from which every type checker sees that a class has expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from syncline.query.expression import Expr

__all__ = ["Stored"]

T = TypeVar("T")

if TYPE_CHECKING:

    class Stored(Generic[T]):
        """``age: Stored[int | None]``: ``dog.age`` is an ``int | None``, ``Dog.age`` an expression.

        The same as ``age: int | None`` when the program runs. For type checkers other than mypy with the plugin of
        Syncline, which see it without.
        """

        @overload
        def __get__(self, instance: None, owner: type[Any]) -> Expr: ...
        @overload
        def __get__(self, instance: object, owner: type[Any]) -> T: ...
        def __get__(self, instance: object | None, owner: type[Any]) -> Any: ...
        def __set__(self, instance: object, value: T) -> None: ...
else:
    #: ``age: Stored[int | None]`` is ``age: int | None`` for programs, and a descriptor for type checkers
    Stored = Annotated[T, "stored"]
