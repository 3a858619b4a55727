"""Hypothesis strategies for schemas, operations, histories and changesets, for testing applications and other engines.

Needs the extra ``testing``. What they draw shrinks well: an operation is chosen by bytes of its own
(:class:`~syncline.testing.choices.BytesChoices`), so leaving one out changes no other one, as far as it can still be
done. ``docs/reference/testing-strategies.md`` shows how to use them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "syncline.testing.strategies needs the extra [testing]: pip install 'syncline[testing]'"
    ) from error

from syncline.testing.changeset_strategies import (
    changesets,
    damaged_changesets,
    instructions,
    invalid_changesets,
    keys,
    payloads,
    texts,
    values,
)
from syncline.testing.choices import BytesChoices
from syncline.testing.domains import STANDARD, Domain, focused
from syncline.testing.model import Model
from syncline.testing.random_operations import Writer

__all__ = [
    "DrawnChoices",
    "History",
    "Side",
    "Transaction",
    "changesets",
    "damaged_changesets",
    "histories",
    "instructions",
    "invalid_changesets",
    "keys",
    "operations",
    "payloads",
    "schemas",
    "texts",
    "transactions",
    "values",
]

Json: TypeAlias = Any
Operation: TypeAlias = "dict[str, Json]"
T = TypeVar("T")

#: Ident of the file that made the common state of a history; its sides follow.
BASE_IDENT: Final = 2


class DrawnChoices:
    """:class:`~syncline.testing.choices.Choices` that hypothesis draws, for a generator that runs inside a test."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        """See ``Choices.integer``."""
        return low + self._draw(st.integers(0, high - low))

    def pick(self, options: Sequence[T]) -> T:
        """See ``Choices.pick``."""
        return options[self._draw(st.integers(0, len(options) - 1))]

    def chance(self, percent: int) -> bool:
        """See ``Choices.chance``."""
        return self._draw(st.integers(0, 99)) >= 100 - percent


@dataclass(frozen=True)
class Transaction:
    """The operations of one write transaction, and its origin timestamp (milliseconds since 2015-01-01)."""

    timestamp: int
    operations: list[Operation]


@dataclass(frozen=True)
class Side:
    """What one peer did alone, starting from the common state. ``ident``: of its file."""

    ident: int
    transactions: list[Transaction]


@dataclass(frozen=True)
class History:
    """Concurrent edits. All peers hold what ``base`` made; then each side goes its way, knowing nothing of the others.

    Objects without primary key that a side made are named in its later transactions: by the side's ident, and by how
    many objects the file had in that class before (spec/sdk.md §13.12). ``domain`` tells what was allowed.
    """

    domain: Domain
    base: list[Transaction]
    sides: list[Side]

    @property
    def size(self) -> int:
        """How many operations there are, those that make the schema apart."""
        parts = [*self.base[1:], *(part for side in self.sides for part in side.transactions)]
        return sum(len(part.operations) for part in parts)

    def models(self) -> list[Model]:
        """The reference model of each peer, after its own edits and before anything is exchanged."""
        base = Model(BASE_IDENT)
        for transaction in self.base:
            _play(base, transaction)
        models = []
        for side in self.sides:
            model = base.copy()
            model.state.ident = side.ident
            for transaction in side.transactions:
                _play(model, transaction)
            models.append(model)
        return models

    def __repr__(self) -> str:
        lines = [f"base: {_text(part)}" for part in self.base[1:]]
        lines += [
            f"peer {side.ident} at {part.timestamp}: {_text(part)}" for side in self.sides for part in side.transactions
        ]
        return "History\n  " + "\n  ".join(lines or ["nothing but the schema"])


def _text(transaction: Transaction) -> str:
    return "\n      ".join(json.dumps(operation) for operation in transaction.operations)


# --- schemas ----------------------------------------------------------------------------------------------------------

_TYPES: Final = (
    "int", "string", "mixed", "bool", "double", "float", "binary", "timestamp", "decimal", "objectid", "uuid"
)  # fmt: skip
_COLLECTIONS: Final = (None, "list", "dict", "set")


@st.composite
def schemas(draw: st.DrawFn, max_classes: int = 4, max_properties: int = 5) -> list[Json]:
    """Schemas in the form of the operation ``schema``: classes of every kind, properties of every type.

    At least one class is neither embedded nor asymmetric. A :class:`Domain` of such a schema gives histories over it.
    """
    kinds = ["plain", *draw(st.lists(st.sampled_from(["plain", "embedded", "asymmetric"]), max_size=max_classes - 1))]
    classes: list[Json] = []
    for number, kind in enumerate(kinds):
        form: Json = {"name": f"Class{number}"}
        if kind != "plain":
            form[kind] = True
        if kind == "asymmetric" or (kind == "plain" and draw(st.booleans())):
            form["pk"] = {"name": "_id", "type": draw(st.sampled_from(["int", "string", "objectid", "uuid"]))}
            form["pk"]["nullable"] = draw(st.booleans())
        classes.append(form)
    targets = [form for form in classes if not form.get("asymmetric")]
    for form in classes:
        count = draw(st.integers(1, max_properties))
        form["props"] = [_property(draw, f"p{number}", targets) for number in range(count)]
    return classes


def _property(draw: st.DrawFn, name: str, targets: Sequence[Json]) -> Json:
    collection = draw(st.sampled_from(_COLLECTIONS))
    form: Json = {"name": name, "type": draw(st.sampled_from((*_TYPES, "link")))}
    if form["type"] == "link":
        fit = [target["name"] for target in targets if collection != "set" or not target.get("embedded")]
        form["target"] = draw(st.sampled_from(fit))
    elif form["type"] != "mixed":
        form["nullable"] = draw(st.booleans())
    if collection is not None:
        form["collection"] = collection
    return form


# --- operations -------------------------------------------------------------------------------------------------------

#: What the common state of a history is made by.
_FILLING: Final = {"create": 1, "change": 1}
#: The bytes by which one operation is chosen.
_CHOSEN: Final = st.binary(min_size=24, max_size=24)


def operations(dump: Mapping[str, Json], domain: Domain = STANDARD) -> st.SearchStrategy[Operation]:
    """Single operations that are valid on the state that ``dump`` (a canonical dump) shows."""
    return transactions(dump, domain, 1).filter(bool).map(lambda made: made[0])


def transactions(
    dump: Mapping[str, Json], domain: Domain = STANDARD, max_size: int = 5
) -> st.SearchStrategy[list[Operation]]:
    """Transactions of one to ``max_size`` operations that are valid one after the other on the state shown."""
    return st.lists(_CHOSEN, min_size=1, max_size=max_size).map(lambda chosen: _written(dump, domain, chosen))


def _written(dump: Mapping[str, Json], domain: Domain, chosen: Sequence[bytes]) -> list[Operation]:
    writer = Writer(domain, dump)
    made = [writer.operation(BytesChoices(data)) for data in chosen]
    return [operation for operation in made if operation is not None]


# --- histories --------------------------------------------------------------------------------------------------------


@st.composite
def histories(
    draw: st.DrawFn,
    domain: Domain = STANDARD,
    *,
    min_peers: int = 2,
    max_peers: int = 2,
    max_transactions: int = 3,
    max_operations: int = 4,
    max_base: int = 12,
    focus: bool = True,
) -> History:
    """Concurrent edits of ``min_peers`` to ``max_peers`` peers that start from one state.

    Parameters:
        domain: the schema, and what may occur.
        max_transactions: how many each peer makes at most.
        max_operations: in one transaction, at most.
        max_base: operations that make the common state, at most.
        focus: whether each history keeps to a few properties of the domain, so that its edits meet.

    Timestamps are small numbers, often equal, and may go backwards; a pair of timestamp and ident is a peer's own.
    """
    if focus:
        domain = focused(BytesChoices(draw(st.binary(min_size=12, max_size=12))), domain)
    model = Model(BASE_IDENT)
    base = [_played(model, 0, [{"op": "schema", "classes": list(domain.classes)}])]
    filling = replace(domain, weights=_FILLING)
    base.append(_played(model, 0, _written(model.dump(), filling, draw(st.lists(_CHOSEN, max_size=max_base)))))
    sides = []
    part = st.tuples(st.integers(0, 3), st.lists(_CHOSEN, min_size=1, max_size=max_operations))
    for number in range(draw(st.integers(min_peers, max_peers))):
        own = model.copy()
        own.state.ident = BASE_IDENT + 1 + number
        transactions = []
        for timestamp, chosen in draw(st.lists(part, max_size=max_transactions)):
            transactions.append(_played(own, timestamp, _written(own.dump(), domain, chosen)))
        sides.append(Side(own.state.ident, [made for made in transactions if made.operations]))
    return History(domain, base, sides)


def _played(model: Model, timestamp: int, made: list[Operation]) -> Transaction:
    transaction = Transaction(timestamp, made)
    _play(model, transaction)
    return transaction


def _play(model: Model, transaction: Transaction) -> None:
    for operation in transaction.operations:
        model.execute(operation)
    model.commit()
