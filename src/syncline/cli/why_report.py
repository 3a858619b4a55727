"""What ``syncline why`` prints: the value, the events with their decisions, what is not known."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from syncline.changesets.json_form import payload_from_json
from syncline.merge.story import Event, Outcome
from syncline.merge.wording import value_text
from syncline.storage.dump import Json

__all__ = ["Report", "show", "to_json"]

#: Longer values are cut (characters).
_MAX_VALUE: Final = 200


class Report(NamedTuple):
    """An answer. ``place`` is what was asked for, ``value`` what is there now; ``is_there`` False: nothing is.

    ``names`` are the authors by client file ident; ``left_out`` events are not shown, older ones.
    """

    title: str
    counts: str
    version: int
    place: str
    is_there: bool
    value: Json
    has_value: bool
    events: Sequence[Event]
    left_out: int
    names: Mapping[int, str]
    notes: Sequence[str]


def to_json(report: Report) -> str:
    """The answer as JSON."""
    return json.dumps(
        {
            "realm": report.title,
            report.counts.replace(" ", "_"): report.version,
            "place": report.place,
            "exists": report.is_there,
            "value": report.value,
            "events": [event.to_json() for event in report.events],
            "left_out": report.left_out,
            "authors": {str(ident): name for ident, name in sorted(report.names.items())},
            "notes": list(report.notes),
        },
        indent=2,
        ensure_ascii=False,
    )


def show(report: Report) -> None:
    """Print the answer for people."""
    console = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
    console.print(_headline(report))
    if report.left_out:
        console.print(Text(f"\n… {report.left_out} older events (--limit 0 shows all)", style="dim"))
    for event in report.events:
        console.print()
        for line in _event(event, report):
            console.print(line)
    if not report.events:
        console.print("\nNothing is known of how it came about.")
    if report.notes:
        console.print()
    for note in report.notes:
        console.print(Text(note, style="dim"))


def _headline(report: Report) -> Text:
    text = Text(report.place, style="bold")
    if not report.is_there:
        text.append(" does not exist now")
    elif report.has_value:
        value = value_words(report.value)
        text.append(" is now ")
        text.append(value if len(value) <= _MAX_VALUE else value[:_MAX_VALUE] + "…", style="bold")
    else:
        text.append(" exists now")
    text.append(f"  ({report.title}, {report.counts} {report.version})", style="dim")
    return text


def value_words(form: Json) -> str:
    """A value of a dump as people write it: ``9``, ``"Rex"``, ``["park", Dog[2]]``."""
    if isinstance(form, dict):
        (kind, inner), *_ = form.items()
        if isinstance(inner, list) and kind in ("list", "set"):
            text = ", ".join(map(value_words, inner))
            return f"[{text}]" if kind == "list" else f"{{{text}}}"
        if isinstance(inner, dict) and kind in ("dict", "obj"):
            return "{" + ", ".join(f"{name}: {value_words(value)}" for name, value in sorted(inner.items())) + "}"
    return value_text(*payload_from_json(form))


def _event(event: Event, report: Report) -> list[Text]:
    name = report.names.get(event.author) or f"client file {event.author}"
    head = Text(f"{report.counts} {event.version}", style="bold cyan")
    head.append(f" · {name} · {event.when}", style="default")
    lines = [head]
    for outcome in event.outcomes:
        line = Text(f"  {outcome.change.text}")
        fate, style = _fate(outcome, report.counts)
        lines.append(line.append(f" — {fate}", style=style))
    for decision in event.decisions:
        lines.append(Text(f"    {decision.wishes(report.names)}", style="italic"))
        lines.append(Text(f"    {decision.verdict(report.names)}", style="italic"))
    if not event.is_exact:
        lines.append(Text("    What it was merged with is not known exactly any more.", style="dim"))
    return lines


def _fate(outcome: Outcome, counts: str) -> tuple[str, str]:
    if outcome.result is None:
        return "dropped", "red"
    became = "" if outcome.result == outcome.change.text else f"entered as: {outcome.result}; "
    if outcome.replaced_by:
        return f"{became}replaced by {counts} {outcome.replaced_by}", "dim"
    return f"{became}stands", "green"
