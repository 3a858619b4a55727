"""Where the rules themselves do not promise convergence: the explicit table of what the check leaves alone, and why.

An entry matches by what the case does and by what went wrong; the command counts its cases under its name. Anything
else that goes wrong is a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from syncline.testing.exhaustive.cases import Case
from syncline.testing.exhaustive.check import Problem

__all__ = ["KNOWN", "Known", "known"]


class Known(NamedTuple):
    """A gap that is known: its name, why it is there, and which problems of which cases it explains."""

    name: str
    reason: str
    explains: Callable[[Case, Problem], bool]


def _is_schema_mismatch(case: Case, problem: Problem) -> bool:
    return problem.kind == "refused" and "Schema mismatch" in problem.text


KNOWN: Final[tuple[Known, ...]] = (
    Known(
        "schema-mismatch",
        "Two peers add one class or property with different definitions. Nobody can merge that: the later upload is"
        " refused (spec/merge.md §6).",
        _is_schema_mismatch,
    ),
)


def known(case: Case, problem: Problem) -> Known | None:
    """The entry that explains a problem; None for one that nobody knows."""
    return next((entry for entry in KNOWN if entry.explains(case, problem)), None)
