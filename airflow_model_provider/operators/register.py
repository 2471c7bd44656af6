"""``ModelRegisterOperator``: existing files and upstream artifacts become a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_model_provider.exceptions import InvalidDefinition
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.gates import Gates
from airflow_model_provider.limits import check_mapping
from airflow_model_provider.named_artifacts import read_reference
from airflow_model_provider.operators import fields
from airflow_model_provider.operators.base import RegistryTask, refused_softly
from airflow_model_provider.pinned import PinnedArtifact
from airflow_model_provider.references import UNSET, JsonValue, OutputReference, Reference
from airflow_model_provider.selectors import Selector, SelectorKind, check_name
from airflow_model_provider.task_context import hopeless_fails_at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class ModelRegisterOperator(RegistryTask, BaseOperator):
    """
    Make a version of a model of files that are there and of artifacts that other tasks have made.

    It is made in one transaction, with its artifacts, its metadata and its stage, or not at all. A task of a Dag run
    makes one version of the same artifacts and metadata, however often it is tried; cleared after they have changed,
    it makes another one. Returns a reference to the version, which a step or another operator can be given.

    :param model: the model's name; it is made if it is missing (templated, as all that follow down to ``reason``).
    :param files: paths by artifact name: kept byte by byte and unopened.
    :param artifacts: outputs of steps, or references to artifacts: linked, not copied. One, several, or a mapping by
        name; in a mapping any other JSON value is stored as an artifact.
    :param name: the version's name.
    :param description: what is said about the version.
    :param tags: the version's tags.
    :param metadata: JSON values by key.
    :param formats: formats by name, for files whose name doesn't tell.
    :param stage: the stage that it is to hold from its first moment on; None promotes nothing.
    :param expected: replace exactly this holder: its number, or None for a free stage.
    :param gates: what the version must show to come into the stage: :class:`Gates`, without functions, a mapping of
        their fields, or several of these. Where they refuse, no version is made; where only soft ones do, the task is
        skipped.
    :param reason: kept in the stage's history.
    :param force: replace another holder.
    :param conn_id: the connection of the registry; None means the default one.
    :raises InvalidDefinition: if there is neither a file nor an artifact.
    :raises UnknownStage: for a stage that is not declared.

    >>> ModelRegisterOperator(  # doctest: +SKIP
    ...     task_id="register", model="iris_classifier", files={"trained_model": "/models/iris.joblib"}
    ... )
    """

    template_fields: Sequence[str] = (
        *("model", "files", "artifacts", "name", "description", "tags", "metadata", "formats"),
        *("stage", "expected", "gates", "reason"),
    )

    def __init__(
        self,
        *,
        model: str,
        files: Any = None,
        artifacts: Any = None,
        name: str | None = None,
        description: str | None = None,
        tags: Any = (),
        metadata: Any = None,
        formats: Any = None,
        stage: str | None = None,
        expected: Any = UNSET,
        gates: Any = None,
        reason: str | None = None,
        force: bool = False,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model, self.files, self.artifacts = model, files, artifacts
        self.name, self.description, self.tags = name, description, tags
        self.metadata, self.formats = metadata, formats
        self.stage, self.expected, self.reason, self.force = stage, expected, reason, force
        self.gates = gates
        self._set_up(conn_id)

    def _check_arguments(self) -> None:
        self.gates = fields.gates_json(self.gates)
        if self.gates and not self.stage:
            raise InvalidDefinition(
                self.called, "it has gates and no stage", "Say which stage they are for: stage='staging'."
            )
        fields.check_by_name(self.called, files=self.files)
        if not self.files and not self.artifacts:
            raise InvalidDefinition(
                self.called,
                "it has neither files nor artifacts",
                'Write files={"trained_model": "m.joblib"}.',
            )
        fields.check_fields(self.called, self.model, **({} if self.stage is None else {"stage": self.stage}))
        fields.check_numbers(self.called, self.model, expected=self.expected)

    def execute(self, context: Context) -> Reference:
        """
        Make the version, unless another try has.

        :raises AirflowSkipException: where only soft gates refuse it.
        :raises AirflowFailException: for a file that is not there, an artifact of another registry, a name that is
            taken, a stage that is held by another version than expected.
        """
        with hopeless_fails_at_once(), refused_softly():
            self._begin(context)
            model = check_name("model", self.model)
            made = self._made(model)
            self._used = made.version
        if made.found:
            self.log.info("%s was made in another try of this task", made.version)
        else:
            held = f" and is {made.event.stage}" if made.event else ""
            self.log.info("%s holds %s%s", made.version, ", ".join(self._names), held)
        return Reference(model, Selector(SelectorKind.NUMBER, made.version.number), conn_id=self.conn_id)

    def _made(self, model: str) -> Any:
        from airflow_model_provider.registering import gather

        artifacts = _by_name(self.called, self.artifacts)
        files = dict(_mapping(self.called, "files", self.files))
        self._names = [*artifacts, *files]
        formats = _mapping(self.called, "formats", self.formats)
        held = gather(self.workspace, model, artifacts, files, formats)
        return self.workspace.register_version(
            model,
            held.items,
            linked=held.linked,
            once=True,
            name=self.name or None,
            description=self.description or None,
            tags=tuple(self.tags),
            metadata=_mapping(self.called, "metadata", self.metadata),
            attempt=self.resolver.attempt,
            stage=fields.stage_of(self.stage) if self.stage else None,
            force=self.force,
            expected=self._expected_number(model, self.expected),
            reason=fields.text("reason", self.reason),
            gates=Gates.of(self._asked_gates()) if self.stage else (),
        )


def _mapping(subject: str, name: str, value: Any) -> Mapping[str, Any]:
    return {} if value is None else check_mapping(subject, name, value, f"Write {name}={{...}}.")


def _by_name(subject: str, value: Any) -> dict[str, Any]:
    """Artifacts by name: a mapping of them, or what steps have returned, which have names of their own."""
    if value is None:
        return {}
    if isinstance(value, Mapping) and not isinstance(value, JsonValue):
        for name, item in value.items():
            if (
                isinstance(item, Mapping)
                and not isinstance(item, JsonValue)
                and read_reference(item) is not None
            ):
                problem = f"artifacts[{name!r}] is the JSON of {read_reference(item)!r} inside other data"
                advice = "Return it from a step (@task.step), or pass that step's output as an argument."
                raise InvalidDefinition(subject, problem, advice)
        return dict(value)
    several = hasattr(value, "__iter__") and not isinstance(value, str | Mapping)
    found: dict[str, Any] = {}
    for item in value if several else [value]:
        name = getattr(item, "artifact", None) or getattr(item, "name", None)
        if not isinstance(item, OutputReference | PinnedArtifact) or not isinstance(name, str):
            problem = f"{quoted(item)} in artifacts= must be an artifact"
            raise InvalidDefinition(subject, problem, "Pass the output of a step, or {name: value}.")
        if name in found:
            problem = f"two of its artifacts are called {name!r}"
            raise InvalidDefinition(subject, problem, "Give each step's output a name of its own.")
        found[name] = item
    return found
