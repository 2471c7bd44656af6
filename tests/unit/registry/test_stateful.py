"""The whole registry against a small one in plain Python: whatever is asked of it, in whatever order."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_model_provider.exceptions import (
    AlreadyExists,
    ArtifactNotFound,
    MetadataNotFound,
    ModelRegistryError,
    NothingToRestore,
    StageConflict,
    StageNotAssigned,
    StageOccupied,
    VersionInUse,
    VersionNotFound,
    VersionNotReady,
    VersionSealed,
)
from airflow_model_provider.references import Reference, Wanted
from airflow_model_provider.registry.artifacts import NewArtifact
from airflow_model_provider.registry.entities import Link, Payload, Relation, VersionState
from airflow_model_provider.registry.registry import Registry
from airflow_model_provider.selectors import ArtifactType, Selector
from tests.support.soak import TIMES

STAGES = ("staging", "production")
numbers, stages = st.integers(1, 6), st.sampled_from(STAGES)
keys, contents = st.sampled_from(["accuracy", "f1"]), st.sampled_from(["a", "b"])


class Version:
    """What the plain registry knows of a version."""

    def __init__(self, state: VersionState, name: str | None) -> None:
        self.state, self.name = state, name
        self.metadata: dict[str, Any] = {}
        self.sealed_metadata: set[str] = set()
        self.artifacts: dict[str, list[str]] = {}
        self.sealed_artifact: dict[str, str] = {}
        self.sealed = self.was_staged = self.archived = self.deleted = False


class Machine(RuleBasedStateMachine):
    """One model of its own, beside those of the examples before."""

    registry: Registry

    def __init__(self) -> None:
        super().__init__()
        self.model = f"iris {uuid.uuid4().hex[:12]}"
        self.registry.create_model(self.model)
        self.versions: list[Version] = []
        self.chains: dict[str, Any] = dict.fromkeys(STAGES)
        self.vacant: dict[str, bool] = dict.fromkeys(STAGES, True)
        self.events: list[tuple[str, int | None]] = []

    # --- the plain registry --------------------------------------------------------------------------------

    def found(self, number: int) -> Version | None:
        """A version that is there."""
        there = 1 <= number <= len(self.versions) and not self.versions[number - 1].deleted
        return self.versions[number - 1] if there else None

    def holder(self, stage: str) -> int | None:
        """Who holds a stage."""
        return None if self.vacant[stage] else self.chains[stage][0]

    def held_by(self, number: int) -> list[str]:
        """The stages of a version."""
        return [stage for stage in STAGES if self.holder(stage) == number]

    def hand_over(self, stage: str, chain: Any) -> None:
        """Change a stage's holder."""
        before, number = self.holder(stage), chain[0]
        self.chains[stage], self.vacant[stage] = chain, False
        self.events.append((stage, number))
        if before is not None and not self.held_by(before):
            self.versions[before - 1].archived = True
        version = self.versions[number - 1]
        version.archived, version.was_staged = False, True
        if not version.sealed:
            version.sealed = True
            version.sealed_metadata = set(version.metadata)
            version.sealed_artifact = {name: made[-1] for name, made in version.artifacts.items()}

    def refused(self, error: type[ModelRegistryError] | None) -> Any:
        """What is to be raised, if anything is."""
        return contextlib.nullcontext() if error is None else pytest.raises(error)

    # --- what is asked -------------------------------------------------------------------------------------

    @rule(ready=st.booleans(), name=st.sampled_from([None, "best", "fast"]))
    def create(self, name: str | None, *, ready: bool) -> None:
        """Make a version; its name is taken from one that has failed and was never promoted."""
        before = next((item for item in self.versions if name is not None and item.name == name), None)
        taken = before is not None and (before.sealed or before.state is not VersionState.FAILED)
        state = VersionState.READY if ready else VersionState.PRODUCING
        with self.refused(AlreadyExists if taken else None):
            made = self.registry.create_version(self.model, name=name, state=state)
        if not taken:
            if before is not None:
                before.name = None
            self.versions.append(Version(state, name))
            assert made.number == len(self.versions)

    @rule(number=numbers, good=st.booleans())
    def finish(self, number: int, *, good: bool) -> None:
        """End the making of a version."""
        version = self.found(number)
        if version is not None and version.state is VersionState.PRODUCING:
            version.state = VersionState.READY if good else VersionState.FAILED
            self.registry.finish_version(self.id(number), version.state)

    def id(self, number: int) -> int:
        """The id of a version that is there."""
        return self.registry.get_version(self.model, Selector.parse(number)).id

    @rule(
        number=numbers,
        stage=stages,
        force=st.booleans(),
        expected=st.one_of(st.just("any"), st.none(), numbers),
    )
    def promote(self, number: int, stage: str, expected: Any, *, force: bool) -> None:
        """Move a version into a stage."""
        version, held = self.found(number), self.holder(stage)
        options: dict[str, Any] = {"force": force} | ({} if expected == "any" else {"expected": expected})
        error: type[ModelRegistryError] | None = None
        if version is None:
            error = VersionNotFound
        elif expected not in ("any", held):
            error = StageConflict
        elif held == number:
            error = None
        elif expected == "any" and held is not None and not force:
            error = StageOccupied
        elif version.state is not VersionState.READY:
            error = VersionNotReady
        with self.refused(error):
            event = self.registry.set_stage(self.model, number, stage, **options)
        if error is None:
            assert (event is None) == (held == number)
            if held != number:
                self.hand_over(stage, (number, self.chains[stage]))

    @rule(number=numbers)
    def archive(self, number: int) -> None:
        """Take a version out of all its stages."""
        version = self.found(number)
        with self.refused(VersionNotFound if version is None else None):
            self.registry.set_stage(self.model, number, "archived")
        if version is not None and (held := self.held_by(number)):
            version.archived = True
            for stage in held:
                self.vacant[stage] = True
            assigned = [stage for stage, holder in self.events if holder == number]
            held.sort(key=lambda stage: len(assigned) - assigned[::-1].index(stage))
            self.events += [(stage, None) for stage in held]

    @rule(stage=stages)
    def roll_back(self, stage: str) -> None:
        """Give a stage back."""
        held = self.holder(stage)
        chain = self.chains[stage] if self.vacant[stage] else self.chains[stage][1]
        while chain is not None and (self.found(chain[0]) is None or chain[0] == held):
            chain = chain[1]
        with self.refused(NothingToRestore if chain is None else None):
            event = self.registry.rollback(self.model, stage)
        if chain is not None:
            assert event.version == chain[0]
            self.hand_over(stage, chain)

    @rule(number=numbers, purge=st.booleans(), force=st.booleans())
    def delete(self, number: int, *, purge: bool, force: bool) -> None:
        """Delete a version."""
        version = self.found(number)
        error: type[ModelRegistryError] | None = None
        if version is None:
            error = VersionNotFound
        elif (
            self.held_by(number)
            or (version.was_staged and not purge)
            or (version.state is VersionState.PRODUCING and not force)
        ):
            error = VersionInUse
        with self.refused(error):
            self.registry.delete_version(self.model, number, purge=purge, force=force)
        if version is not None and error is None:
            version.deleted, version.name = True, version.name if version.sealed else None

    @precondition(lambda self: self.versions)
    @rule(number=numbers, key=keys, value=st.integers(0, 3))
    def log(self, number: int, key: str, value: int) -> None:
        """Log metadata."""
        version = self.found(number)
        if version is None:
            return
        sealed = key in version.sealed_metadata
        with self.refused(VersionSealed if sealed else None):
            self.registry.log_version_metadata(self.id(number), {key: value})
        if not sealed:
            version.metadata[key] = value

    @precondition(lambda self: self.versions)
    @rule(number=numbers, name=st.sampled_from(["model", "scaler"]), content=contents)
    def save(self, number: int, name: str, content: str) -> None:
        """Register an artifact."""
        version = self.found(number)
        if version is None:
            return
        digest = content * 64
        payload = Payload(digest, 1, "text.utf8", 1, ("builtins.str",))
        life = self.registry.intend_blob(digest, 1).life
        links = [Link(self.id(number), Relation.OUTPUT)]
        self.registry.register_artifact(NewArtifact(name, payload, ArtifactType.DATA, life, links=links))
        version.artifacts.setdefault(name, []).append(digest)

    # --- what has to be true at any time -------------------------------------------------------------------

    @invariant()
    def versions_are_as_told(self) -> None:
        """Numbers without gaps, states, names, stages, seals."""
        listed = {item.number: item for item in self.registry.list_versions(self.model)}
        assert set(listed) == {
            number for number in range(1, len(self.versions) + 1) if self.found(number) is not None
        }
        for number, record in listed.items():
            version = self.versions[number - 1]
            assert (record.state, record.version_name, record.archived) == (
                *(version.state, version.name, version.archived),
            )
            assert sorted(record.stages) == sorted(self.held_by(number))
            assert (record.sealed_at is not None) == version.sealed
            assert self.registry.get_metadata(record.id) == version.metadata

    @invariant()
    def references_find_what_is_there(self) -> None:
        """By stage and by ``latest``; of artifacts the sealed one, else the newest."""
        ready = [
            number
            for number, version in enumerate(self.versions, 1)
            if version.state is VersionState.READY and not version.deleted
        ]
        wanted = {"latest": ready[-1] if ready else None, **{stage: self.holder(stage) for stage in STAGES}}
        for selector, number in wanted.items():
            reference = Reference(self.model, Selector.parse(selector), Wanted.VERSION)
            (found,) = self.registry.resolve([reference], keep_missing=True)
            assert (found.version.number if found.version else None) == number
            if number is None:
                assert isinstance(found.missing, StageNotAssigned | VersionNotFound)
                continue
            version = self.versions[number - 1]
            for name in ("model", "scaler"):
                asked = reference.but(wanted=Wanted.ARTIFACT, name=name)
                (item,) = self.registry.resolve([asked], keep_missing=True)
                made = version.sealed_artifact.get(name) or (version.artifacts.get(name) or [None])[-1]
                assert (item.artifact.payload.digest if item.artifact else None) == made
                assert made is not None or isinstance(item.missing, ArtifactNotFound)
            asked = reference.but(wanted=Wanted.METADATA, name="accuracy")
            (item,) = self.registry.resolve([asked], keep_missing=True)
            assert "accuracy" in version.metadata or isinstance(item.missing, MetadataNotFound)

    @invariant()
    def history_is_as_told(self) -> None:
        """Every change, in order."""
        told = [(event.stage, event.version) for event in self.registry.history(self.model)][::-1]
        assert told == self.events


def test_the_registry_is_what_a_small_one_in_plain_python_is(registry: Registry) -> None:
    """Hundreds of thousands of steps in the long form."""
    Machine.registry = registry
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12 * TIMES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
