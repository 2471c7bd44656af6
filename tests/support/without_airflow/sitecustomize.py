"""On PYTHONPATH, this makes Airflow look as if it were not installed, in child processes too."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder


class _NoAirflow(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] == "airflow":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


sys.meta_path.insert(0, _NoAirflow())
