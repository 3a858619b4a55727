"""Results as tables for people: in a terminal with rich, in a notebook as HTML, live if wanted (spec/sdk.md §12.7)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from syncline.realm.columns import Columns, loaded
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.changes import CollectionChange
    from syncline.realm.results import Results
    from syncline.realm.tokens import NotificationToken

__all__ = ["ROWS", "LiveTable", "Table", "html_table", "rich_table", "table_of"]

#: Rows that a table shows.
ROWS: Final = 20
#: Characters of a value that it shows.
_WIDTH: Final = 40


class Table(NamedTuple):
    """What a table shows: ``rows`` of ``total`` objects, as text."""

    title: str
    names: list[str]
    rows: list[tuple[str, ...]]
    total: int
    #: the columns of numbers, which stand to the right
    numbers: frozenset[str]

    @property
    def caption(self) -> str:
        """How many there are, and how many of them are shown."""
        if self.total > len(self.rows):
            return f"{len(self.rows)} of {self.total} objects"
        return f"{self.total} object{'' if self.total == 1 else 's'}"


_NUMBERS: Final = frozenset({kinds.INT, kinds.DOUBLE, kinds.FLOAT, kinds.DECIMAL})


def table_of(binding: Binding, keys: Sequence[int], rows: int = ROWS) -> Table:
    """The first of the objects with these object keys."""
    attributes = binding.model._info.attributes
    columns = Columns(binding, keys[:rows]).read(list(attributes))
    numbers = {
        name
        for name, each in attributes.items()
        if each.converter.kind in _NUMBERS and not each.property.type.is_collection
    }
    texts = [[_shown(value) for value in loaded(column)] for column in columns]
    return Table(binding.name, list(attributes), list(zip(*texts, strict=True)), len(keys), frozenset(numbers))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return f"[{len(value)} items]"
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def html_table(table: Table) -> str:
    """The table as HTML."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in table.names)
    lines = [f"<table><caption>{escape(table.title)}: {table.caption}</caption>", f"<thead><tr>{heads}</tr></thead>"]
    lines.append("<tbody>")
    for row in table.rows:
        cells = [
            f'<td style="text-align:{"right" if name in table.numbers else "left"}">{escape(text)}</td>'
            for name, text in zip(table.names, row, strict=True)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines.append("</tbody></table>")
    return "\n".join(lines)


def rich_table(table: Table) -> Any:
    """The table as a ``rich.table.Table``. Raises ImportError without rich."""
    rich: Any = importlib.import_module("rich.table")
    text: Any = importlib.import_module("rich.text").Text
    shown = rich.Table(title=table.title, caption=table.caption)
    for name in table.names:
        shown.add_column(text(name), justify="right" if name in table.numbers else "left")
    for row in table.rows:
        shown.add_row(*map(text, row))
    return shown


class LiveTable:
    """A table in a notebook that follows its results: ``results.live_table()``.

    It is shown where it is the last expression of a cell, or by ``display(table)``, as often as wanted, and follows
    from then on, as long as it is kept. :meth:`invalidate`, or the end of a ``with`` block, lets it stand still.
    """

    def __init__(self, results: Results[Any], rows: int) -> None:
        """Raises ImportError without IPython."""
        try:
            self._display: Any = importlib.import_module("IPython.display").display
        except ImportError as error:
            raise ImportError("a live table needs a notebook: pip install jupyterlab", name="IPython") from error
        self._results = results
        self._rows = rows
        self._handle: Any = None
        self._token: NotificationToken | None = None

    def _ipython_display_(self) -> None:
        """Show it (again). Raises WrongTransactionStateError inside a write transaction."""
        if self._handle is not None:
            self._handle.display(self._shown(), raw=True)
            return
        self._token = self._results.observe(self._follow)
        self._handle = self._display(self._shown(), raw=True, display_id=True)

    def _follow(self, results: Results[Any], change: CollectionChange) -> None:
        if not change.initial:
            self._handle.update(self._shown(), raw=True)

    def _shown(self) -> dict[str, str]:
        """What a notebook shows, and what a terminal does."""
        results = self._results
        if results._context.closed:
            return {"text/plain": repr(results)}
        table = table_of(results._binding, results._all_keys(), self._rows)
        return {"text/html": html_table(table), "text/plain": f"{table.title}: {table.caption}"}

    def invalidate(self) -> None:
        """Stop following; what is shown stays."""
        if self._token is not None:
            self._token.invalidate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.invalidate()
