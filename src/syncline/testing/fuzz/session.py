"""One run of the fuzzer, in a process of its own: libFuzzer never returns.

Started by ``python -m syncline.testing.fuzz``. Arguments: the target, then those of libFuzzer.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Final

import atheris

from syncline.testing.choices import RandomChoices
from syncline.testing.fuzz import parser
from syncline.testing.fuzz.apply import Stage
from syncline.testing.fuzz.mutating import Mutator
from syncline.testing.fuzz.outcome import Outcome

__all__ = ["run"]

#: Every so many mutations, on average, are libFuzzer's own: of bytes.
_BYTES_PERCENT: Final = {"parser": 60, "apply": 10}


#: The modules whose coverage guides the fuzzer, by package and target.
_WATCHED: Final = {
    "parser": {"changesets": "decoder primitives encoder json_form"},
    "apply": {
        "changesets": "decoder primitives",
        "storage": "apply places workspace buffers links evolution schema lists members rows tables columns",
    },
}


class _Session:
    def __init__(self, target: str) -> None:
        self._stage = Stage()
        self._check = parser.check if target == "parser" else self._stage.check
        self._bytes_percent = _BYTES_PERCENT[target]
        self._classes = self._stage.model.state.classes
        self._keys = self._stage.keys()
        self.outcomes: Counter[Outcome] = Counter()

    def check(self, data: bytes) -> None:
        """What libFuzzer calls; an exception is a find."""
        self.outcomes[self._check(data)] += 1

    def mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        """See :meth:`Mutator.mutate`."""
        choices = RandomChoices(seed)
        if choices.chance(self._bytes_percent):
            mutated: bytes = atheris.Mutate(data, len(data))
            return mutated[:max_size]
        return Mutator(choices, self._classes, self._keys).mutate(data, max_size)

    def cross(self, one: bytes, other: bytes, max_size: int, seed: int) -> bytes:
        """See :meth:`Mutator.cross`."""
        return Mutator(RandomChoices(seed), self._classes, self._keys).cross(one, other, max_size)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """All functions and methods that a module defines."""
    for thing in vars(module).values():
        if getattr(thing, "__module__", None) != module.__name__:
            continue
        members = vars(thing).values() if isinstance(thing, type) else (thing,)
        for member in members:
            function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
            if isinstance(function, FunctionType):
                yield function


def run() -> None:
    """Fuzz until libFuzzer ends the process."""
    target, *options = sys.argv[1:]
    session = _Session(target)
    for package, names in _WATCHED[target].items():
        for name in names.split():
            for function in _functions(import_module(f"syncline.{package}.{name}")):
                atheris.instrument_func(function)
    atheris.Setup([sys.argv[0], *options], session.check, custom_mutator=session.mutate, custom_crossover=session.cross)
    atheris.Fuzz()


if __name__ == "__main__":
    run()
