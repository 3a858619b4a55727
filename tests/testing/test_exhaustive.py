"""Short histories of two and three peers: a sample of them, and that the check sees what is wrong.

``make exhaustive`` tries all of them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from syncline.changesets.instructions import UPDATE
from syncline.compilation import is_compiled
from syncline.merge.rules import OPCODES, REGULAR
from syncline.storage.dump import dump
from syncline.testing import operations
from syncline.testing.exhaustive import (
    KNOWN,
    STANDARD,
    Case,
    Checker,
    Domain,
    DomainError,
    Edit,
    Plan,
    Problem,
    cases,
    check,
    known,
    parse,
    report,
    run,
    standard_plans,
)
from syncline.testing.exhaustive.__main__ import main
from syncline.testing.exhaustive.invariants import Invariants
from syncline.testing.exhaustive.running import count, sample
from syncline.testing.exhaustive.world import World

#: How many cases a run of the tests tries, in shares that processes can take.
SHARES = 4
SAMPLE = 5_000 if is_compiled() else 400

SHOP = Domain(
    name="shop",
    schema=[
        {
            "name": "Item",
            "pk": {"name": "_id", "type": "int"},
            "props": [{"name": "price", "type": "int"}, {"name": "tags", "type": "string", "collection": "list"}],
        }
    ],
    objects=[{"op": "create", "class": "Item", "pk": 1, "values": {"price": 5, "tags": {"list": ["new"]}}}],
    edits=[
        Edit("price=7", [{"op": "set", "class": "Item", "obj": 1, "path": ["price"], "value": 7}]),
        Edit("tag0", [{"op": "list_insert", "class": "Item", "obj": 1, "path": ["tags"], "index": 0, "value": "x"}]),
        Edit("untag", [{"op": "list_erase", "class": "Item", "obj": 1, "path": ["tags"], "index": 0}]),
        Edit("erase", [{"op": "erase", "class": "Item", "obj": 1}]),
    ],
)


def shop_plan(*shapes: tuple[int, ...], times: tuple[str, ...], orders: tuple[str, ...]) -> Plan:
    return Plan("shop", SHOP, tuple(SHOP.edits.values()), shapes, times, orders)


@pytest.fixture
def without_a_rule() -> Iterator[None]:
    """A merge in which two values for one property know nothing of each other."""
    place = UPDATE * OPCODES + UPDATE
    rule, REGULAR[place] = REGULAR[place], None
    yield
    REGULAR[place] = rule


# --- the sample -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", range(SHARES))
def test_a_sample_of_all_short_histories_holds(share: int) -> None:
    tally = run(standard_plans(), size=SAMPLE // SHARES, seed=share)
    assert [(failure.name, str(failure.problems[0])) for failure in tally.failures] == []
    assert tally.tried == SAMPLE // SHARES


def test_all_operations_of_all_kinds_are_edits() -> None:
    assert {edit.kind for edit in STANDARD.edits.values()} == operations._OPERATIONS.keys()


def test_every_edit_is_possible_alone_and_is_recorded() -> None:
    world = World(STANDARD.schema, STANDARD.objects, 1)
    for edit in STANDARD.edits.values():
        with world.trial():
            world.peers[0].commit(edit.operations, 1)
            assert world.peers[0].local_changes(), edit.name
    world.close()


def test_there_are_enough_cases_and_a_sample_covers_every_pair_of_operations() -> None:
    plans = standard_plans()
    assert sum(count(plans[:1]).values()) > 100_000
    groups = list(plans[0].groups())
    kinds = [frozenset(history[0][0].kind for history in group) for group in groups]
    chosen = {kinds[group] for _, group, _ in sample(plans[:1], 200, 0)}
    assert chosen == set(kinds)
    assert sample(plans[:1], 200, 5) == sample(plans[:1], 200, 5) != sample(plans[:1], 200, 6)


def test_known_gaps_are_named_and_explained() -> None:
    assert len({entry.name for entry in KNOWN}) == len(KNOWN)
    assert all("spec/" in entry.reason for entry in KNOWN)
    case = parse("all/add.N|add.N.string@1-2#AB", [STANDARD])
    [problem] = check(case)
    entry = known(problem)
    assert problem.kind == "refused"
    assert entry is not None
    assert entry.name == "schema-mismatch"
    assert known(Problem("convergence", "")) is None


@pytest.mark.parametrize(
    "name",
    [
        "all/mx=null|mx.add2@1-2#AB",  # the increment was refused where the Mixed had become null
        "all/sm.add2|sm.add2.0@1-2#BA",  # equal numbers of two types: each peer kept the first it had
        "all/md=list|md=list|md.clear@1-3-2#ACB",  # a Clear of a dictionary lost to a list, but had removed elements
        "all/md=list|md=list|md.clear@1-3-2#abc",
    ],
)
def test_what_was_found_here_holds(name: str) -> None:
    assert check(parse(name, [STANDARD])) == []


@pytest.mark.parametrize(
    ("name", "gap"),
    [
        ("all/li.insert0|li.insert1|li.erase0@1-2-3#{}", "list-order-of-three"),
        ("all/md=dict|md.a=5|md=null@1-2-3#{}", "mixed-collection-of-three"),
        ("all/mx=link|mx=5|mx.add2@1-2-3#{}", "increment-of-three"),
    ],
)
def test_orders_of_three_peers_differ_only_where_it_is_known(name: str, gap: str) -> None:
    histories = name.split("/")[1].split("@")[0].split("|")
    found = []
    for edits in permutations(histories):
        for order in ("ACB", "BAC", "BCA", "CAB", "CBA"):
            case = parse(f"all/{'|'.join(edits)}@1-2-3#{order}", [STANDARD])
            found += [known(problem) for problem in check(case)]
    assert {entry.name if entry is not None else "unknown" for entry in found} == {gap}


# --- what is wrong is seen --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_a_rule")
def test_peers_that_do_not_converge_are_seen_and_told() -> None:
    case = parse("all/n=5|n=6@1-2#AB", [STANDARD])
    problems = check(case)
    assert [problem.kind for problem in problems] == ["convergence"]
    text = report(case, problems)
    for part in (case.name, "A does at 1", "B receives", "rules that fired", "the server ends", "B ends"):
        assert part in text


def test_a_report_says_where_the_rules_fired() -> None:
    text = report(parse("all/n=5|n=6@1-2#AB", [STANDARD]), [])
    assert [line.split(":")[0].strip() for line in text.splitlines() if "×" in line] == [
        "5.6 Update × Update, at the server",
        "5.6 Update × Update, at peer B",
    ]


def test_a_refused_upload_and_an_error_are_seen() -> None:
    assert [problem.kind for problem in check(parse("all/add.T.x|add.T.x.string@1-2#AB", [STANDARD]))] == ["refused"]
    impossible = Edit("impossible", [{"op": "set", "class": "Item", "obj": 9, "path": ["price"], "value": 1}])
    domain = Domain("shop", SHOP.schema, SHOP.objects, [*SHOP.edits.values(), impossible])
    [problem] = check(parse("shop/impossible|tag0@1-2#AB", [domain]))
    assert problem.kind == "error"
    assert "while committing" in str(problem)


def test_orders_that_do_not_agree_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    carry_out = Checker.run

    def run_with_a_whim(checker: Checker, case: Case) -> Any:
        outcome = carry_out(checker, case)
        outcome.states["S"]["whim"] = case.order
        return outcome

    monkeypatch.setattr(Checker, "run", run_with_a_whim)
    assert check(parse("shop/tag0|tag0@1-2#AB", [SHOP])) == []
    [problem] = check(parse("shop/tag0|tag0@1-2#BA", [SHOP]))
    assert problem.kind == "agreement"


@pytest.mark.usefixtures("without_a_rule")
def test_the_command_fails_with_a_report_and_the_name_to_run_alone() -> None:
    out = io.StringIO()
    assert main(["--plan", "values-three", "--sample", "30", "--reports", "1"], out) == 1
    text = out.getvalue()
    assert "failed" in text
    assert "rules that fired" in text
    name = text.rsplit("--case '", 1)[1].split("'")[0]
    again = io.StringIO()
    assert main(["--case", name], again) == 1
    assert name in again.getvalue()


BROKEN = {
    "UPDATE {li} SET i = 7 WHERE i = 2": "list li has gaps",
    "DELETE FROM {L} WHERE k = 1": "a link dangles to object",
    "UPDATE {ll} SET v = -5 WHERE i = 0": "a link dangles to tombstone",
    "DELETE FROM {le} WHERE i = 1": "an embedded object has no owner",
    "UPDATE {le} SET v = (SELECT v FROM {le} WHERE i = 0) WHERE i = 1": "an embedded object has several owners",
    "DELETE FROM n_dict WHERE t = 20": "a collection inside a Mixed has no owner",
    "INSERT INTO n_dict SELECT node, 'z', t, p, s, l FROM n_dict WHERE t = 20": "has several owners",
    "DELETE FROM rlm_node": "a collection inside a Mixed is missing",
    "UPDATE {si} SET o = 99": "elements of an object that does not exist",
    "UPDATE n_list SET node = node + 99": "elements of a collection that does not exist",
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_state_is_seen(damage: str) -> None:
    world = World(STANDARD.schema, STANDARD.objects, 1)
    file = world.peers[0].file
    with world.trial():
        tx = file.begin()
        assert Invariants().broken(tx) == []
        everything = tx.catalogue.classes["T"]
        tables = {name: prop.table.name for name, prop in everything.properties.items() if prop.table is not None}
        tx.connection.execute(damage.format(**tables, L=tx.catalogue.classes["L"].table))
        complaints = Invariants().broken(tx)
        file.rollback(tx)
    assert any(BROKEN[damage] in complaint for complaint in complaints), complaints
    world.close()


def test_a_trial_leaves_nothing_behind() -> None:
    world = World(STANDARD.schema, STANDARD.objects, 2)
    files = [world.server.file, *(peer.file for peer in world.peers)]
    before = [state(file) for file in files]
    assert before[0] == before[1] == before[2]
    with world.trial():
        for peer in world.peers:
            peer.commit(STANDARD.edit("drop.T.li").operations, 1)
            peer.commit(STANDARD.edit("eraseT").operations, 2)
            peer.upload(world.server)
            peer.download(world.server)
        assert state(files[0]) != before[0]
    assert [state(file) for file in files] == before
    world.close()


def state(file: Any) -> object:
    tx = file.begin()
    try:
        return dump(tx)
    finally:
        file.rollback(tx)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["shop/tag0|price=7@1-1#ab", "shop/tag0;untag|price=7+erase@12-3#ABA", "shop/tag0|untag|erase@1-2-3#CAB"]
)
def test_a_name_says_everything_about_a_case(name: str) -> None:
    case = parse(name, [STANDARD, SHOP])
    assert case.name == name
    assert check(case) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "shop/tag0@1#A",
        "shop/tag0|nothing@1-2#AB",
        "mall/tag0|tag0@1-2#AB",
        "shop/tag0|tag0@1#AB",
        "shop/tag0|tag0@1-x#AB",
        "shop/tag0|tag0@1-2#AA",
        "shop/tag0|tag0@1-2#aB",
        "shop/tag0|tag0|tag0|tag0@1-1-1-1#ABCD",
    ],
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(DomainError):
        parse(name, [STANDARD, SHOP])


def test_domains_that_cannot_be_are_refused() -> None:
    good = Edit("a", [{"op": "clear_class", "class": "Item"}])
    for name, edits in (("x", [good, good]), ("x/y", [good]), ("x", [Edit("a+b", good.operations)])):
        with pytest.raises(DomainError):
            Domain(name, [], [], edits)
    with pytest.raises(DomainError):
        Domain("x", [], [], [Edit("a", [])])


# --- enumerating ------------------------------------------------------------------------------------------------------


def test_peers_of_one_shape_are_exchangeable_and_impossible_histories_are_left_out() -> None:
    pairs = list(shop_plan((1,), (1,), times=("1-2", "1-1"), orders=("AB", "BA")).groups())
    assert len(pairs) == 4 * 5 // 2
    plan = shop_plan((1, 1), (1,), times=("12-3",), orders=("AAB",))
    names = [case.name for case in cases(plan)]
    assert "shop/tag0;untag|erase@12-3#AAB" in names
    assert "shop/untag;untag|erase@12-3#AAB" not in names
    assert not any(name.startswith("shop/erase;") for name in names if not name.startswith("shop/erase;erase"))
    assert len(set(names)) == len(names)


def test_a_domain_of_ones_own_holds_in_one_process_and_in_two() -> None:
    plan = shop_plan((1,), (1,), (1,), times=("1-2-3", "1-1-1"), orders=("ABC", "cba"))
    everything = list(cases(plan))
    with Checker() as checker:
        assert [case.name for case in everything if checker.check(case)] == []
    told: list[int] = []
    tally = run([plan], jobs=2, progress=lambda so_far, total: told.append(total))
    assert (tally.tried, tally.failed) == (len(everything), 0)
    assert set(told) == {len(everything)}


def test_the_reference_of_an_order_is_one_peer_after_the_other() -> None:
    case: Case = parse("shop/tag0;untag|price=7@12-3#aba", [SHOP])
    assert case.is_live
    assert list(case.uploads) == [0, 1, 0]
    assert case.reference.order == "AAB"


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_counts_runs_and_tells() -> None:
    out = io.StringIO()
    assert main(["--count", "--plan", "values-three", "--plan", "sets-two"], out) == 0
    assert "in all" in out.getvalue()
    out = io.StringIO()
    assert main(["--plan", "values-three", "--sample", "30", "--seed", "3"], out) == 0
    assert "30 cases" in out.getvalue()
    assert "100 %" in out.getvalue()
    out = io.StringIO()
    assert main(["--case", "all/n=5|n.add2@1-2#AB"], out) == 0
    assert "everything holds" in out.getvalue()


def test_the_command_refuses_names_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--case", "all/x|y@1-2#AB"]) == 2
    assert main(["--plan", "nothing"]) == 2
    assert "there are" in capsys.readouterr().err
