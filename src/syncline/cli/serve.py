"""``syncline serve``: the command line of the object server. The work is in ``syncline.server.serve``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["serve"]


def serve(
    data: Annotated[
        Path | None, typer.Option(help="Folder for everything the server keeps.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="TCP port; 0 takes a free one. Default 9080.", min=0, max=65535)
    ] = None,
    host: Annotated[str | None, typer.Option(help="Name or address to listen on. Default localhost.")] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Development mode: open to everyone on this machine.")] = False,
    public_url: Annotated[str | None, typer.Option(help="URL under which clients reach this server.")] = None,
    open_registration: Annotated[
        bool, typer.Option("--open-registration", help="Anyone may register an account.")
    ] = False,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Anyone may log in without an account.")] = False,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Allow plain HTTP on addresses other than loopback.")
    ] = False,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file with the certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file with the private key.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write the log as JSON lines.")] = False,
) -> None:
    """Serve Realms to clients. Every other setting comes from the environment: SYNCLINE_<NAME>."""
    try:
        from syncline.server.serve import main
        from syncline.server.settings import Settings, SettingsError
    except ImportError as error:
        sys.stderr.write(f"syncline serve needs the extra [server]: pip install 'syncline[server]' ({error})\n")
        raise typer.Exit(2) from None
    flags = {
        "dev": dev,
        "open_registration": open_registration,
        "anonymous_login": anonymous,
        "insecure_http": insecure_http,
        "log_json": log_json,
    }
    chosen: dict[str, Any] = {name: True for name, given in flags.items() if given}
    try:
        settings = Settings.load(
            data=data,
            port=port,
            host=host,
            public_url=public_url,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            log_level=log_level,
            **chosen,
        )
    except SettingsError as error:
        sys.stderr.write(f"syncline serve: {error}\n")
        raise typer.Exit(2) from None
    raise typer.Exit(main(settings))


if __name__ == "__main__":
    typer.run(serve)
