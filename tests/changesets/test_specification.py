"""Every worked example of the specification (docs/spec/changesets.md §12): bytes, instructions, bytes again."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from syncline.changesets.codec import decode, encode, encode_recorded
from syncline.changesets.instructions import fields_of

SPECIFICATION = Path(__file__).parents[2] / "docs" / "spec" / "changesets.md"
LINE = re.compile(r"^((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:\s{2,}(.*))?$")


class Example(NamedTuple):
    name: str
    data: bytes
    names: list[str]  # of the instructions, as listed


def examples() -> list[Example]:
    text = SPECIFICATION.read_text(encoding="utf-8")
    section = text.split("\n## 12. ", 1)[1].split("\n## 13. ", 1)[0]
    found: list[Example] = []
    for part in section.split("\n### ")[1:]:
        number = part.split(" ", 1)[0]
        for block in part.split("```")[1::2]:
            for transaction in re.split(r"^# transaction.*$", block, flags=re.MULTILINE):
                example = _read(f"{number}-{len(found)}", transaction)
                if example.data:
                    found.append(example)
    return found


def _read(name: str, block: str) -> Example:
    digits, names = "", []
    for line in block.split("\n"):
        match = LINE.match(line)
        digits += match[1] if match else ""
        comment = match[2] if match else line.strip()
        if comment:
            names.append(comment.split(" ", 1)[0])
    return Example(name, bytes.fromhex(digits), [name for name in names if name != "InternString"])


EXAMPLES = examples()


def test_the_section_was_found() -> None:
    assert len(EXAMPLES) > 50


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_decodes_and_encodes_again(example: Example) -> None:
    changeset = decode(example.data)
    assert [type(instruction).__name__ for instruction in changeset.instructions] == example.names
    again = decode(encode(changeset))
    assert again.strings == changeset.strings or not example.names
    assert list(map(fields_of, again.instructions)) == list(map(fields_of, changeset.instructions))
    styles = {encode(changeset), encode_recorded(changeset.instructions)}
    unused_names = {  # the embedded class "Addr" of an instruction inside an embedded object
        number: "Addr" for number in range(len(changeset.instructions)) if "Addr" in changeset.strings
    }
    for number, name in unused_names.items():
        styles.add(encode_recorded(changeset.instructions, {number: name}))
    assert example.data in styles
