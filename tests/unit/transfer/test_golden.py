"""Exports are promises: what a release has written, all later ones import."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_model_provider import Client
from airflow_model_provider.settings import variable
from airflow_model_provider.upkeep import verify
from tests.unit.transfer.everything import RUN, check_values, facts, fill

#: What ``fill`` made, by format. These files never change; a new format gets a file of its own beside them.
GOLDEN = sorted((Path(__file__).parents[2] / "golden").glob("export-*.zip"))
KEY = "a-key-that-is-known-to-all"


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_an_export_of_an_earlier_release_is_imported(
    here: Client, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it, with its signatures; its values are those that were saved."""
    monkeypatch.setenv(variable("signing_keys"), KEY)
    found = here.import_model(file)
    champion = here.get_model_version("iris", "champion")

    assert [(item.source, item.number, item.stages) for item in found.versions] == [
        ("iris@1", 1, ()),
        ("iris@2", 2, ("production", "staging")),
        ("iris@6", 3, ()),
    ]
    assert list(verify(here.workspace)) == []
    assert here.get_model("iris").card == {"license": "MIT", "description": "flowers"}
    assert (champion.record.description, champion.record.tags) == ("the best\nof all", ("blue", "good"))
    assert champion.run_metadata["nested"] == {"a": [1, None, "ü"]}
    assert champion.run_metadata["loss"] == float("inf")
    assert champion.run_metadata["imported_from"]["version"] == "iris@2"
    assert here.get_model_version("iris", 3).run_metadata["imported_from"]["run"] == RUN._asdict()
    champion.get_model_artifact("model").check_signature()
    # A pickle of scikit-learn's is that release's; here it matters that its bytes came.
    check_values(here, "iris", 2, tmp_path / "made", but=("model",))


def test_what_is_written_today_is_among_them(there: Client, here: Client, tmp_path: Path) -> None:
    """The newest of these files says the same as an export of today."""
    fill(there, tmp_path / "made")
    here.import_model(GOLDEN[-1])

    for number, source in ((1, 1), (2, 2), (3, 6)):
        golden, today = facts(here, "iris", number), facts(there, "iris", source)
        assert golden["version"] == today["version"]
        assert golden["metadata"] == today["metadata"]
        assert golden["artifacts"].keys() == today["artifacts"].keys()
