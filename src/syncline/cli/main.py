"""The ``syncline`` command line: what can be typed, and which module does it.

Commands import what they need when they run, so that ``syncline doctor`` works on a machine where a part is missing.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``syncline`` command."""
    try:
        import typer
    except ImportError:
        sys.stderr.write("The syncline command needs the extra [cli]: pip install 'syncline[cli]'\n")
        raise SystemExit(2) from None

    from syncline.cli.commands import build_app

    typer.main.get_command(build_app())(prog_name="syncline")


if __name__ == "__main__":
    main()
