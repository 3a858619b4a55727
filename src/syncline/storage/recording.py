"""Recorder: local operations become instructions (spec/changesets.md §9).

An instruction names a place by the top-level object's class and key, one of its properties, and a path through embedded
objects and collections in Mixed values. Storage knows rows and nodes by number; here they are turned into such places.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from syncline.changesets.instructions import Instruction, Path
from syncline.changesets.limits import MAX_PATH_LENGTH
from syncline.errors import InvalidatedObjectError, LimitExceededError
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import DICTIONARY_TAG, LIST_TAG, text_from_sql
from syncline.storage.refs import CollectionRef
from syncline.storage.workspace import Workspace
from syncline.values import Key
from syncline.values.kinds import LIST_COLLECTION, MIXED, SINGLE_COLLECTION

__all__ = ["Address", "Recorder"]


class Address(NamedTuple):
    """A place as instructions name it, and the embedded class inside which it is ("": none)."""

    table: str
    key: Key
    field: str
    path: Path
    embedded: str


class Recorder:
    """What a write transaction has recorded so far. ``enabled`` False: nothing is recorded."""

    def __init__(self, workspace: Workspace, enabled: bool) -> None:
        self.enabled = enabled
        self.instructions: list[Instruction] = []
        self.embedded_classes: dict[int, str] = {}
        self._workspace = workspace
        self._structure = 0
        self._objects: dict[tuple[int, int], Address] = {}
        self._nodes: dict[int, Address] = {}
        #: where the last element was found in a list
        self._near = 0

    def add(self, instruction: Instruction, address: Address) -> None:
        """Record an instruction that acts at ``address``."""
        if address.embedded:
            self.embedded_classes[len(self.instructions)] = address.embedded
        self.instructions.append(instruction)

    def truncate(self, size: int) -> None:
        """Forget what was recorded after the first ``size`` instructions."""
        del self.instructions[size:]
        for number in [number for number in self.embedded_classes if number >= size]:
            del self.embedded_classes[number]
        self.forget_places()

    def forget_places(self) -> None:
        """Places may have changed in ways :attr:`Workspace.structure` does not tell."""
        self._objects.clear()
        self._nodes.clear()

    def property_address(self, info: ClassInfo, k: int, prop: PropertyInfo) -> Address:
        """Of a property of an object, embedded or not.

        Raises InvalidatedObjectError, and LimitExceededError where the path would be longer than receivers accept.
        """
        if not info.embedded:
            return Address(info.name, self._workspace.key_of(info, k), prop.name, (), "")
        self._check_structure()
        base = self._objects.get((info.id, k))
        if base is None:
            base = self._objects[info.id, k] = self._climb(info, k, [], info.name)
        _check_length(len(base.path) + 1)
        return base._replace(path=(*base.path, prop.name))

    def collection_address(self, ref: CollectionRef) -> Address:
        """Of a collection, in which an element may be named. Raises as :meth:`property_address`."""
        address: Address | None
        if ref.property_id:
            prop = self._workspace.element(ref)
            address = self.property_address(self._workspace.catalogue.by_id[prop.class_id], ref.owner, prop)
        else:
            self._check_structure()
            address = self._nodes.get(ref.owner)
            if address is None:
                address = self._nodes[ref.owner] = self._climb_from_node(ref.owner)
        _check_length(len(address.path) + 1)
        return address

    def _check_structure(self) -> None:
        if self._structure != self._workspace.structure:
            self._structure = self._workspace.structure
            self.forget_places()

    def _climb(self, info: ClassInfo, k: int, steps: list[int | str], embedded: str) -> Address:
        """The place reached from an object by ``steps`` (the last one first), as seen from its top-level object."""
        workspace = self._workspace
        while info.embedded:
            row = workspace.row(info, k)
            owner_info = workspace.catalogue.by_id[cast(int, row[1])]
            owner = cast(int, row[2])
            prop = owner_info.by_id[cast(int, row[3])]
            if prop.collection != SINGLE_COLLECTION:
                steps.append(self._find_element(CollectionRef(prop.collection, prop.id, owner), prop, k))
            steps.append(prop.name)
            info = owner_info
            k = owner
        field = cast(str, steps.pop())
        steps.reverse()
        return Address(info.name, workspace.key_of(info, k), field, tuple(steps), embedded)

    def _climb_from_node(self, number: int) -> Address:
        """The place of a collection inside a Mixed."""
        workspace = self._workspace
        steps: list[int | str] = []
        node = workspace.existing_node(number)
        while node.parent:
            parent = workspace.existing_node(node.parent)
            holder = CollectionRef(parent.kind, 0, node.parent)
            steps.append(self._find_element(holder, workspace.element(holder), number))
            number = node.parent
            node = parent
        info = workspace.catalogue.by_id[node.class_id]
        prop = info.by_id[node.property_id]
        if prop.collection != SINGLE_COLLECTION:
            steps.append(self._find_element(CollectionRef(prop.collection, prop.id, node.owner), prop, number))
        steps.append(prop.name)
        return self._climb(info, node.owner, steps, info.name if info.embedded else "")

    def _find_element(self, ref: CollectionRef, prop: PropertyInfo, number: int) -> int | str:
        """The index or key at which a collection holds an embedded object or (in a Mixed) a node."""
        if ref.kind == LIST_COLLECTION:
            cells = self._workspace.list_buffer(ref).load()
            for index in (len(cells) - 1, self._near, self._near + 1):  # what is built, and what is gone through
                if 0 <= index < len(cells) and holds(prop, cells[index], number):
                    self._near = index
                    return index
            for index, cell in enumerate(cells):
                if holds(prop, cell, number):
                    self._near = index
                    return index
        else:
            newest = self._workspace.member_buffer(ref).newest()
            if newest is not None and holds(prop, newest[1], number):
                return text_from_sql(newest[0])
            for place, cell in self._workspace.members(ref):
                if holds(prop, cell, number):
                    return text_from_sql(place)
        raise InvalidatedObjectError("the value is not in its collection any more")


def _check_length(steps: int) -> None:
    if steps > MAX_PATH_LENGTH:
        raise LimitExceededError(f"values can be nested {MAX_PATH_LENGTH} levels deep, no more")


def holds(prop: PropertyInfo, cell: tuple[object, ...], number: int) -> bool:
    """Whether the cell holds the embedded object, or the collection in a Mixed, with that number."""
    if prop.type == MIXED:
        return cell[1] == number and cell[0] in (LIST_TAG, DICTIONARY_TAG)
    return cell[0] == number
