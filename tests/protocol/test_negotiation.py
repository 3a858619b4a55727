"""URLs, targets and subprotocols (spec/wire-protocol.md §2)."""

from __future__ import annotations

import pytest

from syncline.errors import ProtocolViolationError
from syncline.protocol import SyncMode
from syncline.protocol.negotiation import (
    NegotiationError,
    ServerAddress,
    SyncTarget,
    check_answer,
    choose,
    offers,
    parse_server_url,
    parse_target,
    request_target,
    sync_url,
)

PBS = "com.mongodb.realm-sync"
FLX = "com.mongodb.realm-query-sync"


def test_offers_are_those_of_the_original() -> None:
    assert offers(SyncMode.PBS) == [f"{PBS}#{version}" for version in range(14, 1, -1)]
    assert offers(SyncMode.FLX)[0] == f"{FLX}#14"


@pytest.mark.parametrize(
    ("offered", "answer", "mode", "version"),
    [
        ([", ".join(offers(SyncMode.PBS))], f"{PBS}#14", SyncMode.PBS, 14),
        ([",".join(offers(SyncMode.FLX))], f"{FLX}#14", SyncMode.FLX, 14),
        (offers(SyncMode.FLX), f"{FLX}#14", SyncMode.FLX, 14),
        ([f"{PBS}/7, {PBS}/6"], f"{PBS}/7", SyncMode.PBS, 7),
        ([f"{PBS}#3"], f"{PBS}#3", SyncMode.PBS, 3),
        ([f"{PBS}/2-7"], f"{PBS}/7", SyncMode.PBS, 7),
        ([f"{PBS}#10-20"], f"{PBS}#14", SyncMode.PBS, 14),
        ([f"chat, {PBS}#12 , {PBS}#7"], f"{PBS}#12", SyncMode.PBS, 12),
        ([f"{PBS}#99, {PBS}#2"], f"{PBS}#2", SyncMode.PBS, 2),
        ([f"{FLX}/5"], f"{FLX}/5", SyncMode.FLX, 5),
        ([f"{PBS}#14-14"], f"{PBS}#14-14", SyncMode.PBS, 14),
    ],
)
def test_the_choice_is_the_newest_in_the_clients_words(
    offered: list[str], answer: str, mode: SyncMode, version: int
) -> None:
    assert choose(offered) == (answer, mode, version)


@pytest.mark.parametrize(
    "offered",
    [
        [],
        [""],
        ["chat"],
        ["io.realm.sync.30"],
        [f"{PBS}#99"],
        [f"{PBS}#1"],
        [f"{PBS}#15-20"],
        [f"{PBS}#"],
        [f"{PBS}#x"],
        [f"{PBS}#+3"],
        [f"{PBS}#²"],
        [f"{PBS}#9-3"],
        [f"{PBS}#" + "9" * 5000],
    ],
)
def test_nothing_in_common(offered: list[str]) -> None:
    with pytest.raises(NegotiationError):
        choose(offered)


def test_a_server_can_be_limited() -> None:
    assert choose(offers(SyncMode.PBS), maximum=10).version == 10
    with pytest.raises(NegotiationError, match="yours 3; ours 8 to 14"):
        choose([f"{PBS}#3"], minimum=8)


def test_the_client_checks_the_answer() -> None:
    assert check_answer(SyncMode.PBS, f"{PBS}#14") == 14
    assert check_answer(SyncMode.PBS, f"{PBS}/2") == 2
    for answer in (None, "", f"{FLX}#14", f"{PBS}#15", f"{PBS}#1", f"{PBS}#", f"{PBS}#14 ", f"{PBS}14", f"{PBS}#1x"):
        with pytest.raises(ProtocolViolationError):
            check_answer(SyncMode.PBS, answer)


def test_server_urls() -> None:
    assert parse_server_url("ws://h") == ServerAddress(False, "h", 80, "/")
    assert parse_server_url("wss://h:9/x/y") == ServerAddress(True, "h", 9, "/x/y")
    assert parse_server_url("realm://h/x") == ServerAddress(False, "h", 80, "/x")
    assert parse_server_url("realms://[::1]/x") == ServerAddress(True, "::1", 443, "/x")
    for url in ("http://h", "ws://", "ws://u@h/", "ws://h/?a", "ws://h/#a", "ws://h:0/", "ws://h:70000/", "h"):
        with pytest.raises(ValueError, match=r"[Pp]ort|URL"):
            parse_server_url(url)


def test_targets() -> None:
    path = "/api/client/v2.0/app/my-app/realm-sync"
    assert sync_url("wss://h/", "my-app") == "wss://h" + path
    assert request_target(path, "a.b.c") == path + "?baas_at=a.b.c"
    assert request_target(path + "?x=1", "t") == path + "?x=1&baas_at=t"
    assert parse_target(path, "baas_at=a.b.c") == SyncTarget("my-app", "a.b.c")
    assert parse_target("/realm-sync", "x=1&baas_at=t") == SyncTarget(None, "t")
    assert parse_target("/realm-sync/%2Fuser%2Flist", "") == SyncTarget(None, None)
    assert parse_target("/realm-sync//user/list", "") == SyncTarget(None, None)
    for other in ("/", "/realm-syncx", "/x/realm-sync", "/api/client/v2.0/app//realm-sync", "/health"):
        assert parse_target(other, "") is None
