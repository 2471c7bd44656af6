"""What this package is compared with, each in a virtual environment of its own below ``.venv-peers``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def interpreter(name: str) -> Path:
    """Return the Python that has a peer; it is installed when the list of what it needs has changed."""
    folder, lock = ROOT / ".venv-peers" / name, ROOT / "requirements" / f"peers-{name}.txt"
    python, stamp = folder / "bin" / "python", folder / "stamp"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", lock)
        subprocess.run([python, *install], check=True)
        stamp.write_text(lock.read_text())
    return python
