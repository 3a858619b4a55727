"""The drivable peer in this process: every command and field, and that failures change nothing (vectors/PEER.md)."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.storage.file import RealmFile
from syncline.testing.operations import OPERATION_NAMES
from syncline.testing.peer import Peer, serve
from syncline.testing.peer.commands import COMMANDS

SCHEMA = {
    "op": "schema",
    "classes": [
        {
            "name": "A",
            "pk": {"name": "id", "type": "int"},
            "props": [
                {"name": "x", "type": "int"},
                {"name": "l", "type": "int", "collection": "list"},
                {"name": "s", "type": "int", "collection": "set"},
                {"name": "m", "type": "mixed"},
            ],
        },
        {"name": "C", "props": [{"name": "x", "type": "int"}]},
    ],
}
ONE = {"op": "create", "class": "A", "pk": 1, "values": {"x": 5}}

Say = Callable[..., dict[str, Any]]


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def say(peer: Peer, tmp_path: Path) -> Say:
    """Sends a command to a peer with one open file, ``a``."""

    def say(cmd: str, **fields: Any) -> dict[str, Any]:
        return peer.answer({"cmd": cmd, "db": "a", **fields})

    assert say("open", file=str(tmp_path / "a.realm")) == {"ok": True}
    return say


@pytest.fixture
def filled(say: Say) -> Say:
    assert say("tx", ops=[SCHEMA, ONE])["ok"]
    return say


def refusal(reply: dict[str, Any], kind: str, *more: str) -> str:
    assert reply.keys() == {"ok", "error", "type", *more}
    assert reply["ok"] is False
    assert reply["type"] == kind
    assert reply["error"]
    return str(reply["error"])


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_created_and_opened_again(peer: Peer, tmp_path: Path) -> None:
    opening = {"cmd": "open", "db": "a", "file": str(tmp_path / "a.realm")}
    assert peer.answer(opening) == {"ok": True}
    peer.answer({"cmd": "tx", "db": "a", "ops": [SCHEMA, ONE]})
    before = peer.answer({"cmd": "dump", "db": "a"})
    assert peer.answer({"cmd": "close", "db": "a"}) == {"ok": True}
    assert peer.answer(opening) == {"ok": True}
    assert peer.answer({"cmd": "dump", "db": "a"}) == before


def test_an_encrypted_file_needs_its_key(peer: Peer, tmp_path: Path) -> None:
    opening = {"cmd": "open", "db": "a", "file": str(tmp_path / "a.realm")}
    key = "0f" * 64
    assert peer.answer({**opening, "encryption_key": key}) == {"ok": True}
    peer.answer({"cmd": "tx", "db": "a", "ops": [SCHEMA]})
    peer.answer({"cmd": "close", "db": "a"})
    refusal(peer.answer({**opening, "encryption_key": "ff" * 64}), "DecryptionFailedError")
    assert peer.answer({**opening, "encryption_key": key}) == {"ok": True}


def test_names_of_databases_are_unique_and_known(say: Say, tmp_path: Path) -> None:
    refusal(say("open", file=str(tmp_path / "b.realm")), "CommandError")
    assert not (tmp_path / "b.realm").exists()
    say("close")
    for cmd in ("close", "dump", "hash", "history", "begin", "commit", "rollback", "errors", "progress", "disconnect"):
        refusal(say(cmd), "CommandError")


def test_a_file_that_cannot_be_opened(peer: Peer, tmp_path: Path) -> None:
    file = str(tmp_path / "no" / "where.realm")
    refusal(peer.answer({"cmd": "open", "db": "a", "file": file}), "FileError")
    refusal(peer.answer({"cmd": "dump", "db": "a"}), "CommandError")


# --- transactions -----------------------------------------------------------------------------------------------------


def test_results_and_version_of_a_transaction(say: Say) -> None:
    reply = say("tx", ops=[SCHEMA, ONE, ONE, {"op": "set_insert", "class": "A", "obj": 1, "path": ["s"], "value": 7}])
    assert reply == {
        "ok": True,
        "results": [
            {},
            {"created": True, "key": {"int": 1}},
            {"created": False, "key": {"int": 1}},
            {"changed": True},
        ],
        "version": 2,
    }
    assert say("history")["current_version"] == 2
    assert say("tx", ops=[]) == {"ok": True, "results": [], "version": 2}


def test_an_error_rolls_everything_back(filled: Say) -> None:
    before = filled("dump"), filled("history")
    bad = {"op": "set", "class": "A", "obj": 2, "path": ["x"], "value": 1}
    reply = filled("tx", ops=[{"op": "erase", "class": "A", "obj": 1}, bad, ONE])
    refusal(reply, "OperationError", "failed_index")
    assert reply["failed_index"] == 1
    assert (filled("dump"), filled("history")) == before


def test_failing_operations_are_skipped(filled: Say) -> None:
    half = {"op": "create", "class": "A", "pk": 9, "values": {"x": 1, "zzz": 2}}
    reply = filled("tx", ops=[half, {"op": "create", "class": "A", "pk": 2}], skip_errors=True)
    assert reply["ok"]
    refusal(reply["results"][0], "OperationError")
    assert reply["results"][1] == {"created": True, "key": {"int": 2}}
    keys = [entry["key"] for entry in filled("dump")["dump"]["objects"]["A"]]
    assert keys == [{"int": 1}, {"int": 2}]


def test_origin_timestamps(filled: Say) -> None:
    def timestamp_of_next(**fields: Any) -> int:
        filled("tx", ops=[{"op": "add_int", "class": "A", "obj": 1, "path": ["x"], "value": 1}], **fields)
        return int(filled("history")["changesets"][-1]["origin_timestamp"])

    clock = timestamp_of_next()
    assert clock > 10 * 365 * 24 * 3600 * 1000
    assert timestamp_of_next(ts=7) == 7
    assert timestamp_of_next() >= clock
    assert filled("timestamp", ts=1000) == {"ok": True}
    assert timestamp_of_next() == 1000
    assert timestamp_of_next(ts=8) == 8
    assert timestamp_of_next(ts=0) >= clock
    filled("timestamp", ts=0)
    assert timestamp_of_next() >= clock


def test_a_transaction_in_commands_of_its_own(filled: Say) -> None:
    before = filled("dump")
    assert filled("begin") == {"ok": True}
    assert filled("create", **{"class": "A", "pk": {"int": 2}}) == {"ok": True, "created": True, "key": {"int": 2}}
    refusal(filled("create", **{"class": "A", "pk": {"int": 3}, "values": {"zzz": 1}}), "OperationError")
    assert filled("dump") != before
    assert [entry["key"] for entry in filled("dump")["dump"]["objects"]["A"]] == [{"int": 1}, {"int": 2}]
    assert filled("rollback") == {"ok": True}
    assert filled("dump") == before
    filled("begin")
    filled("set", **{"class": "A", "obj": 1, "path": ["x"], "value": 6})
    assert filled("commit", ts=44) == {"ok": True, "version": 3}
    assert filled("history")["changesets"][-1]["origin_timestamp"] == 44


def test_transactions_do_not_nest(filled: Say) -> None:
    for cmd in ("commit", "rollback"):
        refusal(filled(cmd), "WrongTransactionStateError")
    refusal(filled("erase", **{"class": "A", "obj": 1}), "WrongTransactionStateError")
    filled("begin")
    filled("erase", **{"class": "A", "obj": 1})
    refusal(filled("begin"), "WrongTransactionStateError")
    refusal(filled("tx", ops=[ONE]), "WrongTransactionStateError")
    refusal(filled("set_ident", ident=2, salt=3), "WrongTransactionStateError")
    assert filled("dump")["dump"]["objects"]["A"] == []
    assert filled("close") == {"ok": True}


def test_a_writer_waits_for_another_one_for_a_while_only(
    peer: Peer, filled: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.testing.peer.database._WRITER_S", 0.1)
    peer.answer({"cmd": "open", "db": "b", "file": str(tmp_path / "a.realm")})
    filled("begin")
    refusal(peer.answer({"cmd": "tx", "db": "b", "ops": []}), "WriteTimeoutError")
    filled("rollback")
    assert peer.answer({"cmd": "tx", "db": "b", "ops": []})["ok"]


def test_closing_rolls_back_what_was_begun(filled: Say, tmp_path: Path) -> None:
    before = filled("hash")
    filled("begin")
    filled("clear_class", **{"class": "A"})
    filled("close")
    filled("open", file=str(tmp_path / "a.realm"))
    assert filled("hash") == before


# --- history ----------------------------------------------------------------------------------------------------------


def test_history_tells_everything(say: Say) -> None:
    nothing = {
        "latest_server_version": {"version": 0, "salt": 0},
        "download": {"server_version": 0, "last_integrated_client_version": 0},
        "upload": {"client_version": 0, "last_integrated_server_version": 0},
    }
    assert say("history") == {"ok": True, "changesets": [], "ident": 0, "progress": nothing, "current_version": 1}
    say("tx", ops=[SCHEMA, {"op": "create", "class": "C"}], ts=5)
    assert say("dump")["dump"]["objects"]["C"][0]["key"] == {"gk": [0, 0]}
    assert say("set_ident", ident=2, salt=77) == {"ok": True}
    assert say("dump")["dump"]["objects"]["C"][0]["key"] == {"gk": [2, 0]}
    history = say("history")
    assert history["ident"] == 2
    (entry,) = history["changesets"]
    assert entry.pop("changeset")
    assert entry == {
        "version": 2,
        "last_integrated_remote_version": 0,
        "origin_timestamp": 5,
        "origin_file_ident": 2,
    }
    refusal(say("set_ident", ident=3, salt=77), "WrongTransactionStateError")


def test_an_ident_without_a_server_needs_no_salt(say: Say) -> None:
    assert say("set_ident", ident=2, salt=0) == {"ok": True}
    assert say("history")["ident"] == 2


def test_the_hash_is_that_of_the_dump(filled: Say) -> None:
    filled(
        "tx",
        ops=[
            {
                "op": "set",
                "class": "A",
                "obj": 1,
                "path": ["m"],
                "value": {"list": [{"str": "été 😀"}, {"double": 0.1}]},
            }
        ],
    )
    text = json.dumps(filled("dump")["dump"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert filled("hash") == {"ok": True, "hash": hashlib.sha256(text.encode()).hexdigest()}


# --- what a line may say ----------------------------------------------------------------------------------------------

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("nonsense", {}),
    ("open", {}),
    ("open", {"db": 1, "file": "x"}),
    ("open", {"db": "", "file": "x"}),
    ("open", {"db": "b", "file": "x", "encryption_key": "abc"}),
    ("open", {"db": "b", "file": None}),
    ("open", {"db": "b", "file": "x", "model": 1}),
    ("close", {"db": "a", "more": 1}),
    ("tx", {"db": "a"}),
    ("tx", {"db": "a", "ops": {}}),
    ("tx", {"db": "a", "ops": [1]}),
    ("tx", {"db": "a", "ops": [], "ts": "1"}),
    ("tx", {"db": "a", "ops": [], "ts": -1}),
    ("tx", {"db": "a", "ops": [], "ts": 1.5}),
    ("tx", {"db": "a", "ops": [], "ts": True}),
    ("tx", {"db": "a", "ops": [], "ts": 2**63}),
    ("tx", {"db": "a", "ops": [], "notify": 1}),
    ("tx", {"db": "a", "ops": [], "skip_errors": None}),
    ("timestamp", {"db": "a"}),
    ("set_ident", {"db": "a", "ident": 0, "salt": 1}),
    ("set_ident", {"db": "a", "ident": 2}),
    ("set_ident", {"db": "a", "ident": 2, "salt": -1}),
    ("connect", {"db": "a", "path": "/p"}),
    ("connect", {"db": "a", "path": "/p", "host": "h"}),
    ("connect", {"db": "a", "path": "/p", "port": 1}),
    ("connect", {"db": "a", "path": "/p", "host": "h", "port": 0}),
    ("connect", {"db": "a", "path": "/p", "url": "ws://h:1", "port": 1}),
    ("connect", {"db": "a", "url": "ws://h:1"}),
    ("connect", {"db": "a", "path": "/p", "url": "http://h:1"}),
    ("connect", {"db": "a", "path": "/p", "url": "ws://h:1/realm-sync"}),
    ("connect", {"db": "a", "path": "/p", "url": "ws://h:99999"}),
    ("connect", {"db": "a", "path": "/p", "url": "ws://h:1", "token": 5}),
    ("wait_sync", {"db": "a", "timeout_s": -1}),
    ("wait_sync", {"db": "a", "timeout_s": "1"}),
    ("wait_sync", {"db": "a", "stop_on_error": 0}),
    ("transform", {"left": []}),
    ("transform", {"left": [], "right": [{}]}),
    ("transform", {"left": [], "right": [{"changeset": 1, "origin_timestamp": 1, "origin_file_ident": 1}]}),
    ("transform", {"left": [], "right": [{"changeset": "", "origin_timestamp": 1, "origin_file_ident": -1}]}),
    ("transform", {"left": [], "right": [{"changeset": "", "origin_timestamp": 1, "origin_file_ident": 1, "x": 1}]}),
    ("changeset2json", {"changeset": "0"}),
    ("json2changeset", {"instructions": [1]}),
    ("subscribe", {"db": "a"}),
    ("create", {"class": "A"}),
]


@pytest.mark.parametrize(("cmd", "fields"), WRONG, ids=lambda part: part if isinstance(part, str) else json.dumps(part))
def test_wrong_commands_are_errors(peer: Peer, filled: Say, cmd: str, fields: dict[str, Any]) -> None:
    before = filled("dump"), filled("history")
    refusal(peer.answer({"cmd": cmd, **fields}), "CommandError")
    assert (filled("dump"), filled("history")) == before


@pytest.mark.parametrize("command", [None, 1, "tx", [], {}, {"cmd": 1}, {"cmd": None}, {"db": "a"}])
def test_what_is_no_command(peer: Peer, command: Any) -> None:
    refusal(peer.answer(command), "CommandError")


def test_every_command_of_the_contract_is_known() -> None:
    contract = (Path(__file__).parents[1] / "vectors" / "PEER.md").read_text()
    table = [line.split("|")[1] for line in contract.splitlines() if line.startswith("| `")]
    named = {name for cell in table for name in cell.replace("`", "").replace(",", " ").split() if name.isidentifier()}
    assert {name for name in named if name not in ("cmd", "ts")} == set(COMMANDS)
    assert not set(COMMANDS) & OPERATION_NAMES


def test_operations_with_wrong_operands_change_nothing(filled: Say) -> None:
    place = {"class": "A", "obj": 1, "path": ["l"]}
    wrong: list[dict[str, Any]] = [
        {},
        {"op": 1},
        {"op": "nonsense"},
        {"op": "set", "class": "A"},
        {"op": "set", "class": "A", "obj": 1, "path": "x", "value": 1},
        {"op": "set", "class": "A", "obj": 1, "path": [], "value": 1},
        {"op": "set", "class": "A", "obj": 1, "path": [None], "value": 1},
        {"op": "set", "class": "A", "obj": 1, "path": ["x"], "value": "text"},
        {"op": "set", "class": "A", "obj": 1, "path": ["x"], "value": {"int": "1"}},
        {"op": "set", "class": "A", "obj": 1, "path": ["x"], "value": {"int": 2**63}},
        {"op": "set", "class": "A", "obj": 1, "path": ["x"], "value": {"what": 1}},
        {"op": "set", "class": "A", "obj": 1, "path": ["x"], "value": {"int": 1}, "is_default": 1},
        {"op": "set", "class": "A", "obj": 1, "path": ["x"], "value": {"int": 1}, "more": 1},
        {"op": "set", "class": "A", "obj": 1, "path": ["x", "y"], "value": {"int": 1}},
        {"op": "set", "class": "A", "obj": {"int": None}, "path": ["x"], "value": {"int": 1}},
        {"op": "set", "class": "A", "obj": "1", "path": ["x"], "value": {"int": 1}},
        {"op": "set", "class": "A", "obj": 1, "path": ["m"], "value": {"list": 5}},
        {"op": "set", "class": "A", "obj": 1, "path": ["m"], "value": {"dict": [1]}},
        {"op": "set", "class": "A", "obj": 1, "path": ["m"], "value": {"obj": {}}},
        {"op": "set", "class": "A", "obj": 1, "path": ["m"], "value": {"str": "\ud800"}},
        {"op": "set", "class": 5, "obj": 1, "path": ["x"], "value": {"int": 1}},
        {"op": "list_insert", **place, "index": 1, "value": 1},
        {"op": "list_insert", **place, "index": -1, "value": 1},
        {"op": "list_insert", **place, "index": True, "value": 1},
        {"op": "list_insert", **place, "index": 2**70, "value": 1},
        {"op": "list_erase", **place, "index": 0},
        {"op": "list_move", **place, "from": 0, "to": 0.0},
        {"op": "list_clear", "class": "A", "obj": 1, "path": ["s"]},
        {"op": "dict_set", **place, "key": "a", "value": 1},
        {"op": "dict_set", "class": "A", "obj": 1, "path": ["m"], "key": 5, "value": 1},
        {"op": "create", "class": "A"},
        {"op": "create", "class": "A", "pk": "one"},
        {"op": "create", "class": "A", "pk": 5, "values": [1]},
        {"op": "create", "class": "C", "pk": 5},
        {"op": "schema", "classes": [{}]},
        {"op": "schema", "classes": [5]},
        {"op": "schema", "classes": [{"name": "B", "props": [{"name": "x", "type": "nonsense"}]}]},
        {"op": "erase_prop", "class": "A", "prop": "zzz"},
        {"op": "erase_class", "class": "zzz"},
    ]
    before = filled("dump"), filled("history")["changesets"]
    for operation in wrong:
        reply = filled("tx", ops=[operation])
        assert reply.keys() == {"ok", "error", "type", "failed_index"}, operation
        assert reply["type"] not in ("KeyError", "TypeError", "AttributeError"), operation
        reply = filled("tx", ops=[operation], skip_errors=True)
        assert reply["results"][0]["ok"] is False, operation
        filled("begin")
        command = {"cmd" if key == "op" else key: value for key, value in operation.items()}
        if isinstance(command.get("cmd"), str):
            assert filled(**command)["ok"] is False, operation
        filled("rollback")
    assert (filled("dump"), filled("history")["changesets"]) == before


# --- changesets -------------------------------------------------------------------------------------------------------


def test_a_changeset_and_its_json(peer: Peer, filled: Say) -> None:
    changeset = filled("history")["changesets"][0]["changeset"]
    form = peer.answer({"cmd": "changeset2json", "changeset": changeset})
    assert form.keys() == {"ok", "strings", "instructions"}
    assert form["strings"][:2] == ["A", "id"]
    encoded = peer.answer({"cmd": "json2changeset", "instructions": form["instructions"], "strings": form["strings"]})
    assert encoded.keys() == {"ok", "changeset"}
    assert peer.answer({"cmd": "changeset2json", "changeset": encoded["changeset"]}) == form
    assert peer.answer({"cmd": "json2changeset", "instructions": form["instructions"]})["ok"]
    cut = peer.answer({"cmd": "changeset2json", "changeset": changeset[:-2]})
    assert cut.keys() == {"ok", "error", "type"}


UPDATE = {"type": "Update", "table": "A", "object": {"int": 1}, "field": "f", "path": [], "value": {"int": 1}}
INSERT = {**UPDATE, "type": "ArrayInsert", "path": [3], "prior_size": 5}


@pytest.mark.parametrize(
    "instruction",
    [
        {**UPDATE, "is_default": False, "more": 1},
        {**UPDATE, "is_default": False, "prior_size": 1},
        {**UPDATE, "is_default": False, "object": {"int": 2**70}},
        {**UPDATE, "is_default": False, "value": {"int": 2**63}},
        {**UPDATE, "is_default": False, "value": {"str": "\ud800"}},
        {**UPDATE, "is_default": 1},
        {**INSERT, "prior_size": -1},
        {**INSERT, "prior_size": 2**40},
        {**INSERT, "prior_size": "5"},
        {**INSERT, "path": []},
        {"type": "AddTable", "table": "A", "embedded": False, "pk_field": "i", "pk_type": "Float", "pk_nullable": True},
        {"type": "AddTable", "table": "A", "embedded": True, "pk_field": "i"},
    ],
    ids=json.dumps,
)
def test_no_changeset_is_made_that_nobody_could_read(peer: Peer, instruction: dict[str, Any]) -> None:
    reply = peer.answer({"cmd": "json2changeset", "instructions": [instruction]})
    assert reply.keys() == {"ok", "error", "type"}
    assert reply["type"] in ("CommandError", "ValueError", "MalformedChangesetError")


def test_there_is_no_flexible_sync_yet(filled: Say) -> None:
    refusal(filled("subscribe", queries=[{"class": "A", "query": "TRUEPREDICATE"}]), "FlexibleSyncUnavailableError")
    refusal(filled("subscription_state"), "FlexibleSyncUnavailableError")


# --- lines ------------------------------------------------------------------------------------------------------------


def talk(peer: Peer, data: bytes, max_line: int = 1 << 20) -> list[dict[str, Any]]:
    out = io.BytesIO()
    serve(peer, io.BytesIO(data), out, max_line)
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   ",
        b"nonsense",
        b"{",
        b'{"cmd": "dump", "db": "a"} {}',
        b'{"cmd": "tx", "db": "a", "ops": [], "ts": NaN}',
        b'{"cmd": "tx", "db": "a", "ops": [], "ts": Infinity}',
        b'{"cmd": "\xff"}',
        b"\x00",
        b"[" * 100_000,
        b'{"cmd": "tx", "db": "a", "ops": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"cmd": ' + b"9" * 5000 + b"}",
        b'{"cmd": "' + b"x" * (1 << 20) + b'"}',
        b"x" * (3 << 20),
    ],
    ids=lambda line: line[:20],
)
def test_lines_that_are_no_commands(peer: Peer, line: bytes) -> None:
    replies = talk(peer, line + b"\n" + b'{"cmd": "timestamp", "db": "nobody", "ts": 0}\n')
    assert len(replies) == 2
    refusal(replies[0], "CommandError")
    assert "'nobody'" in replies[1]["error"]


def test_a_last_line_without_end_and_ends_of_other_systems(peer: Peer, tmp_path: Path) -> None:
    opening = json.dumps({"cmd": "open", "db": "a", "file": str(tmp_path / "a.realm")})
    assert talk(peer, f'{opening}\r\n{{"cmd": "close", "db": "a"}}'.encode()) == [{"ok": True}, {"ok": True}]


def test_a_reply_may_be_nested_deeper_than_json_is_encoded() -> None:
    class Deep:
        def answer(self, command: Any) -> dict[str, Any]:
            form: Any = "down here é \udcff"
            for _ in range(5000):
                form = {"list": [form]}
            return {"ok": True, "dump": form}

    out = io.BytesIO()
    serve(Deep(), io.BytesIO(b"{}\n"), out)
    assert out.getvalue().startswith(b'{"dump":{"list":[{"list":')
    assert '"down here é \\udcff"'.encode() in out.getvalue()


def test_equal_dumps_are_equal_lines(tmp_path: Path) -> None:
    """Whatever order the properties were made in: a driver may compare the text."""
    props = [{"name": name, "type": "int"} for name in "bac"]
    opening = [json.dumps({"cmd": "open", "db": db, "file": str(tmp_path / db)}) for db in "xy"]
    filling = [
        json.dumps({"cmd": "tx", "db": db, "ops": [{"op": "schema", "classes": [{"name": "A", "props": order}]}]})
        for db, order in (("x", props), ("y", props[::-1]))
    ]
    peer = Peer()
    out = io.BytesIO()
    dumping = ['{"cmd": "dump", "db": "x"}', '{"cmd": "dump", "db": "y"}']
    serve(peer, io.BytesIO("\n".join([*opening, *filling, *dumping]).encode()), out)
    peer.close()
    *_, left, right = out.getvalue().splitlines()
    assert b'"props":{"a":"int","b":"int","c":"int"}' in left
    assert left == right


def test_a_value_nested_too_deep_is_an_error(filled: Say) -> None:
    value: Any = {"int": 1}
    for _ in range(400):
        value = {"list": [value]}
    before = filled("hash")
    reply = filled("tx", ops=[{"op": "set", "class": "A", "obj": 1, "path": ["m"], "value": value}])
    assert not reply["ok"]
    assert filled("hash") == before
    assert filled("tx", ops=[])["ok"]


def test_closing_gives_every_file_back(tmp_path: Path) -> None:
    peer = Peer()
    file = tmp_path / "a.realm"
    for name in ("a", "b"):
        assert peer.answer({"cmd": "open", "db": name, "file": str(file)})["ok"]
    peer.answer({"cmd": "begin", "db": "a"})
    peer.close()
    assert RealmFile.delete(file)
