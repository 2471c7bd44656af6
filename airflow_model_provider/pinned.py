"""Pinned handles: what references become in templates and stock operators. Small, and plain text to anybody else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from airflow_model_provider import settings
from airflow_model_provider.exceptions import UnknownAttribute
from airflow_model_provider.handles import Artifact, ModelVersion, Origin, resolved_value
from airflow_model_provider.model import Model
from airflow_model_provider.references import UNSET, Reference, Wanted
from airflow_model_provider.selectors import ArtifactType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_model_provider.registry.entities import Resolution
    from airflow_model_provider.resolver import Resolver

    Resolve = Callable[[Reference], Any]


class PinnedText(str):
    """A text with more behind it. Pickled, as for a task in another environment, it is the text alone."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return str, (str(self),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __getitem__(self, key: Any) -> str:
        if isinstance(key, str):
            self._unknown(key)
        return super().__getitem__(key)

    def _unknown(self, key: str) -> NoReturn:
        """Jinja asks for an item where there is no such attribute."""
        known = [name for name in vars(type(self)) if not name.startswith("_")]
        raise UnknownAttribute(f"{str(self)!r}", key, sorted(known))


class PinnedArtifact(PinnedText):
    """
    An artifact of a pinned version: its URI as text, and what else a stock task may want.

    :param artifact: the handle that loads it.

    >>> handle.number, handle.digest[:8], handle.load()  # doctest: +SKIP
    (1, '9f86d081', LogisticRegression())
    """

    __slots__ = ("_artifact",)
    _artifact: Artifact[Any]

    def __new__(cls, artifact: Artifact[Any]) -> Self:  # noqa: D102 - see the class
        made = super().__new__(cls, artifact.uri)
        made._artifact = artifact
        return made

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
        return self._artifact.metadata

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
        return {**environment(prefix, self.uri, self._artifact.record.payload), **said}


class PinnedMetadata:
    """Metadata of a pinned version: each key that is asked for is resolved under the task's pins and recorded."""

    def __init__(self, of: Reference, resolve: Resolve) -> None:
        self._of, self._resolve = of, resolve

    def __getitem__(self, key: str) -> Any:
        return self._resolve(self._of.but(wanted=Wanted.METADATA, name=key))

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or ``default``."""
        return self._resolve(self._of.but(wanted=Wanted.METADATA, name=key, default=default))


class PinnedVersion(PinnedText):
    """
    A pinned version: its printed form as text, and what templates may want of it.

    :param version: the version.
    :param of: the reference that was pinned to it.
    :param resolve: resolves further references under the task's pins.
    """

    __slots__ = ("_of", "_resolve", "_version")
    _version: ModelVersion
    _of: Reference
    _resolve: Resolve

    def __new__(cls, version: ModelVersion, of: Reference, resolve: Resolve) -> Self:  # noqa: D102 - see the class
        made = super().__new__(cls, str(version))
        made._version, made._of, made._resolve = version, of, resolve
        return made

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self._version.model_name

    @property
    def number(self) -> int:
        """The version's number."""
        return self._version.number

    @property
    def id(self) -> int:
        """The version's id in its registry."""
        return self._version.id

    @property
    def name(self) -> str:
        """The version's name; its number as text if it has none."""
        return self._version.name

    @property
    def stage(self) -> str:
        """The version's stage."""
        return self._version.stage

    @property
    def metadata(self) -> PinnedMetadata:
        """The version's metadata."""
        return PinnedMetadata(self._of, self._resolve)

    def artifact(
        self,
        name: str,
        *,
        version: int | None = None,
        kind: str | None = None,
        map_index: int | None = None,
        default: Any = UNSET,
    ) -> Any:
        """Return an artifact of the version. See :meth:`Model.get_artifact`."""
        return self._resolve(
            self._of.but(
                wanted=Wanted.ARTIFACT,
                name=name,
                kind=ArtifactType(kind) if kind else None,
                artifact_version=version,
                map_index=map_index,
                default=default,
            )
        )

    def load(self) -> ModelVersion:
        """Return the version itself, which can be read, loaded from and promoted."""
        return self._version


def pinned(resolution: Resolution, resolver: Resolver, resolve: Resolve) -> Any:
    """
    Return what a resolution becomes outside of steps: a handle, or a plain value.

    :param resolve: resolves further references under the task's pins.
    """
    reference = resolution.reference
    conn_id = reference.conn_id if isinstance(reference, Reference) else None
    value = resolved_value(resolver.workspace(conn_id), resolution, Origin(resolver.attempt))
    if isinstance(value, Artifact):
        return PinnedArtifact(value)
    if isinstance(value, ModelVersion) and isinstance(reference, Reference):
        return PinnedVersion(value, reference, resolve)
    return str(value) if isinstance(value, Path) else value


def version_of(resolve: Resolve, model: str, version: Any, options: Mapping[str, Any]) -> Any:
    """Return what ``macros.model_registry.version(...)`` gives in a template."""
    return resolve(Model(model, version=version, **options).reference)
