"""``examples/explore.ipynb`` runs in a real kernel, and gives what is stored in it.

``make notebook`` runs this file as a program, which stores the outputs of a new run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "explore.ipynb"


def executed(notebook: Any) -> Any:
    """The notebook after a run. Raises CellExecutionError."""
    NotebookClient(notebook, timeout=60, kernel_name="python3", record_timing=False).execute()
    return notebook


def results(notebook: Any) -> list[str]:
    """What the cells gave and printed, without what moves meanwhile."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [
        str(output.get("text") or output.data["text/plain"])
        for output in outputs
        if output.output_type == "execute_result" or output.get("name") == "stdout"
    ]


def test_the_notebook_gives_what_is_stored_in_it() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    stored = results(notebook)
    assert len(stored) == 10
    assert not any(output.get("name") == "stderr" for cell in notebook.cells for output in cell.get("outputs", []))
    executed(notebook)
    assert results(notebook) == stored
    (live,) = [cell.outputs[0].data["text/html"] for cell in notebook.cells if "live_table" in cell.source]
    assert "-42.5" in live, "what is shown in another cell changes, also when another thread writes"
    (bar,) = [cell.outputs[0].data["text/plain"] for cell in notebook.cells if "progress=True" in cell.source]
    assert "readings.csv: 100 %" in bar


if __name__ == "__main__":
    nbformat.write(executed(nbformat.read(NOTEBOOK, as_version=4)), NOTEBOOK)
