"""Identifiers of objects."""

import pickle

import pytest

from syncline.values import GlobalKey, Link, ObjectId

TEXT = "64b0c0ffee0123456789abcd"


def test_object_id_from_text_and_bytes() -> None:
    value = ObjectId(TEXT)
    assert value.binary == bytes.fromhex(TEXT)
    assert ObjectId(value.binary) == value == ObjectId(value)
    assert str(value) == TEXT
    assert repr(value) == f"ObjectId('{TEXT}')"
    assert pickle.loads(pickle.dumps(value)) == value
    assert len({value, ObjectId(TEXT.upper())}) == 1


@pytest.mark.parametrize("wrong", ["", "64b0", "x" * 24, " 64b0c0ffee0123456789abcd", b"short"])
def test_object_id_from_nonsense(wrong: str | bytes) -> None:
    with pytest.raises(ValueError, match="ObjectId"):
        ObjectId(wrong)
    with pytest.raises(TypeError, match="not int"):
        ObjectId(5)  # type: ignore[arg-type]


def test_new_object_ids_are_different_and_ascend() -> None:
    made = [ObjectId() for _ in range(100)]
    assert len(set(made)) == 100
    assert made == sorted(made) or made[0].binary[9:] > made[-1].binary[9:]  # the counter may wrap around


def test_object_ids_are_ordered_and_immutable() -> None:
    small, large = ObjectId(bytes(12)), ObjectId(TEXT)
    assert small < large <= ObjectId(TEXT)
    assert large > small >= ObjectId(bytes(12))
    assert [large < small, large <= small, small > large, small >= large] == [False] * 4
    assert max(small, large) is large
    with pytest.raises(AttributeError, match="immutable"):
        ObjectId(TEXT).binary = b""


def test_object_id_is_equal_to_nothing_else() -> None:
    assert ObjectId(TEXT) != TEXT
    with pytest.raises(TypeError):
        assert ObjectId(TEXT) < TEXT  # type: ignore[operator]
    with pytest.raises(TypeError):
        assert ObjectId(TEXT) >= TEXT  # type: ignore[operator]


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        (GlobalKey(0, 0), True),
        (GlobalKey(0x3FFF_FFFF, 0xFFFF_FFFF), True),
        (GlobalKey(0x4000_0000, 0), False),
        (GlobalKey(1, 1 << 32), False),
        (GlobalKey(-1, 0), False),
    ],
)
def test_global_keys_that_fit(key: GlobalKey, fits: bool) -> None:
    assert key.fits() is fits


def test_a_link_names_its_target() -> None:
    assert Link("Dog", GlobalKey(7, 1)) == ("Dog", (7, 1))
