"""``python -m syncline.testing.live``: random histories of peers against a server. See the package."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from syncline.testing.live.history import Failure, Outcome, play, read_log, replay, write_log
from syncline.testing.live.peer_process import OURS
from syncline.testing.live.script import GENTLE, Plan
from syncline.testing.live.stage import Stage

__all__ = ["main"]

#: A stage is built anew after so many failures in a row of what should have been possible.
_MAX_FAILURES = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 if every history ended well."""
    options = _parser().parse_args(arguments)
    commands = [tuple(shlex.split(command)) for command in options.peer]
    folder = options.keep or Path(tempfile.mkdtemp(prefix="syncline-live-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    console = Console()
    try:
        if options.replay:
            failed = _replay(options.replay, folder, commands, options.server, console)
        else:
            commands += [OURS] * (options.peers - len(commands))
            failed = _run(_seeds(options.seeds), _plan(options), folder, commands, options.server, console)
    except Failure as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 2
    if failed:
        console.print(f"the files are kept in {folder}", highlight=False)
    elif options.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m syncline.testing.live", description=__doc__)
    parser.add_argument("--seeds", default="0:20", metavar="FIRST:END", help="seeds of the histories (default: 0:20)")
    parser.add_argument("--peers", type=int, default=3, metavar="N", help="peers of each history (default: 3)")
    parser.add_argument("--peer", action="append", default=[], metavar="COMMAND", help="a peer of this program")
    parser.add_argument("--transactions", type=int, default=30, metavar="N", help="per history (default: 30)")
    parser.add_argument("--operations", type=int, default=6, metavar="N", help="per transaction, at most (default: 6)")
    parser.add_argument("--server", metavar="URL", help="ws://host:port of a running server, instead of one of our own")
    parser.add_argument("--gentle", action="store_true", help="leave out what realm-core itself does not survive")
    parser.add_argument("--no-cuts", action="store_true", help="do not touch connections")
    parser.add_argument("--no-kills", action="store_true", help="kill nobody")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the files are made, and stay")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play the log of a history again")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    plan = Plan(
        transactions=options.transactions,
        operations=options.operations,
        cuts=not options.no_cuts,
        kills=not options.no_kills,
        server_kills=not options.no_kills and options.server is None,
    )
    if options.gentle:
        return replace(plan, domain=GENTLE)
    if options.server is not None:
        # Who may remove classes there is not ours to say.
        return replace(plan, domain=replace(plan.domain, schema_removal=False))
    return plan


def _seeds(text: str) -> range:
    first, _, end = text.partition(":")
    try:
        return range(int(first), int(end) if end else int(first) + 1)
    except ValueError:
        raise Failure(f"--seeds is FIRST:END or one number, not {text!r}") from None


def _run(
    seeds: range,
    plan: Plan,
    folder: Path,
    commands: Sequence[Sequence[str]],
    server: str | None,
    console: Console,
) -> int:
    """Play the histories of ``seeds``; how many failed."""
    failed = operations = refused = 0
    events: Counter[str] = Counter()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    stage = Stage(folder, commands, server)
    try:
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            for seed in progress.track(seeds, description="histories"):
                outcome = _play(stage, seed, plan, console)
                if isinstance(outcome, Outcome):
                    operations += outcome.operations
                    refused += outcome.refused
                    events.update(outcome.events)
                    continue
                failed += 1
                if failed == _MAX_FAILURES:
                    console.print("too many failures", highlight=False)
                    break
                stage.close()  # nobody knows what state they are in
                stage = Stage(folder, commands, server)
    finally:
        stage.close()
    happened = ", ".join(f"{count} {event}" for event, count in sorted(events.items()))
    console.print(
        f"{len(seeds)} histories, {failed} failed; {operations} operations, {refused} of them too late; {happened}",
        highlight=False,
    )
    return failed


def _play(stage: Stage, seed: int, plan: Plan, console: Console) -> Outcome | Failure:
    try:
        outcome = play(stage, seed, plan)
    except Failure as failure:
        log = stage.folder / f"seed-{seed}.jsonl"
        write_log(log, stage.name, len(stage.peers), stage.log)
        console.print(f"[red]seed {seed} failed:[/red] {failure}\n  log: {log}", highlight=False)
        return failure
    stage.forget()
    return outcome


def _replay(path: Path, folder: Path, commands: list[tuple[str, ...]], server: str | None, console: Console) -> int:
    name, number_of_peers, steps = read_log(path)
    commands += [OURS] * (number_of_peers - len(commands))
    with Stage(folder, commands, server) as stage:
        try:
            replay(stage, name, steps)
        except Failure as failure:
            console.print(f"[red]failed:[/red] {failure}", highlight=False)
            return 1
    console.print("played again, and all hold the same", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
