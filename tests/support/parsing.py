"""Parses DAG files as the DAG processor does, and prints what that gave; run as a program."""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

HEAVY = frozenset(
    {"pandas", "numpy", "sklearn", "pyarrow", "sqlalchemy", "alembic", "upath", "fsspec", "cloudpickle"}
)
OURS = "airflow_model_provider"
EVENTS = frozenset({"open", "sqlite3.connect", "socket.connect", "os.mkdir", "os.listdir", "os.scandir"})


def audit(seen: list[str]) -> None:
    """Note heavy imports made by the package, and files, databases and sockets it opens."""
    original = builtins.__import__

    def watched(name: str, globals: Any = None, *rest: Any, **more: Any) -> Any:
        importer = str((globals or {}).get("__name__", ""))
        if name.partition(".")[0] in HEAVY and importer.partition(".")[0] == OURS:
            seen.append(f"{importer} imports {name}")
        return original(name, globals, *rest, **more)

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS:
            return
        frame = sys._getframe()
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith(("importlib", "zipimport", "linecache", "tokenize")):
                return  # Python reading source code
            if module.partition(".")[0] == OURS:
                seen.append(f"{module} {event} {arguments[:1]}")
                return
            frame = frame.f_back

    builtins.__import__ = watched
    sys.addaudithook(listen)


def parse(folder: str) -> dict[str, Any]:
    """Return the serialized DAGs of a folder, as digests and as texts, and the errors by file."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    bag = DagBag(folder)
    texts = {
        dag.dag_id: json.dumps(DagSerialization.to_dict(dag), sort_keys=True) for dag in bag.dags.values()
    }
    digests = {dag_id: hashlib.sha256(text.encode()).hexdigest() for dag_id, text in texts.items()}
    errors = {Path(path).name: text for path, text in bag.import_errors.items()}
    return {"dags": digests, "texts": texts, "errors": errors}


def main() -> None:
    """``parsing.py <folder> ...``: parse each in a child process."""
    import airflow.dag_processing.dagbag
    import airflow.serialization.serialized_objects  # noqa: F401 - what the DAG processor has loaded
    import pandas  # noqa: F401 - what the example DAGs import themselves
    import sklearn.datasets
    import sklearn.linear_model  # noqa: F401

    sys.stdout.write(json.dumps([_in_child(folder) for folder in sys.argv[1:]]))


def _in_child(folder: str) -> dict[str, Any]:
    seen: list[str] = []
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        audit(seen)
        answer = {**parse(folder), "seen": seen}
        with os.fdopen(write, "w") as file:
            json.dump(answer, file)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        answer = json.load(file)
    os.waitpid(child, 0)
    return dict(answer)


if __name__ == "__main__":
    main()
