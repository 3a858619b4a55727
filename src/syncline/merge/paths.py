"""How the places of two path instructions in one field relate (spec/merge.md §4).

All functions take it for granted that both operands are path instructions on the same object and field; those with
``outer`` and ``inner`` also that the outer path is strictly shorter.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from syncline.errors import TransformError
from syncline.merge.messages import describe
from syncline.merge.operands import Operand

#: Results of :func:`below`.
NOT_BELOW: Final = 0
BELOW_INDEX: Final = 1
BELOW_NAME: Final = 2

_FIELD_DEPTH: Final = 3


def same_container(left: Operand, right: Operand) -> bool:
    """Both paths have equal length and agree in all elements but the last (true for two empty paths)."""
    return left.depth == right.depth and (left.container is right.container or left.container == right.container)


def same_place(left: Operand, right: Operand) -> bool:
    """``same_path`` of the specification: both paths are equal; an index never equals a name."""
    return left.index == right.index and same_container(left, right) and (left.index >= 0 or left.name == right.name)


def below(outer: Operand, inner: Operand) -> int:
    """``prefix_next``: whether the inner path begins with the whole outer path, and what kind of element comes next."""
    size: i64 = outer.depth - _FIELD_DEPTH
    container = inner.container
    if size > 0:
        step = container[size - 1]
        if isinstance(step, int):
            if outer.index != step:
                return NOT_BELOW
        elif outer.index >= 0 or outer.name != step:
            return NOT_BELOW
        if size > 1 and container[: size - 1] != outer.container:
            return NOT_BELOW
    if size < len(container):
        return BELOW_INDEX if isinstance(container[size], int) else BELOW_NAME
    return BELOW_INDEX if inner.index >= 0 else BELOW_NAME


def index_within(outer: Operand, inner: Operand) -> int:
    """Which element of the list that ``outer`` works on the inner path goes through, or -1 if it is elsewhere.

    ``container_prefix`` and ``idx`` of the specification in one.

    Raises:
        TransformError: the inner path has a name where the outer one has a list index.
    """
    size: i64 = outer.depth - _FIELD_DEPTH
    if size == 0 or (size > 1 and inner.container[: size - 1] != outer.container):
        return -1
    step = inner.container[size - 1]
    if not isinstance(step, int):
        raise TransformError(f"Inconsistent paths: {describe(outer)} against {describe(inner)}")
    return step


def set_index_within(outer: Operand, inner: Operand, index: int) -> None:
    """Make the inner path go through element ``index`` of the list that ``outer`` works on."""
    size: i64 = outer.depth - _FIELD_DEPTH
    inner.container = (*inner.container[: size - 1], index, *inner.container[size:])
    inner.changed = True


def via_move(index: i64, source: i64, target: i64) -> i64:
    """Where the element at ``index`` is after one was moved from ``source`` to ``target`` (spec/merge.md §4.3)."""
    if index == source:
        return target
    if index > source:
        index -= 1
    if index >= target:
        index += 1
    return index
