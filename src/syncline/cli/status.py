"""``syncline status``: its command line. The work is in ``status_view``, imported when the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["status"]


def status(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Realm files that lie elsewhere.", show_default=False),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(help="The base directory of a SyncManager; by default that of applications.", show_default=False),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until interrupted.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch one line for each look.")] = False,
    encryption_key: Annotated[
        str | None,
        typer.Option(
            help="128 hexadecimal digits, for encrypted files; better in the environment.",
            envvar="SYNCLINE_ENCRYPTION_KEY",
        ),
    ] = None,
) -> None:
    """Show the sync sessions of running programs: connection, progress, cursors, errors; and what files tell.

    A program is seen if SYNCLINE_STATUS=1 is in its environment, or if it calls SyncManager.expose_status().
    """
    from syncline.cli.status_view import run

    found = run(directory, files or [], watch=watch, interval=interval, as_json=as_json, encryption_key=encryption_key)
    if found:
        raise typer.Exit(found)
