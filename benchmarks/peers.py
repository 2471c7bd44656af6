"""What this package is compared with, in a virtual environment of its own, ``.venv-peers``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER, LOCK = ROOT / ".venv-peers", ROOT / "requirements" / "peers.txt"


def interpreter() -> Path:
    """Return the Python that has the peers; they are installed when the list of them has changed."""
    python, stamp = FOLDER / "bin" / "python", FOLDER / "stamp"
    if not stamp.exists() or stamp.read_text() != LOCK.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", LOCK)
        subprocess.run([python, *install], check=True)
        stamp.write_text(LOCK.read_text())
    return python
