"""What the page about ``syncline why`` shows is what the command says: the example runs, and its output is compared.

``SYNCLINE_WRITE_DOCS=1 pytest tests/docs/test_why_page.py`` puts the present output into the page.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.docs.test_snippets import BLOCK, ROOT, SERVER, start_server

from syncline.testing.processes import free_port

PAGE = ROOT / "docs" / "how-to" / "why.md"
SHOWN = re.compile(r"^```sh\nsyncline why ([^\n]*)\n```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC")


def test_the_output_on_the_page_is_that_of_the_command(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    stated = SERVER.search(text)
    assert stated is not None
    port = str(free_port())  # the page's own may be in use by the test of its snippets
    server = start_server(port, tmp_path / "data")
    try:
        program = "\n\n".join(match.group(1) for match in BLOCK.finditer(text)).replace(stated.group(1), port)
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, timeout=120, check=True)
        shown = SHOWN.findall(text)
        said = [_why(shlex.split(arguments), tmp_path) for arguments, _ in shown]
    finally:
        server.terminate()
        server.wait(20)
    assert len(said) == 3
    if os.environ.get("SYNCLINE_WRITE_DOCS") == "1":
        for (_, old), new in zip(shown, said, strict=True):
            text = text.replace(f"```text\n{old}```", f"```text\n{new}```")
        PAGE.write_text(text, encoding="utf-8")
    else:
        assert [_timeless(output) for output in said] == [_timeless(output) for _, output in shown]


def _why(arguments: list[str], folder: Path) -> str:
    command = [sys.executable, "-m", "syncline.cli.main", "why", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True).stdout


def _timeless(output: str) -> str:
    return TIME.sub("TIME", output)
