"""What a registry does for its users: each thing made ready, done, and looked at afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from airflow_model_provider import Client, settings
from airflow_model_provider.exceptions import ModelNotFound
from airflow_model_provider.handles import ModelVersion
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry.entities import Attempt, Link, Relation, RunKey, VersionState
from airflow_model_provider.selectors import Selector
from airflow_model_provider.upkeep import collect, verify
from airflow_model_provider.workspace import Saving, Workspace

_number = itertools.count()
SAVING = Saving("model", what="artifact 'model'")
LATEST = Selector.parse("latest")


class Subject(NamedTuple):
    """What an operation is done to: a model of its own, and a value that nobody else stores."""

    model: str
    value: Any
    version_id: int = 0

    @property
    def links(self) -> list[Link]:
        """To the model's first version."""
        return [Link(self.version_id, Relation.OUTPUT)]

    @property
    def attempt(self) -> Attempt:
        """A try of a task in a run of its own."""
        return Attempt(RunKey("default", "scoring", self.model), "predict", f"try of {self.model}")


#: Of each table, how many rows came and how many went; a row that changed did both.
Change = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Operation:
    """
    One thing to do.

    :param arrange: makes a new subject.
    :param act: does it.
    :param is_done: whether its effect is there, given also what ``act`` returned.
    :param is_undone: whether nothing of it is there, given also how the tables have changed.
    """

    arrange: Callable[[Workspace], Subject]
    act: Callable[[Workspace, Subject], Any]
    is_done: Callable[[Workspace, Subject, Any], bool]
    is_undone: Callable[[Workspace, Subject, Change], bool] = lambda _workspace, _subject, change: (
        change == {}
    )


# --- subjects ----------------------------------------------------------------------------------------------


def new_model(_workspace: Workspace) -> Subject:
    """A model of which the registry does not know."""
    name = f"model {next(_number)}"
    return Subject(name, f"value of {name} " * 1000)


def new_version(workspace: Workspace) -> Subject:
    """One version, with nothing in it."""
    subject = new_model(workspace)
    return subject._replace(version_id=workspace.registry.create_version(subject.model).id)


def saved(workspace: Workspace, value: Any = None) -> Subject:
    """One version with an artifact."""
    subject = new_version(workspace)
    subject = subject if value is None else subject._replace(value=value)
    workspace.save(subject.value, SAVING, links=subject.links)
    return subject


def with_file(workspace: Workspace) -> Subject:
    """One version, with nothing in it, and a file that another program made."""
    subject, (folder, _size) = new_version(workspace), settings.cache()
    assert folder is not None
    file = folder.parent / f"{subject.model}.bin"
    file.write_bytes(subject.value.encode())
    return subject._replace(value=file)


def with_successor(workspace: Workspace) -> Subject:
    """The first of two versions is in production."""
    subject = saved(workspace)
    workspace.registry.set_stage(subject.model, 1, "production")
    workspace.registry.create_version(subject.model)
    return subject


def replaced(workspace: Workspace) -> Subject:
    """The second of two versions is in production, the first one was."""
    subject = with_successor(workspace)
    workspace.registry.set_stage(subject.model, 2, "production", force=True)
    return subject


def garbage(workspace: Workspace) -> Subject:
    """A version was deleted, whose bytes nobody shares: each time the same."""
    subject = saved(workspace, "garbage " * 1000)
    workspace.registry.delete_version(subject.model, 1)
    return subject


# --- acts and their effects --------------------------------------------------------------------------------


def _make_in_block(workspace: Workspace, subject: Subject) -> None:
    client = Client()
    client._opened = workspace
    with client.new_model_version(subject.model) as version:
        version.save_artifact("model", subject.value)
        version.log_metadata({"accuracy": 0.97})
    assert version.state is VersionState.READY


def _register_promoted(workspace: Workspace, subject: Subject) -> None:
    client = Client()
    client._opened = workspace
    client.register_model_version(
        subject.model, {"model": subject.value}, metadata={"accuracy": 0.97}, stage="production"
    )


def _read(workspace: Workspace, subject: Subject) -> Any:
    version = workspace.registry.get_version(subject.model, Selector.parse(1))
    (record,) = workspace.registry.list_artifacts(version.id)
    return workspace.load(record, mmap=isinstance(subject.value, np.ndarray))


def _holds_value(workspace: Workspace, subject: Subject, _result: Any = None) -> bool:
    return bool(_read(workspace, subject) == subject.value)


def _holds_file(workspace: Workspace, subject: Subject, _result: Any) -> bool:
    return bool(_read(workspace, subject).read_bytes() == subject.value.read_bytes())


def _is_ready(workspace: Workspace, subject: Subject, _result: Any) -> bool:
    (version,) = workspace.registry.list_versions(subject.model)
    logged = workspace.registry.get_metadata(version.id)
    return (
        version.state is VersionState.READY
        and logged == {"accuracy": 0.97}
        and _holds_value(workspace, subject)
    )


def _nothing_is_ready(workspace: Workspace, subject: Subject, _change: Change) -> bool:
    try:
        versions = workspace.registry.list_versions(subject.model)
    except ModelNotFound:
        return True
    return all(version.state is not VersionState.READY for version in versions)


def _promote(workspace: Workspace, subject: Subject) -> None:
    version = ModelVersion(workspace, workspace.registry.get_version(subject.model, Selector.parse(2)))
    version.set_stage("production", force=True)
    assert version.stage == "production"


def _in_production(number: int) -> Callable[[Workspace, Subject, Any], bool]:
    return lambda workspace, subject, _result: (
        workspace.registry.holders(subject.model) == {subject.model: {"production": number}}
    )


def _resolve(pin: str) -> Callable[[Workspace, Subject], Any]:
    def act(workspace: Workspace, subject: Subject) -> Any:
        wanted = Reference(
            subject.model, Selector.parse("production"), Wanted.ARTIFACT, name="model", pin=pin
        )
        found = workspace.registry.resolve([wanted], subject.attempt)
        workspace.registry.record(found, subject.attempt)
        return found[0].version

    return act


def _is_recorded(workspace: Workspace, subject: Subject, result: Any) -> bool:
    (record,) = workspace.registry.resolutions(model=subject.model)
    return (record.number, result.number) == (1, 1)


def _nothing_is_left(workspace: Workspace, _subject: Subject, _result: Any) -> bool:
    needed = [blob.digest for blob in workspace.registry.needed_blobs()]
    return [digest for digest, _size in workspace.store.iter_blobs()] == needed


OPERATIONS = {
    "save": Operation(
        new_version, lambda workspace, it: workspace.save(it.value, SAVING, links=it.links), _holds_value
    ),
    "save a file": Operation(
        with_file,
        lambda workspace, it: workspace.save_file(it.value, SAVING._replace(format="file"), links=it.links),
        _holds_file,
    ),
    "load": Operation(saved, _read, lambda _workspace, subject, result: result == subject.value),
    "load mapped": Operation(
        lambda workspace: saved(workspace, np.arange(100.0) + next(_number)),
        _read,
        lambda _workspace, subject, result: np.array_equal(result, subject.value),
    ),
    "create a version": Operation(
        new_model,
        lambda workspace, it: workspace.registry.create_version(it.model).number,
        lambda _workspace, _subject, result: result == 1,
    ),
    "make a version in a block": Operation(new_model, _make_in_block, _is_ready, _nothing_is_ready),
    "make a version whole": Operation(
        new_model,
        _register_promoted,
        lambda workspace, it, result: (
            _is_ready(workspace, it, result) and _in_production(1)(workspace, it, result)
        ),
    ),
    "promote by force": Operation(with_successor, _promote, _in_production(2)),
    "roll back": Operation(
        replaced, lambda workspace, it: workspace.registry.rollback(it.model, "production"), _in_production(1)
    ),
    "purge a version": Operation(
        replaced,
        lambda workspace, it: workspace.registry.delete_version(it.model, 1, purge=True),
        lambda workspace, it, _result: (
            [item.number for item in workspace.registry.list_versions(it.model)] == [2]
        ),
    ),
    "resolve": Operation(with_successor, _resolve("task"), _is_recorded),
    "pin for the run": Operation(
        with_successor,
        _resolve("run"),
        _is_recorded,
        # A pin without a record is the decision of a task that failed: its next try, and all others, keep to it.
        lambda _workspace, _subject, change: change in ({}, {"mr_run_pin": (1, 0)}),
    ),
    "verify": Operation(
        new_model,
        lambda workspace, _subject: list(verify(workspace)),
        lambda _workspace, _subject, result: result == [],
    ),
    "collect": Operation(
        garbage, lambda workspace, _subject: collect(workspace, older_than=0), _nothing_is_left
    ),
}
