"""Cases: who edits what, when, and in which order the server hears of it; their names and their enumeration.

A case's name says everything about it. ``lists/insert0;erase1|set0+clear@13-2#ABA``:

* ``lists``: the domain;
* ``insert0;erase1`` and ``set0+clear``: what peers A and B do; ``;`` ends a transaction, ``+`` continues it;
* ``13-2``: when, in the same order: A's transactions at times 1 and 3, B's at 2. Equal times are decided by ident;
* ``ABA``: whose transaction the server takes next. In capitals everybody downloads when all is uploaded, in small
  letters everybody downloads after every upload.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, product
from typing import NamedTuple, TypeAlias

from syncline.errors import RealmError
from syncline.testing.exhaustive.domain import Domain, DomainError, Edit
from syncline.testing.exhaustive.world import LETTERS, World
from syncline.testing.operations import OperationError

__all__ = ["Case", "History", "Plan", "cases", "histories", "parse"]

#: Of one peer: its transactions, each some edits.
History: TypeAlias = "tuple[tuple[Edit, ...], ...]"


class Case(NamedTuple):
    """One concurrent history. ``times``: of each peer, one digit for each transaction."""

    domain: Domain
    histories: tuple[History, ...]
    times: tuple[str, ...]
    order: str

    @property
    def name(self) -> str:
        """What it is called; :func:`parse` finds it again."""
        histories = "|".join(map(_text, self.histories))
        return f"{self.domain.name}/{histories}@{'-'.join(self.times)}#{self.order}"

    @property
    def is_live(self) -> bool:
        """Whether everybody downloads after every upload."""
        return self.order.islower()

    @property
    def uploads(self) -> Iterator[int]:
        """The peer whose next transaction the server takes, one after the other."""
        return map(LETTERS.index, self.order.upper())

    @property
    def reference(self) -> Case:
        """The case with the order that all other orders have to agree with: the peers one after the other."""
        return self._replace(order="".join(sorted(self.order.upper())))


def _text(history: History) -> str:
    return ";".join("+".join(edit.name for edit in transaction) for transaction in history)


def parse(name: str, domains: Sequence[Domain]) -> Case:
    """The case of that name. Raises DomainError for one that none of the domains has."""
    head, _, order = name.partition("#")
    head, _, times = head.partition("@")
    domain_name, _, histories = head.partition("/")
    domain = next((domain for domain in domains if domain.name == domain_name), None)
    if domain is None:
        raise DomainError(
            f"{name!r}: there is no domain {domain_name!r}; there are {', '.join(d.name for d in domains)}"
        )
    case = Case(
        domain,
        tuple(
            tuple(tuple(map(domain.edit, part.split("+"))) for part in history.split(";"))
            for history in histories.split("|")
        ),
        tuple(times.split("-")),
        order,
    )
    if not 2 <= len(case.histories) <= len(LETTERS):
        raise DomainError(f"{name!r} needs two or three histories, separated by |")
    if [len(history) for history in case.histories] != [len(part) for part in case.times] or not times.replace(
        "-", ""
    ).isdecimal():
        raise DomainError(f"{name!r} needs a time, one digit, for every transaction: like @12-3")
    expected = "".join(letter * len(history) for letter, history in zip(LETTERS, case.histories, strict=False))
    if case.reference.order != expected or not (order.isupper() or order.islower()):
        raise DomainError(f"{name!r} needs an order like #{expected} or #{expected.lower()}")
    return case


class Plan(NamedTuple):
    """Which cases of a domain to try: every choice of ``edits`` in these shapes, at all these times, in all orders.

    ``shapes`` has, for each peer, the number of edits in each of its transactions. Peers of one shape are exchangeable:
    of the choices that differ only in which peer does what, one is taken.
    """

    name: str
    domain: Domain
    edits: tuple[Edit, ...]
    shapes: tuple[tuple[int, ...], ...]
    times: tuple[str, ...]
    orders: tuple[str, ...]

    @property
    def variants(self) -> int:
        """How many cases there are of each choice of edits."""
        return len(self.times) * len(self.orders)

    def groups(self) -> Iterator[tuple[History, ...]]:
        """Every choice of edits, in a fixed order."""
        pools = [histories(self.domain, self.edits, shape) for shape in self.shapes]
        if len(set(self.shapes)) == 1:
            return combinations_with_replacement(pools[0], len(pools))
        return product(*pools)

    def variant(self, group: tuple[History, ...], number: int) -> Case:
        """One case of a group: the times and the order of that number."""
        times, order = divmod(number, len(self.orders))
        return Case(self.domain, group, tuple(self.times[times].split("-")), self.orders[order])


def histories(domain: Domain, edits: Sequence[Edit], shape: Sequence[int]) -> list[History]:
    """Every choice of edits in that shape that is possible: whose later edits still make sense after the earlier ones.

    An edit alone is always taken to be possible.
    """
    found = [_divided(chosen, shape) for chosen in product(edits, repeat=sum(shape))]
    if sum(shape) == 1:
        return found
    world = World(domain.schema, domain.objects, peers=1)
    try:
        return [history for history in found if _is_possible(history, world)]
    finally:
        world.close()


def _divided(edits: tuple[Edit, ...], shape: Sequence[int]) -> History:
    history: list[tuple[Edit, ...]] = []
    start = 0
    for size in shape:
        history.append(edits[start : start + size])
        start += size
    return tuple(history)


def _is_possible(history: History, world: World) -> bool:
    with world.trial():
        try:
            for transaction in history:
                world.peers[0].commit([operation for edit in transaction for operation in edit.operations], 1)
        except (OperationError, RealmError, LookupError):
            return False
    return True


def cases(plan: Plan) -> Iterator[Case]:
    """All cases of a plan, in a fixed order; those that differ only in times and order follow each other."""
    for group in plan.groups():
        for number in range(plan.variants):
            yield plan.variant(group, number)
