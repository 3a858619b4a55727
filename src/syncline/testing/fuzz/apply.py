"""The apply target: a changeset is applied to a Realm with something of every type, or refused without a trace.

What applying does is compared with the reference model (:mod:`syncline.testing.model`): both apply, or both refuse the
same instruction; afterwards both have the same content, and the invariants of a state hold in the tables. Undone, the
Realm is as it was.
"""

from __future__ import annotations

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode_recorded
from syncline.errors import InapplicableChangesetError, MalformedChangesetError
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.transaction import WriteTransaction
from syncline.testing.exhaustive.invariants import Invariants
from syncline.testing.fuzz.furnishing import BURIED, FILE_IDENT, OPERATIONS
from syncline.testing.fuzz.outcome import FuzzFailureError, Outcome
from syncline.testing.fuzz.parser import check_refusal
from syncline.testing.model import Model
from syncline.testing.operations import execute_all
from syncline.values import Key

__all__ = ["Stage"]


class _UndoneError(Exception):
    """Ends a savepoint that is to be rolled back."""


class Stage:
    """The Realm, the same for every input and every run; :attr:`model` has the same content."""

    def __init__(self) -> None:
        self._file = RealmFile.in_memory(history=False)
        self._invariants = Invariants()
        self.model = Model(FILE_IDENT)
        #: the changesets that the Realm was made with
        self.made: list[bytes] = []
        self._furnish()
        with self._file.snapshot() as snapshot:
            self._content = dump(snapshot.reader)
        if self._content != self.model.dump():
            raise FuzzFailureError("the model of the Realm differs from it before anything was applied")

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.close()

    def _furnish(self) -> None:
        with self._file.write() as tx:
            tx.file_ident = FILE_IDENT
            tx.recorder.enabled = True
            execute_all(tx, OPERATIONS)
            data = encode_recorded(tx.instructions)
        self._follow(data)
        with self._file.write() as tx:
            tx.apply(Changeset(list(BURIED), []))
        self._follow(encode_recorded(BURIED))

    def _follow(self, data: bytes) -> None:
        self.made.append(data)
        self.model.apply(decode(data))
        self.model.commit()

    def keys(self) -> dict[str, list[Key]]:
        """The objects of each class that is not embedded, by key."""
        return {name: list(objects) for name, objects in self.model.state.objects.items()}

    def check(self, data: bytes) -> Outcome:
        """Apply ``data``, and undo it. Raises FuzzFailureError."""
        try:
            changeset = decode(data)
        except MalformedChangesetError as error:
            check_refusal(data, error)
            return Outcome.MALFORMED
        tx = self._file.begin()
        try:
            return self._check(tx, changeset)
        finally:
            self._file.rollback(tx)

    def _check(self, tx: WriteTransaction, changeset: Changeset) -> Outcome:
        tx.file_ident = FILE_IDENT
        expected = self.model.copy()
        refusal = _attempt(expected, changeset)
        outcome = Outcome.APPLIED
        try:
            with tx.savepoint():
                tx.apply(changeset)
                self._check_applied(tx, expected, refusal)
                raise _UndoneError
        except _UndoneError:
            pass
        except InapplicableChangesetError as error:
            outcome = Outcome.REFUSED
            _check_refused(error, refusal)
        if tx.is_dirty or dump(tx) != self._content or self._invariants.broken(tx):
            raise FuzzFailureError("undone, the Realm is not as it was")
        return outcome

    def _check_applied(self, tx: WriteTransaction, expected: Model, refusal: InapplicableChangesetError | None) -> None:
        if refusal is not None:
            raise FuzzFailureError(f"was applied, but the model refuses instruction {refusal.instruction}: {refusal}")
        if tx.instructions:
            raise FuzzFailureError(f"applying recorded instructions: {tx.instructions}")
        content = dump(tx)
        broken = self._invariants.broken(tx)
        if broken:
            raise FuzzFailureError(f"invariants do not hold: {broken}")
        if content != expected.dump():
            raise FuzzFailureError(f"the Realm and the model differ: {content} {expected.dump()}")


def _attempt(model: Model, changeset: Changeset) -> InapplicableChangesetError | None:
    """Apply to the model; why it refuses."""
    try:
        model.apply(changeset)
    except InapplicableChangesetError as error:
        return error
    return None


def _check_refused(error: InapplicableChangesetError, refusal: InapplicableChangesetError | None) -> None:
    if error.instruction is None or not error.subject or len(str(error)) > 1500:
        raise FuzzFailureError(f"no instruction is named: {error!r} {error}")
    if refusal is None or refusal.instruction != error.instruction:
        raise FuzzFailureError(f"refused ({error}), but the model says: {refusal}")
