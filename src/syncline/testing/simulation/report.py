"""What a person is told: a failure with its way there, and what all the runs covered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from syncline.merge.rules import NESTED, REGULAR
from syncline.testing.simulation.events import describe
from syncline.testing.simulation.running import Failure

__all__ = ["coverage", "failure_report", "rules_not_fired"]

#: Failures that say everything themselves; of others the place in the code is shown too.
_PLAIN = frozenset({"diverged", "lost", "invariant", "stuck"})


def failure_report(failure: Failure) -> str:
    """Seed, what is wrong, the trace, the rule that fired last."""
    plan = failure.plan
    lines = [
        f"seed {failure.seed}: {failure.kind}",
        f"  {failure.message}",
        f"{plan.devices} devices, schema {plan.theme!r}, {'fresh' if plan.fresh else 'in sync'} at the start;"
        f" {len(failure.trace)} events:",
    ]
    lines += [f"  {number}. {describe(event)}" for number, event in enumerate(failure.trace, 1)]
    lines += ["then everybody tells everybody everything.", f"The merge rule that fired last: {failure.last_rule}"]
    if failure.kind not in _PLAIN:
        lines += ["", failure.details]
    lines.append(f"Again: python -m syncline.testing.simulation --seed {failure.seed} --trace")
    return "\n".join(lines)


def rules_not_fired(fired: Counter[str]) -> list[str]:
    """The rules of spec/merge.md §5 that decided nothing, by their numbers."""
    every = {rule.number for rule in (*REGULAR, *NESTED) if rule is not None}
    return sorted(every - fired.keys())


def coverage(counts: Counter[str], rules: Counter[str]) -> Iterator[str]:
    """What the runs covered, line by line."""
    yield ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items(), key=lambda item: -item[1]))
    yield f"{rules.total():,} decisions by {len(rules)} merge rules:"
    for rule, count in sorted(rules.items()):
        yield f"  {count:9,}  {rule}"
    missing = rules_not_fired(rules)
    if missing:
        yield f"{len(missing)} rules never fired: {', '.join(missing)}"
