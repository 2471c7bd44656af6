"""Where the user's private folder is when nobody says it."""

from __future__ import annotations

import pwd
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider.artifacts.private import PrivateFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, and beside it one for temporary files."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path / "work"


def test_a_user_without_a_home_has_it_among_temporary_files(
    work: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a container with any user id; nothing is made in the working folder."""

    def unknown(uid: int) -> Any:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    room = PrivateFolder(None).room("copies")

    assert room.is_relative_to(work.parent / "temporary")
    assert list(work.iterdir()) == []
    assert "no home folder" in caplog.text


@pytest.mark.parametrize("name", ["HOME", "XDG_CACHE_HOME"])
def test_a_relative_folder_is_none(work: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It would be another one in each working folder."""
    monkeypatch.setenv("HOME", str(work.parent / "home"))
    monkeypatch.setenv(name, "relative")
    PrivateFolder(None).room("copies")

    assert list(work.iterdir()) == []
