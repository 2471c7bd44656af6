"""A later release of this package: a copy of it with one more revision of the schema, for processes that run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import airflow_model_provider
from airflow_model_provider.registry import schema

NEXT = f"{int(schema.REVISION) + 1:04d}"
#: The table ``migrated``, which a test makes, shows how often it was applied.
_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{next}", "{before}"
branch_labels = depends_on = None


def upgrade():
    op.add_column("mr_model", sa.Column("note", sa.Text))
    op.execute("UPDATE mr_registry SET oldest_code = '{oldest}'")
    op.execute("INSERT INTO migrated (times) VALUES (1)")
    {then}


def downgrade():
    op.drop_column("mr_model", "note")
    op.execute("UPDATE mr_registry SET oldest_code = '{before}'")
"""
#: Copies of a process that has imported what they need; what they print is one line each.
_PROGRAM = """
import multiprocessing, os, sys
from alembic import command
from airflow_model_provider.registry import schema
from airflow_model_provider.registry.registry import Registry

def print(answer):
    os.write(1, f"{{answer}}\\n".encode())  # a line of its own: an unbuffered print writes the newline apart

def work(url, ready):
    ready.wait()
    {code}

url, count = sys.argv[1], int(sys.argv[2])
fork = multiprocessing.get_context("fork")
ready = fork.Barrier(count, timeout=60)
started = [fork.Process(target=work, args=(url, ready)) for _ in range(count)]
for process in started:
    process.start()
for process in started:
    process.join()
sys.exit(any(process.exitcode for process in started))
"""


class NextRelease:
    """
    The next release, in a folder.

    :param oldest: the oldest code that may use its schema.
    :param then: what its migration does besides, as Python.
    """

    def __init__(self, folder: Path, *, oldest: str = schema.REVISION, then: str = "pass") -> None:
        self.folder, package = folder, folder / "airflow_model_provider"
        ours = Path(airflow_model_provider.__file__).parent
        shutil.copytree(ours, package)  # with what was compiled of it
        module = package / "registry" / "schema.py"
        code = module.read_text()
        module.write_text(code.replace(f'REVISION = "{schema.REVISION}"', f'REVISION = "{NEXT}"'))
        words = _MIGRATION.format(next=NEXT, before=schema.REVISION, oldest=oldest, then=then)
        (package / "registry" / "migrations" / "versions" / f"{NEXT}_next.py").write_text(words)

    def run(self, code: str, url: str, processes: int = 1) -> list[str]:
        """
        Run code in processes that begin together; return what they print, or fail with what they complain of.

        :param code: it finds the URL in ``url``.
        """
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM.format(code=code), url, str(processes)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(self.folder), *sys.path])},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
