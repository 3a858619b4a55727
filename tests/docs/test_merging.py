"""Every worked example of docs/explanation/merging.md happens as it says there.

An example is a line of a table whose columns are *Before*, the devices, and *Everywhere, after*. A cell is a sequence
of times of that device's clock, programs (all those behind one time are one transaction) and *sync*; the last cell
holds what is true on every device, or says that an upload is *refused*. ``Recipe.rating: int`` adds a property, or says
that there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from tests.docs.kitchen import Device, Kitchen, clock_time

from syncline.testing.exhaustive.world import RefusedError
from syncline.values import kinds

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "merging.md"
PROPERTY = re.compile(r"(\w+)\.(\w+): (int|str)")
TYPES = {"int": kinds.INT, "str": kinds.STRING}
SYNC = "sync"


class Example(NamedTuple):
    """One line. ``parts``: for each device its steps between one sync and the next, as (time, program)."""

    line: int
    before: str
    parts: dict[str, list[list[tuple[str, str]]]]
    after: list[str]


def examples(text: str) -> Iterator[Example]:
    devices: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            devices = []
        elif cells[0] == "Before":
            assert cells[-1] == "Everywhere, after", f"line {number}"
            devices = [cell.split(",")[0] for cell in cells[1:-1]]
        elif devices and not cells[0].startswith("---"):
            assert len(cells) == len(devices) + 2, f"line {number}: {cells}"
            parts = {device: steps(cell) for device, cell in zip(devices, cells[1:-1], strict=True)}
            yield Example(number, "\n".join(programs(cells[0])), parts, programs(cells[-1]))


def programs(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def steps(cell: str) -> list[list[tuple[str, str]]]:
    """The steps of a cell, divided where it says *sync*."""
    parts: list[list[tuple[str, str]]] = [[]]
    for time, program, word in re.findall(r"(\d\d:\d\d)|`([^`]+)`|\*(\w+)\*", cell):
        if time:
            parts[-1].append((time, ""))
        elif word:
            assert word == SYNC, cell
            parts.append([])
        else:
            last, before = parts[-1].pop()
            parts[-1].append((last, f"{before}\n{program}"))
    return parts


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """The classes of the page, in a module of their own."""
    block = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert block is not None
    module = ModuleType("worked_examples")
    exec(block[1], module.__dict__)
    return module.__dict__


EXAMPLES = list(examples(PAGE.read_text(encoding="utf-8")))


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) >= 36
    assert all(example.after or "refused" in PAGE.read_text().splitlines()[example.line - 1] for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line {example.line}")
def test_an_example_happens_as_it_says(example: Example, names: dict[str, Any], tmp_path: Path) -> None:
    for number, order in enumerate(permutations(example.parts)):
        folder = tmp_path / str(number)
        folder.mkdir()
        kitchen = Kitchen(folder, list(example.parts), names)
        try:
            kitchen.begin(example.before)
            run(kitchen, example, order, names)
        finally:
            kitchen.close()


def run(kitchen: Kitchen, example: Example, order: Sequence[str], names: dict[str, Any]) -> None:
    """Do what the devices do, and look at all of them."""
    rounds = max(map(len, example.parts.values()))
    for round_number in range(rounds):
        for name, parts in example.parts.items():
            for time, program in parts[round_number] if round_number < len(parts) else []:
                do(kitchen.devices[name], time, program, names)
        if not example.after:
            with pytest.raises(RefusedError, match="rating"):
                kitchen.exchange(order)
            return
        kitchen.exchange(order)
    for name, device in kitchen.devices.items():
        for expression in example.after:
            assert holds(device, expression, names), f"{expression} is not so on the {name}; uploads came as {order}"
    states = [device.state() for device in kitchen.devices.values()]
    assert all(state == states[0] for state in states)


def do(device: Device, time: str, program: str, names: dict[str, Any]) -> None:
    device.now = clock_time(time)
    if added := PROPERTY.fullmatch(program.strip()):
        device.add_property(added[1], added[2], TYPES[added[3]])
    else:
        device.write(program, names)


def holds(device: Device, expression: str, names: dict[str, Any]) -> bool:
    if stated := PROPERTY.fullmatch(expression):
        return device.has_property(stated[1], stated[2], TYPES[stated[3]])
    return device.holds(expression, names)


def test_every_picture_says_in_words_what_it_shows_and_is_readable_on_dark_pages() -> None:
    pictures = re.findall(r"!\[([^\]]+)\]\((pictures/\w+\.svg)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) == 3
    for words, path in pictures:
        assert len(words.split()) > 10, path
        drawing = (PAGE.parent / path).read_text(encoding="utf-8")
        assert "<title" in drawing
        assert "<desc" in drawing
        assert "prefers-color-scheme: dark" in drawing
        assert not re.search(r"(?:href|src|url)\s*[=(]\s*[\"']?(?:https?:|data:)", drawing), "it needs nothing else"
