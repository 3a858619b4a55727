import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.server.realm_keys import (
    IllegalRealmPathError,
    home_owner,
    is_reserved,
    realm_key,
    resolve_path,
    storage_id,
)

USER = "5f0c1a2b3c4d5e6f70819203"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('"foo"', "s_foo"),
        ("foo", "p:/foo"),
        ("/foo/bar", "p:/foo/bar"),
        ("/~/list", f"p:/{USER}/list"),
        ("~/list", f"p:/{USER}/list"),
        ("42", "i_42"),
        ('{"$numberInt":"42"}', "i_42"),
        ('{"$numberLong":"42"}', "i_42"),
        ('{"$numberLong":"-42"}', "i_-42"),
        ('{"$oid":"5F0C1A2B3C4D5E6F70819203"}', f"o_{USER}"),
        (
            '{"$binary":{"base64":"OyQRAeK7QlWMr0E2xWapYg==","subType":"04"}}',
            "u_3b241101-e2bb-4255-8caf-4136c566a962",
        ),
        ('{"$uuid":"3b241101-e2bb-4255-8caf-4136c566a962"}', "u_3b241101-e2bb-4255-8caf-4136c566a962"),
        ("null", "null"),
        ('"../../etc/passwd"', "s_../../etc/passwd"),
        ('"a\\u0000b"', "s_a\0b"),
        ('""', "s_"),
        ("/A", "p:/A"),
        ("NaN", "p:/NaN"),
    ],
)
def test_what_each_text_names(text: str, key: str) -> None:
    assert realm_key(text, USER) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/a//b",
        "/a/",
        "/../etc/passwd",
        "/.hidden",
        "/list.realm",
        "/list.realm.lock",
        "/list.realm.management",
        "/a/~/b",
        "/%7E/list",
        "/u1/ä",
        "/a\0b",
        "/a\\b",
        '"a"b',
        "true",
        "1.5",
        "[1]",
        "{}",
        '{"$oid":"5f"}',
        '{"$oid":"5f0c1a2b3c4d5e6f70819203","$oid":"5f0c1a2b3c4d5e6f70819203"}',
        '{"$numberInt":"1","x":2}',
        '{"$numberInt":"1_0"}',
        '{"$numberLong":"9223372036854775808"}',
        '{"$binary":{"base64":"AAAA","subType":"04"}}',
        '{"$binary":{"base64":"!","subType":"04"}}',
        '{"$uuid":"nope"}',
        "9223372036854775808",
        "/" + "a" * 129,
        "/" + "/".join("a" * 65),
        "/" + "/".join(["abcdefghij"] * 60),
        "a" * 1025,
        '"' + "ä" * 600 + '"',
        "[" * 1000,
    ],
)
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(IllegalRealmPathError):
        realm_key(text, USER)


@given(st.text(max_size=200))
def test_no_text_does_worse_than_name_nothing(text: str) -> None:
    try:
        key = realm_key(text, USER)
    except IllegalRealmPathError:
        return
    assert re.fullmatch(r"[0-9a-f]{64}", storage_id("default", key, "g"))


def test_names_on_disk_say_nothing_and_differ() -> None:
    names = {storage_id(app, key, generation) for app in "ab" for key in ("p:/x", "s_x") for generation in "12"}
    assert len(names) == 8
    assert all(re.fullmatch(r"[0-9a-f]{64}", name) for name in names)


def test_home_folders_and_reserved_names() -> None:
    assert home_owner(f"p:/{USER}/list") == USER
    assert home_owner("p:/shared") == "shared"
    assert home_owner("s_x") is None
    assert is_reserved("p:/__admin")
    assert is_reserved("p:/u1/__partial/u1/x")
    assert not is_reserved("p:/a__b")
    assert not is_reserved("s_/__x")


def test_paths_are_resolved_as_in_the_table() -> None:
    assert resolve_path("/u2/list", "u1") == "/u2/list"
    assert resolve_path("/~/list", "u1") == "/u1/list"
