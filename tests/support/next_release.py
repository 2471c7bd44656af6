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


class NextRelease:
    """
    The next release, in a folder.

    :param oldest: the oldest code that may use its schema.
    :param then: what its migration does besides, as Python.
    """

    def __init__(self, folder: Path, *, oldest: str = schema.REVISION, then: str = "pass") -> None:
        self.folder, package = folder, folder / "airflow_model_provider"
        ours = Path(airflow_model_provider.__file__).parent
        shutil.copytree(ours, package, ignore=shutil.ignore_patterns("__pycache__"))
        module = package / "registry" / "schema.py"
        code = module.read_text()
        module.write_text(code.replace(f'REVISION = "{schema.REVISION}"', f'REVISION = "{NEXT}"'))
        words = _MIGRATION.format(next=NEXT, before=schema.REVISION, oldest=oldest, then=then)
        (package / "registry" / "migrations" / "versions" / f"{NEXT}_next.py").write_text(words)

    def start(self, code: str, url: str) -> subprocess.Popen[str]:
        """Start a process that runs code, once a line comes on its standard input; it has the URL in ``url``."""
        begin = "import sys; from airflow_model_provider.registry import schema; from "
        begin += "airflow_model_provider.registry.registry import Registry; url = sys.argv[1]; "
        wait = "print('ready', flush=True); sys.stdin.readline(); "
        return subprocess.Popen(
            [sys.executable, "-c", begin + wait + code, url],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(self.folder), *sys.path])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, url: str, processes: int = 1) -> list[str]:
        """Run code in processes that begin together; return what they print, or fail with what they complain of."""
        started = [self.start(code, url) for _ in range(processes)]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=120) for process in started]
        assert [process.returncode for process in started] == [0] * processes, answers
        return [output.strip() for output, _ in answers]
