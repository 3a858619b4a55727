"""A reference model of a Realm: its state as plain Python values, slow and easy to check by reading.

It says what a Realm holds after local operations (in the JSON form of :mod:`syncline.testing.operations`) and after
changesets made elsewhere (spec/changesets.md §10, spec/merge.md §7), in the form of the canonical dump. Storage is
compared with it; it shares no code with storage. ``schema`` and ``values`` say what the state is made of, ``state``
finds places in it, ``executing`` and ``applying`` change it, ``dumping`` shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import Instruction
from syncline.errors import InapplicableChangesetError
from syncline.testing.model.applying import apply
from syncline.testing.model.dumping import dump, load
from syncline.testing.model.executing import execute
from syncline.testing.model.state import State
from syncline.testing.model.values import ModelError
from syncline.values import Key, kinds

__all__ = ["Model", "ModelError"]

Json: TypeAlias = Any


class Model:
    """The content of one Realm file. ``ident``: of the file, the high part of new GlobalKeys."""

    def __init__(self, ident: int = 0) -> None:
        self.state = State(ident)

    @classmethod
    def of(cls, dump: Mapping[str, Json], *, ident: int = 0, asymmetric: Collection[str] = ()) -> Model:
        """A model of what a canonical dump shows. Links to missing objects, which it hides, are lost.

        Parameters:
            dump: ``{"schema": …, "objects": …}``.
            ident: of the file.
            asymmetric: which classes are; a dump does not tell.
        """
        model = cls(ident)
        model.state = load(dump, ident, asymmetric)
        return model

    def copy(self) -> Model:
        """One that changes independently."""
        other = Model()
        other.state = self.state.copy()
        return other

    def execute(self, operation: Mapping[str, Json], key: Key = None) -> dict[str, Json]:
        """Carry out a local operation; what it reports, as :func:`syncline.testing.operations.execute` does.

        ``key`` is the GlobalKey that a new object without primary key gets; without it the model chooses one. Raises
        ModelError for what cannot be done, ValueError for values that are none; the state may be half changed then.
        """
        return execute(self.state, operation, key)

    def apply(self, changeset: Changeset | Iterable[Instruction]) -> None:
        """Apply a changeset that was made elsewhere, whole or not at all. Raises InapplicableChangesetError."""
        instructions = changeset.instructions if isinstance(changeset, Changeset) else changeset
        state = self.state.copy()
        for number, instruction in enumerate(instructions):
            try:
                apply(state, instruction)
            except ModelError as error:
                raise InapplicableChangesetError(str(error), instruction=number) from error
        self.state = state

    def commit(self) -> None:
        """The end of a transaction on a client: objects of asymmetric classes vanish (spec/changesets.md §10.5)."""
        for name, info in self.state.classes.items():
            if info.kind == kinds.ASYMMETRIC:
                self.state.objects[name].clear()

    def embedded_property(self, table: str, field: str) -> tuple[int, str] | None:
        """What merging asks of a schema; see :class:`syncline.merge.schema.Schema`."""
        info = self.state.classes.get(table)
        prop = info.properties.get(field) if info is not None else None
        if prop is None or prop.target is None or not self.state.classes[prop.target].embedded:
            return None
        return prop.collection, prop.target

    def dump(self) -> dict[str, Json]:
        """The canonical dump, equal to :func:`syncline.storage.dump.dump` of a Realm with this content."""
        return dump(self.state)
