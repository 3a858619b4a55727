"""All short histories of two and three peers over a small domain, each tried with real files and a real server.

::

    python -m syncline.testing.exhaustive              everything that ships with Syncline
    python -m syncline.testing.exhaustive --sample 5000 --jobs 2

With your own schema (docs/reference/exhaustive.md)::

    for case in cases(Plan("shop", shop, tuple(shop.edits.values()), ((1,), (1,)), ("1-2", "1-1"), ("AB", "BA"))):
        assert not check(case), case.name
"""

from syncline.testing.exhaustive.cases import Case, Plan, cases, parse
from syncline.testing.exhaustive.check import Checker, Problem, check
from syncline.testing.exhaustive.domain import Domain, DomainError, Edit
from syncline.testing.exhaustive.known import KNOWN, Known, known
from syncline.testing.exhaustive.report import report
from syncline.testing.exhaustive.running import Failure, Tally, run
from syncline.testing.exhaustive.standard import STANDARD, standard_plans

__all__ = [
    "KNOWN",
    "STANDARD",
    "Case",
    "Checker",
    "Domain",
    "DomainError",
    "Edit",
    "Failure",
    "Known",
    "Plan",
    "Problem",
    "Tally",
    "cases",
    "check",
    "known",
    "parse",
    "report",
    "run",
    "standard_plans",
]
