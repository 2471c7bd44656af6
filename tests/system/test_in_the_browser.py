"""What people see and click in Airflow's own pages, in a real browser, under a real scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_model_provider import Client
from tests.support.browser import Browser
from tests.support.people import asks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.airflow_runtime import AirflowRuntime


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser of somebody who has never been here."""
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def test_a_person_decides_on_airflows_page(airflow: AirflowRuntime, browser: Browser) -> None:
    """
    The page of the request shows candidate and holder side by side, as text whatever is in it. Approve moves the stage
    in the name of who clicked, Reject leaves it as it was; a rollback is one click, its empty fields left empty.
    """
    registry = Client(airflow.registry_url, store=str(airflow.store))
    hostile = "<script>document.title='owned'</script> | [x](javascript:alert(1))"
    registry.register_model_version("seen", metadata={"accuracy": 0.9, "rmse": 1.5}, stage="production")
    registry.register_model_version("seen", metadata={"accuracy": 0.95, "note": hostile})
    registry.register_model_version("seen", metadata={"accuracy": 0.1})
    runs = {
        number: airflow.trigger("approval", conf={"model": "seen", "version": str(number)})
        for number in (2, 3)
    }
    browser.open(airflow.url)  # its scripts come while the tasks run
    for run_id in runs.values():
        asks(airflow, "approval", run_id, "approve")

    def open_request(number: int) -> None:
        browser.open(f"{airflow.url}/dags/approval/runs/{runs[number]}/tasks/approve/required_actions")

    def answer(number: int, label: str) -> str:
        """Click; return who has answered, as Airflow says it."""
        browser.click(label)

        def answered() -> Any:
            request = airflow.request("approval", runs[number], "approve") or {}
            return request.get("chosen_options") == [label] and request["responded_by_user"]["name"]

        return str(airflow.wait_for(answered, timeout=60))

    open_request(2)
    assert browser.table("seen@2") == [
        ["", "seen@2", "seen@1"],
        ["accuracy", "0.95", "0.9"],
        ["note", hostile.replace("|", "¦"), "-"],
        ["rmse", "-", "1.5"],
    ]
    assert browser.text("Promote seen@2 to production?")
    browser.fill("element_reason", "better on the page")
    browser.keep("approval-request.png")
    person = answer(2, "Approve")
    open_request(3)
    assert browser.table("seen@3")[0] == ["", "seen@3", "seen@1"]  # as it was when the task asked
    assert answer(3, "Reject") == person  # no reason is asked for
    browser.open(f"{airflow.url}/dags/rollback")
    browser.click("Trigger")
    browser.fill("element_model", "seen")
    browser.keep("rollback-form.png")
    for run_id in runs.values():
        assert airflow.wait_run("approval", run_id) == "success", airflow.failures("approval", run_id)

    approved, first = registry.get_model("seen").history("production")
    assert (approved.version, approved.previous, approved.reason) == (2, 1, "better on the page")
    assert (approved.who, first.version) == (person, 1)
    assert airflow.states("approval", runs[2]) == {"approve": ["success"], "announce": ["success"]}
    assert airflow.states("approval", runs[3]) == {"approve": ["success"], "announce": ["skipped"]}
    assert airflow.xcom("approval", runs[3], "approve")["rejected_by"] == person
    browser.click("Trigger")
    airflow.wait_for(lambda: registry.get_model("seen").history("production")[0] != approved, timeout=60)
    back = registry.get_model("seen").history("production")[0]
    assert (back.version, back.previous, back.reason, back.task_id) == (1, 2, None, "rollback")
