"""Pinned handles: what references become in templates and stock operators. Small, and plain text to anybody else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from airflow_model_provider import settings
from airflow_model_provider.exceptions import InvalidDefinition, MetadataNotFound, UnknownAttribute
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.handles import Artifact, ModelVersion, Origin, resolved_value
from airflow_model_provider.model import Model
from airflow_model_provider.references import UNSET, Reference, Wanted
from airflow_model_provider.selectors import SelectorKind, artifact_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_model_provider.exceptions import ModelRegistryError
    from airflow_model_provider.named_artifacts import AnyReference
    from airflow_model_provider.registry.entities import Resolution, VersionRecord
    from airflow_model_provider.resolver import Resolver


class PinnedText(str):
    """
    A text with more behind it. Pickled, as for a task in another environment, it is the text alone.

    What is behind has names that Jinja's sandbox keeps from templates: those may read, and nothing else.
    """

    __slots__ = ("__task__",)
    __pinned__: Artifact[Any] | ModelVersion
    __task__: TaskSide

    def to_json(self) -> dict[str, Any]:
        """
        Return the reference that a task returns to pass it on; the handle itself would be a text to the next task.

        >>> @task
        ... def choose(model):
        ...     return model.to_json()  # doctest: +SKIP
        """
        return self.__pinned__.reference().to_json()

    def __reduce__(self) -> Any:
        return str, (str(self),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __getitem__(self, key: Any) -> str:
        if isinstance(key, str):  # Jinja asks for an item where there is no such attribute
            known = [
                name for kind in type(self).__mro__[:-2] for name in vars(kind) if not name.startswith("_")
            ]
            self.__task__.fail(UnknownAttribute(f"{str(self)!r}", key, sorted(known)))
        return super().__getitem__(key)

    def _refuse_in_template(self, what: str) -> None:
        if self.__task__.in_template:
            problem = "a template reads, and with this it could write"
            advice = "Pass the reference as an argument instead: the task's code is given the whole handle."
            self.__task__.fail(InvalidDefinition(f"{str(self)!r}.{what}", problem, advice))


class TaskSide(NamedTuple):
    """
    What a handle asks of the task that it was made for.

    :param resolve: resolves further references under the task's pins.
    :param fail: raises an error as the task's surroundings want it.
    :param check: refuses what a template must not write into a field, saying what it is of.
    :param in_template: a template has asked for the handle, not the task's code.
    """

    resolve: Callable[[AnyReference], Any]
    fail: Callable[[ModelRegistryError], NoReturn]
    check: Callable[[Any, str], None] = lambda value, subject: None
    in_template: bool = False


class KnownKeys(dict[str, Any]):
    """Metadata whose missing keys name those that exist."""

    def __init__(self, subject: str, values: Mapping[str, Any], task: TaskSide) -> None:
        super().__init__(values)
        self._subject, self._task = subject, task

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        self._task.check(value, f"{self._subject}.metadata[{key!r}]")
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or ``default``."""
        return self[key] if key in self else default  # noqa: SIM401 - this is get()

    def items(self) -> Any:
        """Return all keys and values."""
        self._check_all()
        return super().items()

    def values(self) -> Any:
        """Return all values."""
        self._check_all()
        return super().values()

    def __iter__(self) -> Iterator[str]:
        self._check_all()
        return super().__iter__()

    def __repr__(self) -> str:
        self._check_all()
        return super().__repr__()

    def _check_all(self) -> None:
        self._task.check(dict(super().items()), f"{self._subject}.metadata")

    def __missing__(self, key: str) -> NoReturn:
        self._task.fail(MetadataNotFound(self._subject, key, sorted(self)))


class PinnedArtifact(PinnedText):
    """
    An artifact of a pinned version: its URI as text, and what else a stock task may want.

    :param artifact: the handle that loads it.
    :param task: the task that it was made for.

    >>> handle.number, handle.digest[:8], handle.load()  # doctest: +SKIP
    (1, '9f86d081', LogisticRegression())
    """

    __slots__ = ("__pinned__",)
    __pinned__: Artifact[Any]

    def __new__(cls, artifact: Artifact[Any], task: TaskSide) -> Self:  # noqa: D102 - see the class
        made = super().__new__(cls, artifact.uri)
        made.__pinned__, made.__task__ = artifact, task
        return made

    @property
    def handle(self) -> Artifact[Any]:
        """The handle itself, which tells all there is to know; not in a template."""
        self._refuse_in_template("handle")
        return self.__pinned__

    @property
    def name(self) -> str:
        """The artifact's name."""
        return self.__pinned__.name

    @property
    def number(self) -> int:
        """The artifact's own version number."""
        return self.__pinned__.number

    @property
    def model_version(self) -> str | None:
        """The printed form of the model version, ``iris_classifier@2``."""
        return self.__pinned__.model_version

    @property
    def type(self) -> str:
        """The value's type as ``module.Class``."""
        return self.__pinned__.type

    @property
    def uri(self) -> str:
        """Where the bytes are."""
        return self.__pinned__.uri

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""
        return self.__pinned__.digest

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was logged onto the artifact."""
        return KnownKeys(repr(self.__pinned__), self.__pinned__.metadata, self.__task__)

    @property
    def local_path(self) -> str:
        """A verified local file with the bytes, as text."""
        return str(self.__pinned__.path())

    def load(self, *, mmap: bool = False) -> Any:
        """Return the object; the bytes are verified first. See :meth:`Artifact.load`."""
        return self.__pinned__.load(mmap=mmap)

    def path(self) -> Path:
        """Return a verified local file with the bytes. See :meth:`Artifact.path`."""
        return self.__pinned__.path()

    def env(self, prefix: str) -> dict[str, str]:
        """
        Return the environment variables from which ``load_artifact`` loads it without Airflow or the registry.

        What this Airflow's configuration says about pickles is among them.

        >>> handle.env("MODEL")  # doctest: +SKIP
        {'MODEL_URI': 's3://...', 'MODEL_DIGEST': '9f86...', 'MODEL_FORMAT': '{"materializer":...}'}
        """
        from airflow_model_provider.isolated import environment

        rules = {name: settings.option(name) for name in ("allow_pickle", "skops_trusted_types")}
        said = {settings.variable(name): value for name, value in rules.items() if value is not None}
        self.__pinned__.check_signature()  # the isolated task has no key to do it
        return {**environment(prefix, self.uri, self.__pinned__.record.payload), **said}


class PinnedMetadata:
    """Metadata of a version: each key that is asked for is resolved under the task's pins and recorded."""

    def __init__(self, of: Reference, task: TaskSide) -> None:
        self._of, self._task = of, task

    def __getitem__(self, key: str) -> Any:
        return self._task.resolve(self._of.but(wanted=Wanted.METADATA, name=key))

    def get(self, key: str, default: Any = None, default_reference: Mapping[str, Any] | None = None) -> Any:
        """Return the value, or ``default``, or what the JSON form of a reference stands for."""
        if default_reference is not None:
            default = Reference.from_json(default_reference)
        return self._task.resolve(self._of.but(wanted=Wanted.METADATA, name=key, default=default))

    def __repr__(self) -> str:
        return f"{self._of!r}.metadata"


class OptionalVersion:
    """
    A version that need not be there: what is asked of it has a default.

    :param of: the reference to it.
    :param task: the task that asks.
    """

    def __init__(self, of: Reference, task: TaskSide) -> None:
        self._of, self._task = of, task

    @property
    def metadata(self) -> PinnedMetadata:
        """The version's metadata."""
        return PinnedMetadata(self._of, self._task)

    def artifact(
        self,
        name: str,
        *,
        version: int | None = None,
        kind: str | None = None,
        map_index: int | None = None,
        attribute: str | None = None,
        default: Any = UNSET,
        default_reference: Mapping[str, Any] | None = None,
    ) -> Any:
        """
        Return an artifact of the version. See :meth:`Model.get_artifact`.

        :param attribute: a plain value of it instead: ``uri``, ``digest``, ``number``, ``metadata:<key>``.
        :param default_reference: the JSON form of a reference that is resolved where the artifact is missing.
        """
        if default_reference is not None:
            default = Reference.from_json(default_reference)
        return self._task.resolve(
            self._of.but(
                wanted=Wanted.ARTIFACT,
                name=name,
                kind=None if kind is None else artifact_type(kind),
                artifact_version=version,
                map_index=map_index,
                attribute=attribute,
                default=default,
            )
        )

    def __repr__(self) -> str:
        return repr(self._of)


class PinnedVersion(PinnedText):
    """
    A pinned version: its printed form as text, and what templates may want of it.

    :param version: the version.
    :param of: the reference that was pinned to it.
    :param task: the task that it was made for.
    """

    __slots__ = ("__asked__", "__pinned__")
    __pinned__: ModelVersion
    __asked__: OptionalVersion

    def __new__(cls, version: ModelVersion, of: Reference, task: TaskSide) -> Self:  # noqa: D102 - see the class
        made = super().__new__(cls, str(version))
        made.__pinned__, made.__asked__, made.__task__ = version, OptionalVersion(of, task), task
        return made

    @property
    def name(self) -> str:
        """The model's name."""
        return self.__pinned__.name

    @property
    def number(self) -> int:
        """The version's number."""
        return self.__pinned__.number

    @property
    def id(self) -> int:
        """The version's id in its registry."""
        return self.__pinned__.id

    @property
    def version_name(self) -> str | None:
        """The name that the version was given; None if it has none."""
        return self.__pinned__.version_name

    @property
    def stage(self) -> str:
        """The version's stage."""
        return self.__pinned__.stage

    @property
    def metadata(self) -> PinnedMetadata:
        """The version's metadata."""
        return self.__asked__.metadata

    def artifact(self, name: str, **options: Any) -> Any:
        """Return an artifact of the version. See :meth:`OptionalVersion.artifact`."""
        return self.__asked__.artifact(name, **options)

    @property
    def registry_id(self) -> str:
        """Id of the registry that holds it."""
        return self.__pinned__._workspace.registry.id

    @property
    def record(self) -> VersionRecord:
        """What the registry says of the version."""
        return self.__pinned__.record

    def load(self) -> ModelVersion:
        """Return the version itself, which can be read, loaded from and promoted; not in a template."""
        self._refuse_in_template("load()")
        return self.__pinned__


def pinned(resolution: Resolution, resolver: Resolver, task: TaskSide) -> Any:
    """
    Return what a resolution becomes outside of steps: a handle, or a plain value.

    :param task: the task that asks.
    """
    reference = resolution.reference
    value = resolved_value(resolver.workspace(resolution.conn_id), resolution, Origin(resolver.attempt))
    if isinstance(value, Artifact):
        return PinnedArtifact(value, task)
    if isinstance(value, ModelVersion) and isinstance(reference, Reference):
        return PinnedVersion(value, reference, task)
    return str(value) if isinstance(value, Path) else value


#: What a template may say of a version besides its model and selector.
_TERMS = ("pin", "as_of", "on_missing", "conn_id")


def version_of(task: TaskSide, model: str, version: Any, options: Mapping[str, Any]) -> Any:
    """
    Return what ``macros.model_registry.version(...)`` gives in a template.

    :param options: those of :class:`Model`, and ``optional``: what is asked of the version has a default.
    """
    terms = dict(options)
    optional = terms.pop("optional", False)
    if unknown := set(terms) - set(_TERMS):
        words = ", ".join((*_TERMS, "optional"))
        raise InvalidDefinition(
            "macros.model_registry.version()",
            f"it was given {', '.join(sorted(unknown))}",
            f"It takes: {words}.",
        )
    reference = Model(model, version=version, **terms).reference
    if reference.selector.kind is SelectorKind.TEMPLATE:
        problem = f"version={quoted(version)} is a template, and what a template is given is not rendered"
        raise InvalidDefinition(
            "macros.model_registry.version()", problem, "Give it a value: params.version."
        )
    return OptionalVersion(reference, task) if optional else task.resolve(reference)
