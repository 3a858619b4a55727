"""``syncline why``: its command line. The work is in ``why_answer``, imported when the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["why"]


def why(
    realm: Annotated[
        str, typer.Argument(metavar="REALM", help="A client's Realm file; with --data, a Realm path of that server.")
    ],
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="The object's class.")],
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The object's primary key; without one, its GlobalKey as hi-lo.")
    ],
    property_name: Annotated[
        str | None, typer.Argument(metavar="PROPERTY", help="A property, or a place in it: walks[2].title")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data folder of a server, which may run meanwhile.")] = None,
    app: Annotated[str | None, typer.Option(help="The app, where several have a Realm of that path.")] = None,
    user: Annotated[str | None, typer.Option(help="The user id that ~ in the Realm path stands for.")] = None,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also how places in lists were shifted.")] = False,
    since: Annotated[
        str | None, typer.Option(help="Only from this version on, or from this time on (2024-05-01T12:00, UTC).")
    ] = None,
    limit: Annotated[int, typer.Option(help="Only so many of the newest events; 0: all.", min=0)] = 50,
    encryption_key: Annotated[
        str | None,
        typer.Option(help="128 hexadecimal digits; better in the environment.", envvar="SYNCLINE_ENCRYPTION_KEY"),
    ] = None,
) -> None:
    """Tell why a value is what it is: the competing changes, who made them and when, the rule that decided."""
    from syncline.cli.why_answer import Question, answer

    question = Question(realm, class_name, key, property_name, data, app, user, everything, since, limit)
    status = answer(question, encryption_key=encryption_key, as_json=json_wanted)
    if status:
        raise typer.Exit(status)
