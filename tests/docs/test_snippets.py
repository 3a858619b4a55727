"""Every Python block of the README and of the documentation runs, top to bottom, as a reader would run it.

The blocks of one page share a namespace and a fresh working folder. A block whose info string is not exactly
``python`` (for example ``python title="sketch"``) is shown only. A page that needs a server finds one at the address
it states: the block right after ``<!-- server -->`` runs while ``syncline serve --dev`` listens there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if "spec" not in p.relative_to(ROOT / "docs").parts),
]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SERVER = re.compile(r"<!-- server: (\d+) -->")

with_code = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", with_code, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    program = "\n\n".join(match.group(1) for match in BLOCK.finditer(text))
    script = tmp_path / "page.py"
    script.write_text(program, encoding="utf-8")
    server = SERVER.search(text)
    process = start_server(server.group(1), tmp_path / "server") if server else None
    try:
        result = subprocess.run(
            [sys.executable, "-W", "error", str(script)],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    finally:
        if process is not None:
            process.terminate()
            process.wait(20)
    assert result.returncode == 0, f"{page}:\n{result.stdout}\n{result.stderr}"


def start_server(port: str, folder: Path) -> subprocess.Popen[str]:
    """The development server that the page tells its reader to start, ready to answer."""
    process = subprocess.Popen(
        [sys.executable, "-m", "syncline.cli.main", "serve", "--dev", "--port", port, "--data", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_until_healthy(port)
    return process


def wait_until_healthy(port: str) -> None:
    import time

    import httpx

    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health").raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def test_the_readme_begins_with_the_two_commands() -> None:
    commands = re.findall(
        r"^```(?:sh|bash|console)\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert commands, "the README shows no command"
    assert [line.removeprefix("$ ").split("#")[0].strip() for line in commands[0].splitlines() if line.strip()] == [
        "make demo",
        "make test",
    ]
