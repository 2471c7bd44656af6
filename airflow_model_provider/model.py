"""``Model``: the lazy way to say which version of which model; no I/O in it, nor in what is reached from it."""

from __future__ import annotations

import importlib
import re
from dataclasses import KW_ONLY, dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

from airflow_model_provider import host, settings
from airflow_model_provider.exceptions import InvalidDefinition, InvalidName
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.lazy import LazyArtifact, LazyMetadata, lazy_or_now, resolve_now
from airflow_model_provider.limits import check_tags, check_text, whole
from airflow_model_provider.references import (
    PINS,
    POLICIES,
    REFERENCE_KEY,
    UNSET,
    JsonValue,
    Reference,
    Wanted,
)
from airflow_model_provider.selectors import (
    ArtifactType,
    ModelStages,
    Selector,
    SelectorKind,
    check_conn_id,
    check_name,
    check_version_name,
    is_template,
    nearest,
    read_as_of,
)
from airflow_model_provider.stage_uri import DEFAULT_CONN_ID, StageAsset, stage_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_model_provider.handles import ModelVersion
    from airflow_model_provider.registry.entities import StageEvent

#: Needs Airflow, and is imported only where that is.
_ASSETS = "airflow_model_provider.assets"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
#: What may stand in the name of a new version.
NAME_TEMPLATES = frozenset({"date", "time", "run_id"})


@dataclass(frozen=True, repr=False)
class Model(JsonValue):
    """
    A model, and which version of it.

    As ``model=`` of a pipeline or step it says what the step belongs to: with ``version=None`` (or a name with
    ``{date}``, ``{time}`` or ``{run_id}`` in it, of the run's logical date where it has one; the second of a name
    is called ``...-2``) each Dag run makes one new version; otherwise the version is the one that the selector
    names when the task runs.

    :param name: the model's name.
    :param version: a stage, ``latest``, a number, a version name, a Jinja template that gives one of these when
        the task runs, or the output of a task that does.
    :param pin: ``task``: each task gets what the selector names when it runs; ``run``: all tasks of a Dag run get
        what the first of them got, retries and cleared tasks too; None means ``[model_registry] default_pin``.
    :param as_of: with a stage: the version that held it then. An aware datetime, the name of a date of the Dag
        run (``logical_date``, ``data_interval_end``, ``run_after``), or a tuple of these, of which the first
        that the run has counts.
    :param on_missing: where no version is there when the task runs: ``fail``, ``skip`` the task, or ``wait``
        for one.
    :param conn_id: the connection of the registry; None means the default one.
    :param description: this and ``license``, ``audience``, ``use_cases``, ``limitations``, ``trade_offs``, ``ethics``
        are the model's card. A run that makes a version writes them to the registry, and logs what it changed there.
    :param tags: of the model, and of each version that a run makes; tags that it has otherwise stay.
    :raises UnknownStage: for a near miss of a declared stage.
    :raises InvalidName: for a name the registry doesn't accept.
    :raises InvalidDefinition: for an option that doesn't exist or doesn't fit the others.

    >>> Model("iris_classifier", version="production").get_model_artifact("trained_model")
    iris_classifier[production]/trained_model
    """

    name: str
    version: ModelStages | str | int | None = None
    _: KW_ONLY
    pin: str | None = None
    as_of: Any = None
    on_missing: str = "fail"
    conn_id: str | None = None
    license: str | None = None
    description: str | None = None
    audience: str | None = None
    use_cases: str | None = None
    limitations: str | None = None
    trade_offs: str | None = None
    ethics: str | None = None
    tags: tuple[str, ...] = ()

    def __new__(cls, *args: Any, **options: Any) -> Self:  # noqa: D102 - refuses what __init__ does not know
        for name in options:
            if name not in cls.__dataclass_fields__:
                known = [item.name for item in fields(cls)]
                said = f"Model({quoted((args or ('',))[0])})" if args else "Model()"
                raise InvalidDefinition(said, f"it has no argument {quoted(name)}", _hint(name, known))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check_name("model", self.name)
        for said in CARD:
            if getattr(self, said) is not None:
                check_text(f"{said} of {self._subject}", getattr(self, said))
        object.__setattr__(self, "tags", tuple(check_tags(f"tags of {self._subject}", self.tags)))
        if self.conn_id is not None:
            check_conn_id(self.conn_id)
        if self.conn_id == DEFAULT_CONN_ID:
            object.__setattr__(self, "conn_id", None)  # one registry has one name
        object.__setattr__(self, "version", deferred_text(self.version))
        object.__setattr__(self, "as_of", read_as_of(self._subject, self.as_of))
        if self.pin is None:
            object.__setattr__(self, "pin", "task" if self.makes_version else settings.default_pin())
        self._check_options()
        if self.makes_version:
            _check_template(self.version)
            self._become({REFERENCE_KEY: repr(self), "model": self.name})
        else:
            self._become(self.reference.to_json())

    def _check_options(self) -> None:
        check_option(self._subject, "pin", self.pin, PINS)
        check_option(self._subject, "on_missing", self.on_missing, POLICIES)
        if self.makes_version and (self.as_of or self.pin != "task" or self.on_missing != "fail"):
            raise InvalidDefinition(
                self._subject,
                "pin, as_of and on_missing need version=. Without it every run creates a new version",
                "Example: version='production'.",
            )
        if self.as_of and self.selector.kind not in (SelectorKind.STAGE, SelectorKind.TEMPLATE):
            raise InvalidDefinition(
                self._subject,
                f"as_of needs a stage, but version={quoted(self.version)} does not name one",
                "Leave as_of out, or name a stage: version='production'.",
            )
        if (
            not self.makes_version
            and self.selector.kind is SelectorKind.TRIGGERING
            and self.on_missing == "wait"
        ):
            raise InvalidDefinition(
                self._subject,
                "on_missing='wait' would wait for what has started the run already",
                "Leave it out, or say on_missing='skip'.",
            )
        if self.as_of and self.on_missing == "wait":
            raise InvalidDefinition(
                self._subject, "on_missing='wait' would wait for the past", "Leave as_of or on_missing out."
            )

    __eq__ = JsonValue.__eq__

    def _equals(self, other: object) -> bool:
        return type(self) is type(other) and all(
            getattr(self, item.name) == getattr(other, item.name) for item in fields(self)
        )

    def __bool__(self) -> bool:
        """Return True, so that ``model or Model("iris")`` works: a model is there, whatever its version is."""
        return True

    @property
    def _subject(self) -> str:
        return f"Model({self.name!r})"

    def __reduce__(self) -> Any:
        return _rebuilt, (type(self), {item.name: getattr(self, item.name) for item in fields(self)})

    @property
    def makes_version(self) -> bool:
        """Whether a pipeline or step with this model makes a new version in each run."""
        version = self.version
        return version is None or (isinstance(version, str) and "{" in version and not is_template(version))

    @property
    def selector(self) -> Selector:
        """
        Which version it means.

        :raises InvalidDefinition: if it names none, because each run makes a new one.
        """
        return self.reference.selector

    @property
    def asset(self) -> Any:
        """
        The stage as an Airflow asset: Dags that are scheduled on it run when a version is promoted to it (R32).

        In a program without Airflow, where no schedule counts, it is a stand-in.

        :raises InvalidDefinition: if it means no stage.

        >>> Model("iris_classifier", version="production").asset.uri
        'model://default/iris_classifier/production'
        """
        if self.makes_version or self.selector.kind is not SelectorKind.STAGE:
            raise InvalidDefinition(
                f"{self._subject}.asset",
                "only a stage of a model is an asset",
                "Say which: version='production'.",
            )
        stage = str(self.selector)
        if host.airflow_is_imported():
            return importlib.import_module(_ASSETS).stage_asset(self.conn_id, self.name, stage)
        return StageAsset(stage_uri(self.conn_id, self.name, stage))

    @property
    def card(self) -> dict[str, Any]:
        """What was said about the model: license, description, ..., tags."""
        said = {name: getattr(self, name) for name in CARD if getattr(self, name)}
        return {**said, "tags": list(self.tags)} if self.tags else said

    @cached_property
    def reference(self) -> Reference:
        """
        A lazy reference to the version itself.

        :raises InvalidDefinition: if it names none, because each run makes a new one.
        """
        if self.version is None or self.makes_version:
            raise InvalidDefinition(
                self._subject,
                "it names no version, because each run makes a new one",
                "To refer to an existing one, say which: version='production', version=3.",
            )
        selector = Selector.parse(self.version, settings.declared_stages())
        return Reference(self.name, selector, **self._terms)

    @property
    def _terms(self) -> dict[str, Any]:
        """What each reference to the version takes over."""
        return {name: getattr(self, name) for name in ("conn_id", "pin", "as_of", "on_missing")}

    @property
    def number(self) -> Any:
        """The version's number."""
        return self._plain("number")

    @property
    def id(self) -> Any:
        """The version's id in its registry."""
        return self._plain("id")

    @property
    def stage(self) -> Any:
        """The version's stage."""
        return self._plain("stage")

    @property
    def version_name(self) -> Any:
        """The name that the version was given; None if it has none."""
        return self._plain("version_name")

    def _plain(self, attribute: str) -> Any:
        return lazy_or_now(self.reference.but(attribute=attribute))

    @property
    def run_metadata(self) -> LazyMetadata:
        """The version's metadata."""
        return LazyMetadata(self.reference)

    def get_artifact(
        self,
        name: str,
        version: int | None = None,
        *,
        map_index: int | None = None,
        default: Any = UNSET,
    ) -> Any:
        """
        Refer to an artifact of the version. In a running step it is resolved at once, to an unloaded handle.

        :param version: a given version of the artifact instead of the newest.
        :param map_index: the element, where a mapped step made a collection.
        :param default: a JSON value used where the stage or the artifact is missing.
        """
        return self._artifact(name, version, None, map_index, default)

    def get_model_artifact(
        self, name: str, version: int | None = None, *, map_index: int | None = None, default: Any = UNSET
    ) -> Any:
        """Refer to a model artifact. See :meth:`get_artifact`."""
        return self._artifact(name, version, ArtifactType.MODEL, map_index, default)

    def get_data_artifact(
        self, name: str, version: int | None = None, *, map_index: int | None = None, default: Any = UNSET
    ) -> Any:
        """Refer to a data artifact. See :meth:`get_artifact`."""
        return self._artifact(name, version, ArtifactType.DATA, map_index, default)

    def get_deployment_artifact(
        self, name: str, version: int | None = None, *, map_index: int | None = None, default: Any = UNSET
    ) -> Any:
        """Refer to a deployment artifact. See :meth:`get_artifact`."""
        return self._artifact(name, version, ArtifactType.DEPLOYMENT, map_index, default)

    def _artifact(
        self, name: str, version: int | None, kind: ArtifactType | None, map_index: int | None, default: Any
    ) -> Any:
        return lazy_or_now(
            LazyArtifact(
                self.name,
                self.selector,
                Wanted.ARTIFACT,
                name,
                kind=kind,
                artifact_version=version,
                map_index=map_index,
                default=default,
                **self._terms,
            )
        )

    def load(self) -> ModelVersion:
        """
        Return the concrete version, here and now.

        :raises LoadingWhileBuilding: in the body of a pipeline or DAG.
        :raises StageNotAssigned: if no version holds the stage.
        """
        return self._now("load()")

    def load_artifact(self, name: str, version: int | None = None, *, map_index: int | None = None) -> Any:
        """Return the object that an artifact of the version holds, here and now. See :meth:`get_artifact`."""
        return self._now("load_artifact()").load_artifact(name, version, map_index=map_index)

    def log_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Log values onto the version, here and now."""
        self._now("log_metadata()").log_metadata(metadata)

    def set_stage(
        self,
        stage: ModelStages | str,
        force: bool = False,
        **options: Any,
    ) -> StageEvent | None:
        """Move the version into a stage, here and now. See :meth:`ModelVersion.set_stage`."""
        return self._now("set_stage()").set_stage(stage, force, **options)

    def promote(self, stage: ModelStages | str, **options: Any) -> StageEvent | None:
        """Move the version into a stage if it passes gates, here and now. See :meth:`ModelVersion.promote`."""
        return self._now("promote()").promote(stage, **options)

    def delete_artifact(self, name: str) -> None:
        """Take an artifact out of the version, here and now."""
        self._now("delete_artifact()").delete_artifact(name)

    def _now(self, operation: str) -> ModelVersion:
        if host.inside_template():
            advice = "Do it in a task's code. Macros give values: macros.model_registry.version(...).number."
            raise InvalidDefinition(f"{self._subject}.{operation}", "templates can read values only", advice)
        version: ModelVersion = resolve_now(self.reference, operation)
        return version

    def __str__(self) -> str:
        """Return the Jinja expression that means the version, so that it can stand in an f-string."""
        return repr(self) if self.makes_version else str(self.reference)

    def __repr__(self) -> str:
        return f"{self.name}[new]" if self.makes_version else repr(self.reference)


def _hint(name: str, known: list[str]) -> str:
    if name in ("stage", "number"):
        return "Say which version: version='production'."
    close = nearest(name, known)
    return f"Did you mean {close!r}?" if close else f"It takes {', '.join(known)}."


def _rebuilt(cls: type[Model], values: dict[str, Any]) -> Model:
    return cls(**values)


def check_option(subject: str, name: str, value: object, known: tuple[str, ...]) -> None:
    """
    Refuse a word that isn't one of those known.

    :raises InvalidDefinition: naming them, and the nearest.
    """
    if value not in known:
        close = nearest(value, known)
        hint = f" Did you mean {close!r}?" if close else ""
        words = ", ".join(map(repr, known))
        raise InvalidDefinition(subject, f"{name}={quoted(value)} is unknown", f"Known: {words}.{hint}")


def deferred_text(version: Any) -> Any:
    """
    Return the template that means a task's output or a pipeline's parameter, a number as one; anything else as it is.

    :raises InvalidDefinition: for the output of a mapped task, which is several.
    """
    if isinstance(version, str) and re.fullmatch(r"[0-9]{1,100}", version):
        return int(version)  # "3" and 3 are one version
    if isinstance(version, str | bool) or version is None or type(version) in (dict, list, tuple, set):
        return version
    if (number := whole(version)) is not None:
        return number
    task: Any = getattr(version, "operator", getattr(version, "node", None))
    if getattr(task, "is_mapped", False) or getattr(task, "mapped", None) is not None:
        problem = f"version= is the output of {task.task_id!r}, which is mapped and gives several values"
        raise InvalidDefinition("Model", problem, "Give the output of a step that returns one of them.")
    try:
        text = str(version)
    except Exception:  # of an object that has no text; it is refused as what it is
        return version
    return text if is_template(text) else version


CARD = ("license", "description", "audience", "use_cases", "limitations", "trade_offs", "ethics")


def _check_template(name: str | int | ModelStages | None) -> None:
    if name is None:
        return
    unknown = set(_PLACEHOLDER.findall(str(name))) - NAME_TEMPLATES
    if unknown or "{" in _PLACEHOLDER.sub("", str(name)):
        known = ", ".join(f"{{{item}}}" for item in sorted(NAME_TEMPLATES))
        raise InvalidName(
            "version", name, f"A name of new versions can hold {known} and nothing else in braces."
        )
    check_name("version", _PLACEHOLDER.sub("x", str(name)))


def new_version_name(
    template: str | int | ModelStages | None, run_id: str, logical_date: datetime | None = None
) -> str | None:
    """
    Return the name of a run's new version: ``{date}``, ``{time}`` (UTC) and ``{run_id}`` filled in (R26).

    :param logical_date: the run's; None where it has none: it is now, then.

    >>> new_version_name("nightly {date}", "scheduled__2026-03-01", datetime(2026, 3, 1, tzinfo=UTC))
    'nightly 2026_03_01'
    """
    if template is None:
        return None
    when = (logical_date or datetime.now(UTC)).astimezone(UTC)
    values = {"date": f"{when:%Y_%m_%d}", "time": f"{when:%H_%M_%S_%f}", "run_id": run_id}
    filled = _PLACEHOLDER.sub(lambda match: values[match.group(1)], str(template))
    name = re.sub(r"[^A-Za-z0-9._ -]", "_", filled)[:100].rstrip()
    # What would be read as a number or a stage is told apart from that; what is near to a stage, by a digest.
    others = (f"run_{name[:96]}", f"run_{sha256(filled.encode()).hexdigest()[:16]}")
    return next(valid for valid in (name, *others) if _is_name(valid))


def _is_name(name: str) -> bool:
    """Whether the name of a run is that of a version, too: no number, stage, or word that means something else."""
    try:
        check_version_name(name, settings.declared_stages())
    except InvalidName:
        return False
    return True
