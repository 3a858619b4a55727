"""The JSON form of instructions and values (tests/vectors/README.md)."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from tests.changesets.handmade import EVERYTHING

from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.instructions import Instruction, fields_of
from syncline.changesets.json_form import (
    decimal_text,
    instruction_from_json,
    instruction_to_json,
    key_from_json,
    key_to_json,
    payload_from_json,
    payload_to_json,
    text_from_json,
    text_to_json,
)
from syncline.testing import strategies
from syncline.values import Decimal128, GlobalKey, Link, ObjectId, Timestamp, kinds


@given(strategies.instructions())
def test_instructions_survive(instruction: Instruction) -> None:
    _survives(instruction)


def test_every_instruction_and_value_survives() -> None:
    for instruction in EVERYTHING:
        _survives(instruction)


def _survives(instruction: Instruction) -> None:
    form = json.loads(json.dumps(instruction_to_json(instruction)))
    again = instruction_from_json(form)
    expected = decode(encode_recorded([instruction])).instructions[0]  # without fields that mean nothing
    assert repr(fields_of(decode(encode_recorded([again])).instructions[0])) == repr(fields_of(expected))


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        (kinds.NULL, None, None),
        (kinds.INT, 5, {"int": 5}),
        (kinds.BOOL, True, {"bool": True}),
        (kinds.FLOAT, 0.5, {"float": 0.5}),
        (kinds.DOUBLE, float("-inf"), {"double": "-inf"}),
        (kinds.STRING, "é", {"str": "é"}),
        (kinds.STRING, "\udcff", {"strhex": "ff"}),
        (kinds.BINARY, b"\x00\xff", {"bin": "00ff"}),
        (kinds.TIMESTAMP, Timestamp(-1, -5), {"ts": [-1, -5]}),
        (kinds.OBJECT_ID, ObjectId(bytes(12)), {"oid": "0" * 24}),
        (kinds.UUID, UUID(int=1), {"uuid": "00000000-0000-0000-0000-000000000001"}),
        (kinds.LINK, Link("A", GlobalKey(1, 2)), {"link": ["A", {"gk": [1, 2]}]}),
        (kinds.DECIMAL, Decimal128(150, -2), {"dec": "1.50", "bid": "303c0000000000000000000000000096"}),
        (kinds.OBJECT, None, {"special": "ObjectValue"}),
        (kinds.ERASED, None, {"special": "Erased"}),
    ],
)
def test_values(kind: int, value: object, form: Any) -> None:
    assert payload_to_json(kind, value) == form
    assert payload_from_json(form) == (kind, value)


def test_plain_forms_are_read() -> None:
    assert payload_from_json(5) == (kinds.INT, 5)
    assert payload_from_json("x") == (kinds.STRING, "x")
    assert payload_from_json(True) == (kinds.BOOL, True)
    assert payload_from_json({"link": ["A", "k"]}) == (kinds.LINK, Link("A", "k"))
    assert payload_from_json({"dec": "1.5"}) == (kinds.DECIMAL, Decimal128(15, -1))
    assert key_from_json("k") == "k"
    assert key_from_json(7) == 7


def test_the_bits_of_a_decimal_decide() -> None:
    kind, value = payload_from_json({"dec": "about 1.5", "bid": "303c0000000000000000000000000096"})
    assert kind == kinds.DECIMAL
    assert isinstance(value, Decimal128)
    assert str(value) == "1.50"


@pytest.mark.parametrize(
    ("coefficient", "exponent", "negative", "text"),
    [
        (150, -2, False, "1.50"),
        (0, 0, True, "-0"),
        (0, -2, False, "0E-2"),
        (0, 10, False, "0E10"),
        (1, 2, False, "1E2"),
        (12, 2, False, "1.2E3"),
        (1, -3, False, "1E-3"),
        (123, -5, False, "1.23E-3"),
        (10**34 - 1, 6111, False, "+9999999999999999999999999999999999E+6111"),
        (10**34 - 1, 6111, True, "-9999999999999999999999999999999999E+6111"),
        (0, 9184, True, "-Inf"),
        (0, 9696, True, "NaN"),
    ],
)
def test_decimals_print_like_the_original(coefficient: int, exponent: int, negative: bool, text: str) -> None:
    assert decimal_text(Decimal128(coefficient, exponent, negative)) == text


@pytest.mark.parametrize(
    "form",
    [
        {"int": "5"},
        {"int": True},
        {"bool": 1},
        {"str": 5},
        {"ts": [1]},
        {"ts": [1, "2"]},
        {"oid": "xyz"},
        {"uuid": "1"},
        {"dec": "x"},
        {"bid": "00"},
        {"double": "infinite"},
        {"double": True},
        {"double": 10**400},
        {"float": 1e300},
        {"int": 1, "str": "1"},
        {"int": 1, "more": 2},
        {"special": "List", "list": []},
        {"link": ["A"]},
        {"link": [5, 5]},
        {"special": "Other"},
        {"special": []},
        {"unknown": 1},
        {},
        [],
        1.5,
    ],
)
def test_forms_that_are_no_value(form: Any) -> None:
    with pytest.raises(ValueError, match="not a"):
        payload_from_json(form)


def test_forms_that_are_no_key_or_text() -> None:
    with pytest.raises(ValueError, match="not a key"):
        key_from_json({"bool": True})
    for gk in ([1], [1, 2, 3], ["1", 2], [1, True], 5, [-1, 0], [0, 1 << 64]):
        with pytest.raises(ValueError, match="not a key"):
            key_from_json({"gk": gk})
    with pytest.raises(ValueError, match="not a string"):
        text_from_json(5)
    assert text_from_json(text_to_json("\udcff")) == "\udcff"
    assert key_to_json(None) is None


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"type": "Nothing", "table": "A"},
        {"type": "CreateObject", "table": "A"},
        {"type": "Update", "table": "A", "object": 1, "field": "f", "path": [], "value": 1},
        {"type": "Update", "table": "A", "object": 1, "field": "f", "path": [1.5], "value": 1, "prior_size": 1},
        {"type": "AddInteger", "table": "A", "object": 1, "field": "f", "path": [], "value": "1"},
        {"type": "Clear", "table": "A", "object": 1, "field": "f", "path": [], "collection": "Bag"},
        {"type": "AddColumn", "table": "A", "field": "f", "value_type": "Odd", "nullable": True, "collection": "List"},
        {"type": "AddColumn", "table": "A", "field": "f", "value_type": "Int", "nullable": 1, "collection": "List"},
        {"type": "AddColumn", "table": "A", "field": "f", "value_type": "Link", "nullable": True, "collection": "List"},
        {"type": "AddTable", "table": "A", "embedded": "no"},
        {"type": "AddTable", "table": "A", "embedded": False, "pk_field": "i", "pk_type": "Int", "pk_nullable": 1},
        {"type": "Update", "table": "A", "object": 1, "field": "f", "path": [], "value": 1, "is_default": None},
        {"type": "Update", "table": "A", "object": 1, "field": "f", "path": "ab", "value": 1, "is_default": False},
        {"type": "Update", "table": "A", "object": 1, "field": "f", "path": [1], "value": 1, "prior_size": "1"},
        {"type": "ArrayInsert", "table": "A", "object": 1, "field": "f", "path": [1], "value": 1, "prior_size": True},
        {"type": "ArrayMove", "table": "A", "object": 1, "field": "f", "path": [1], "ndx_2": 1.0, "prior_size": 2},
        {"type": "ArrayErase", "table": "A", "object": 1, "field": "f", "path": [1], "prior_size": None},
    ],
)
def test_forms_that_are_no_instruction(form: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a"):
        instruction_from_json(form)
