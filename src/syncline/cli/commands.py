"""The commands and their options. Each does its work in a module of its own, imported when the command runs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from syncline.cli.models import models
from syncline.cli.serve import serve
from syncline.cli.status import status
from syncline.cli.why import why
from syncline.version import __version__

__all__ = ["build_app"]


def build_app() -> typer.Typer:
    """The command line application with all its commands."""
    app = typer.Typer(
        name="syncline",
        help="An offline-first object database, and the object server it syncs with.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    app.command()(serve)
    app.command()(status)
    app.command()(why)
    app.command()(models)
    app.command()(doctor)
    app.command()(demo)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"syncline {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """An offline-first object database, and the object server it syncs with."""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what this installation is made of and what is wrong with it on this machine."""
    from syncline.cli.doctor import examine, render

    findings = examine()
    typer.echo(render(findings, as_json=as_json))
    if any(finding.fatal for finding in findings):
        raise typer.Exit(1)


def demo(
    objects: Annotated[int, typer.Option(help="Import only so many airports (0: all).", min=0)] = 0,
    keep: Annotated[Path | None, typer.Option(help="Keep the files of the run in this new folder.")] = None,
) -> None:
    """Carry a real data set from one device to another through a real server, with the plug pulled on the way."""
    try:
        import_module("airportsdata")  # what its processes need: they would say so only one after the other
        import_module("syncline.server.serve")
        from syncline.cli.demo import run
    except ImportError as error:
        typer.echo(f"syncline demo needs the extra [demo]: pip install 'syncline[demo]' ({error})", err=True)
        raise typer.Exit(2) from None
    if keep is not None and keep.exists():
        typer.echo(f"syncline demo: {keep} exists; --keep wants a new folder", err=True)
        raise typer.Exit(2)
    raise typer.Exit(run(airports_limit=objects, folder=keep))
