"""Pinned handles: what references become in templates and stock operators. Small, and plain text to anybody else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from airflow_model_provider import settings
from airflow_model_provider.exceptions import InvalidDefinition, MetadataNotFound, UnknownAttribute
from airflow_model_provider.handles import Artifact, ModelVersion, Origin, resolved_value
from airflow_model_provider.model import Model
from airflow_model_provider.references import UNSET, Reference, Wanted
from airflow_model_provider.selectors import artifact_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_model_provider.exceptions import ModelRegistryError
    from airflow_model_provider.registry.entities import Resolution
    from airflow_model_provider.resolver import Resolver


class PinnedText(str):
    """A text with more behind it. Pickled, as for a task in another environment, it is the text alone."""

    __slots__ = ("_task",)
    _task: TaskSide

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
            self._task.fail(UnknownAttribute(f"{str(self)!r}", key, sorted(known)))
        return super().__getitem__(key)


class TaskSide(NamedTuple):
    """
    What a handle asks of the task that it was made for.

    :param resolve: resolves further references under the task's pins.
    :param fail: raises an error as the task's surroundings want it.
    """

    resolve: Callable[[Reference], Any]
    fail: Callable[[ModelRegistryError], NoReturn]


class KnownKeys(dict[str, Any]):
    """Metadata whose missing keys name those that exist."""

    def __init__(self, subject: str, values: Mapping[str, Any], task: TaskSide) -> None:
        super().__init__(values)
        self._subject, self._task = subject, task

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

    __slots__ = ("_artifact",)
    _artifact: Artifact[Any]

    def __new__(cls, artifact: Artifact[Any], task: TaskSide) -> Self:  # noqa: D102 - see the class
        made = super().__new__(cls, artifact.uri)
        made._artifact, made._task = artifact, task
        return made

    @property
    def handle(self) -> Artifact[Any]:
        """The handle itself, which tells all there is to know."""
        return self._artifact

    @property
    def name(self) -> str:
        """The artifact's name."""
        return self._artifact.name

    @property
    def number(self) -> int:
        """The artifact's own version number."""
        return self._artifact.number

    @property
    def model_version(self) -> str | None:
        """The printed form of the model version, ``iris_classifier@2``."""
        return self._artifact.model_version

    @property
    def type(self) -> str:
        """The value's type as ``module.Class``."""
        return self._artifact.type

    @property
    def uri(self) -> str:
        """Where the bytes are."""
        return self._artifact.uri

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""
        return self._artifact.digest

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was logged onto the artifact."""
        return KnownKeys(repr(self._artifact), self._artifact.metadata, self._task)

    @property
    def local_path(self) -> str:
        """A verified local file with the bytes, as text."""
        return str(self._artifact.path())

    def load(self, *, mmap: bool = False) -> Any:
        """Return the object; the bytes are verified first. See :meth:`Artifact.load`."""
        return self._artifact.load(mmap=mmap)

    def path(self) -> Path:
        """Return a verified local file with the bytes. See :meth:`Artifact.path`."""
        return self._artifact.path()

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
        self._artifact.check_signature()  # the isolated task has no key to do it
        return {**environment(prefix, self.uri, self._artifact.record.payload), **said}


class PinnedMetadata:
    """Metadata of a version: each key that is asked for is resolved under the task's pins and recorded."""

    def __init__(self, of: Reference, task: TaskSide) -> None:
        self._of, self._task = of, task

    def __getitem__(self, key: str) -> Any:
        return self._task.resolve(self._of.but(wanted=Wanted.METADATA, name=key))

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or ``default``."""
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
    ) -> Any:
        """
        Return an artifact of the version. See :meth:`Model.get_artifact`.

        :param attribute: a plain value of it instead: ``uri``, ``digest``, ``number``, ``metadata:<key>``.
        """
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

    __slots__ = ("_asked", "_version")
    _version: ModelVersion
    _asked: OptionalVersion

    def __new__(cls, version: ModelVersion, of: Reference, task: TaskSide) -> Self:  # noqa: D102 - see the class
        made = super().__new__(cls, str(version))
        made._version, made._asked, made._task = version, OptionalVersion(of, task), task
        return made

    @property
    def name(self) -> str:
        """The model's name."""
        return self._version.name

    @property
    def number(self) -> int:
        """The version's number."""
        return self._version.number

    @property
    def id(self) -> int:
        """The version's id in its registry."""
        return self._version.id

    @property
    def version_name(self) -> str | None:
        """The name that the version was given; None if it has none."""
        return self._version.version_name

    @property
    def stage(self) -> str:
        """The version's stage."""
        return self._version.stage

    @property
    def metadata(self) -> PinnedMetadata:
        """The version's metadata."""
        return self._asked.metadata

    def artifact(self, name: str, **options: Any) -> Any:
        """Return an artifact of the version. See :meth:`OptionalVersion.artifact`."""
        return self._asked.artifact(name, **options)

    @property
    def registry_id(self) -> str:
        """Id of the registry that holds it."""
        return self._version._workspace.registry.id

    def load(self) -> ModelVersion:
        """Return the version itself, which can be read, loaded from and promoted."""
        return self._version


def pinned(resolution: Resolution, resolver: Resolver, task: TaskSide) -> Any:
    """
    Return what a resolution becomes outside of steps: a handle, or a plain value.

    :param task: the task that asks.
    """
    reference = resolution.reference
    conn_id = reference.conn_id if isinstance(reference, Reference) else None
    value = resolved_value(resolver.workspace(conn_id), resolution, Origin(resolver.attempt))
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
    return OptionalVersion(reference, task) if optional else task.resolve(reference)
