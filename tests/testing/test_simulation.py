"""The simulator keeps its promises, and finds out who does not: defects planted on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from syncline.errors import BadChangesetError
from syncline.merge import integration
from syncline.server import integrator, sqlite_log
from syncline.storage.own_changes import OwnChanges
from syncline.testing.choices import RandomChoices
from syncline.testing.disk import Disk
from syncline.testing.simulation import (
    Event,
    Failure,
    Options,
    Outcome,
    describe,
    failure_report,
    replay,
    run_seeds,
    shrink,
    simulate,
)
from syncline.testing.simulation.__main__ import main
from syncline.testing.simulation.device import Device
from syncline.testing.simulation.starts import make_plan

#: Seeds within which every planted defect must show.
SEEDS = 300


def test_a_hundred_seeds() -> None:
    total, failures = run_seeds(range(100), Options())
    assert [failure_report(failure) for failure in failures] == []
    for what in ("commits", "integrations", "changesets sent again", "connections cut", "runs with conflicts"):
        assert total.counts[what] > 10, what
    for what in ("device crashes", "server crashes", "device restarts", "server restarts"):
        assert total.counts[what] > 3, what
    assert len(total.rules) > 20


def trace_of(seed: int, options: Options) -> tuple[list[Event], Outcome | Failure]:
    events: list[Event] = []
    return events, simulate(seed, options, events.append)


def test_the_seed_decides_everything() -> None:
    for seed in range(12):
        assert trace_of(seed, Options()) == trace_of(seed, Options())


def test_a_trace_can_be_repeated() -> None:
    for seed in range(12):
        events, outcome = trace_of(seed, Options())
        again = replay(seed, make_plan(RandomChoices(seed), Options()), events)
        assert isinstance(again, Outcome)
        assert again == outcome


def test_options() -> None:
    calm, failures = run_seeds(range(15), Options(3, 3, faults=False))
    assert not failures
    assert not {name for name in calm.counts if "crash" in name or "restart" in name or "cut" in name}
    assert make_plan(RandomChoices(1), Options(3, 3)).devices == 3


@pytest.fixture(scope="module", autouse=True)
def honest_images() -> None:
    """The files that runs begin with are made once, before a defect is planted."""
    simulate(0, Options())


# --- planted defects --------------------------------------------------------------------------------------------------


def first_failure() -> Failure:
    for seed in range(SEEDS):
        result = simulate(seed, Options())
        if isinstance(result, Failure):
            return result
    raise AssertionError("nothing was found")


def found(kinds: set[str], events: int) -> Failure:
    """The first failure, made small."""
    failure = first_failure()
    assert failure.kind in kinds, failure_report(failure)
    small = shrink(failure, 3_000)
    assert small.kind == failure.kind
    assert len(small.trace) <= events, failure_report(small)
    return small


def test_a_disk_that_forgets_to_sync_loses_what_was_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    install = Disk.install

    def lying(disk: Disk, files: Any) -> None:
        install(disk, files)
        disk.is_honest = False

    monkeypatch.setattr(Disk, "install", lying)
    small = found({"lost", "refused", "FileError", "protocol"}, 12)
    assert any("crash" in event.action for event in small.trace)


def test_a_device_that_breaks_ties_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 21 of spec/merge.md: the origin of own changes is taken for 1 << 40 instead of the device's ident."""
    integrate = integration.integrate

    def wrong(history: Any, ident: int, *rest: Any) -> int:
        return integrate(history, ident if ident == 1 else 1 << 40, *rest)

    monkeypatch.setattr(integration, "integrate", wrong)
    small = found({"diverged", "integration", "refused", "invariant"}, 20)
    report = failure_report(small)
    assert "The merge rule that fired last: 5." in report
    assert f"--seed {small.seed} --trace" in report
    assert report.count("commits at") >= 2


def forget(self: Any, reciprocals: Any) -> None:
    """A reciprocal that is not kept."""


def test_a_device_that_does_not_keep_reciprocals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OwnChanges, "set_reciprocals", forget)
    found({"diverged", "integration", "refused", "invariant"}, 30)


def test_a_server_that_takes_in_again_what_was_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored cursor does not move, so that nothing is ever recognised."""
    set_progress: Callable[..., Any] = sqlite_log.SqliteLogGroup.set_progress

    def forgetful(group: Any, file: Any, upload: Any, locked_version: int) -> Any:
        set_progress(group, file, file.upload, locked_version)
        return file._replace(upload=upload)

    monkeypatch.setattr(sqlite_log.SqliteLogGroup, "set_progress", forgetful)
    found({"lost", "refused", "diverged", "protocol", "stuck", "integration"}, 25)


def test_a_server_that_refuses_what_a_rule_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report names the rule that fired at the server, where nothing of the merge is left."""
    apply = integrator._apply

    def picky(group: Any, changesets: Any) -> None:
        if any(changeset.dirty for changeset in changesets):
            raise BadChangesetError("planted")
        apply(group, changesets)

    monkeypatch.setattr(integrator, "_apply", picky)
    small = found({"refused", "protocol"}, 12)
    report = failure_report(small)
    assert "planted" in report
    assert re.search(r"The merge rule that fired last: 5\.\d+ [^,]+, at the server: ", report), report


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0:20", "--jobs", "1", "--clients", "2"]) == 0
    said = capsys.readouterr().out
    assert "20 runs" in said
    assert "merge rules:" in said
    assert said.endswith("0 failures\n")
    assert main(["--seed", "3", "--trace"]) == 0
    said = capsys.readouterr().out
    assert "writes a message" in said
    assert "seed 3: every promise was kept" in said


def test_the_command_with_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0:60", "--jobs", "2", "--no-faults"]) == 0
    assert "60 runs" in capsys.readouterr().out


def broken(device: Device, *arguments: Any) -> None:
    raise RuntimeError("out of order")


def test_the_command_reports_failures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "commit", broken)
    seed = first_failure().seed
    arguments = ["--jobs", "1", "--shrink-attempts", "50"]
    assert main(["--seeds", f"{seed}:{seed + 1}", *arguments]) == 1
    said = capsys.readouterr().out
    assert f"seed {seed}: " in said
    assert "RuntimeError: out of order" in said
    assert "1 failures" in said
    assert main(["--seed", str(seed), *arguments]) == 1


@pytest.mark.parametrize("arguments", [["--clients", "9"], ["--seeds", "x"]])
def test_bad_arguments(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)


def test_events_in_words() -> None:
    event = Event("commit", 1, (5,), ({"op": "erase", "class": "Dog", "obj": 1},), 7)
    assert describe(event).splitlines() == [
        "device 1 commits at 5 ms, number 7",
        '    {"op": "erase", "class": "Dog", "obj": 1}',
    ]
