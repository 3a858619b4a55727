"""Instructions as objects."""

from hypothesis import given

from syncline.changesets.instructions import (
    FIELDS,
    NOT_AN_ARRAY_UPDATE,
    SET_ERASE,
    CreateObject,
    Instruction,
    Update,
    fields_of,
)
from syncline.testing import strategies
from syncline.values import kinds


@given(strategies.instructions())
def test_fields_are_the_constructor_arguments_in_order(instruction: Instruction) -> None:
    opcode, *fields = fields_of(instruction)
    again = type(instruction)(*fields)  # type: ignore[arg-type]
    assert again.opcode == opcode == instruction.opcode
    assert repr(again) == repr(instruction)


def test_there_is_a_row_of_fields_for_every_opcode() -> None:
    assert len(FIELDS) == SET_ERASE + 1


def test_two_instructions_are_never_equal() -> None:
    assert CreateObject("A", 1) != CreateObject("A", 1)
    assert fields_of(CreateObject("A", 1)) == fields_of(CreateObject("A", 1))


def test_an_update_of_a_property_has_no_prior_size() -> None:
    update = Update("A", 1, "f", (), kinds.INT, 5)
    assert update.prior_size == NOT_AN_ARRAY_UPDATE
    assert not update.is_default
    assert repr(update).startswith("Update(table='A', key=1, field='f', path=(), kind=1, value=5")
