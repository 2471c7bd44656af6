"""Versions that leave for another registry, and versions that come from one (R36)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Connection, select

from airflow_model_provider.registry import tables
from airflow_model_provider.registry.catalog import find_model, locked_model
from airflow_model_provider.registry.entities import ArtifactRecord, Relation, VersionState
from airflow_model_provider.registry.registration import NewContents, add_whole_version
from airflow_model_provider.registry.rows import artifact_record, select_artifacts
from airflow_model_provider.registry.versions import NewVersion, version_label
from airflow_model_provider.selectors import check_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_model_provider.registry.artifacts import NewArtifact
    from airflow_model_provider.registry.database import Database

#: Metadata of an imported version: what it was where it comes from.
IMPORTED_FROM: Final = "imported_from"
_version, _made, _link, _logged = (
    tables.version,
    tables.artifact_version,
    tables.link,
    tables.version_metadata,
)


class Contents(NamedTuple):
    """
    What a version holds of its own; outputs of tasks that merely used it are theirs.

    :param artifacts: of each name and map index the one that a reference gets, and how it came to the version.
    :param sealed: metadata it had when it was first promoted.
    :param later: metadata that came afterwards; all of it where it never was promoted.
    """

    artifacts: tuple[tuple[ArtifactRecord, Relation], ...]
    sealed: Mapping[str, Any]
    later: Mapping[str, Any]


class Incoming(NamedTuple):
    """
    A version from another registry; the bytes of its artifacts are in the store.

    :param origins: what it is called where it comes from, and on the way: ids of registries, and printed forms.
    """

    version: NewVersion
    artifacts: Sequence[tuple[NewArtifact, Relation]]
    metadata: Mapping[str, Any]
    origins: frozenset[tuple[str, str]]

    def stored(self, lives: Mapping[str, int]) -> Incoming:
        """Return it as it can be registered: with the lives in which its bytes were stored, by digest."""
        artifacts = [(new._replace(life=lives[new.payload.digest]), how) for new, how in self.artifacts]
        return self._replace(artifacts=artifacts)

    @property
    def bytes_held(self) -> set[tuple[str, int, str]]:
        """Name, map index and digest of its artifacts."""
        return {(new.name, new.map_index, new.payload.digest) for new, _ in self.artifacts}


class Place(NamedTuple):
    """A model that versions are imported into, and the id of its registry."""

    registry: str
    model: str


def contents(database: Database, version_id: int) -> Contents:
    """
    Return what a version holds.

    :raises VersionNotFound: if it was deleted.
    """
    held = (
        select_artifacts(_link.c.relation, map_index=_link.c.map_index)
        .join(_link, _link.c.artifact_version_id == _made.c.id)
        .where(_link.c.version_id == version_id, _link.c.own)
        .order_by(_link.c.name, _link.c.map_index, _link.c.sealed.desc(), _made.c.id.desc())
    )
    logged = select(_logged).where(_logged.c.version_id == version_id).order_by(_logged.c.key)

    def work(connection: Connection) -> Contents:
        newest: dict[tuple[str, int], tuple[ArtifactRecord, Relation]] = {}
        for row in connection.execute(held):
            newest.setdefault((row.a_name, row.a_map_index), (artifact_record(row), Relation(row.relation)))
        metadata: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        for row in connection.execute(logged):
            metadata[not row.sealed][row.key] = row.value
        version_label(
            connection, version_id
        )  # last: what was read of a version that is still there is all of it
        return Contents(tuple(newest.values()), *metadata)

    return database.read(work)


def find_imported(database: Database, place: Place, incoming: Sequence[Incoming]) -> list[int | None]:
    """Return the number of the version that each of some incoming ones is already, where there is one."""
    check_name("model", place.model)

    def work(connection: Connection) -> list[int | None]:
        row = find_model(connection, place.model)
        there = [] if row is None else list(_there(connection, place, row.id))
        return [_same(connection, item, there) for item in incoming]

    return database.read(work)


def import_version(database: Database, place: Place, incoming: Incoming) -> tuple[int, bool]:
    """
    Make a version as it was elsewhere, with all it held: in one transaction, so that nobody sees half of it.

    :return: its number, and whether it was made; not where another import was faster.
    :raises BlobGone: naming the digest of bytes that were collected since they were stored.
    :raises AlreadyExists: if the model has a version of this name.
    """
    check_name("model", place.model)

    def work(connection: Connection) -> tuple[int, bool]:
        model_id = locked_model(connection, place.model, incoming.version.card, create=True).id
        found = _same(connection, incoming, list(_there(connection, place, model_id)))
        if found is not None:
            return found, False
        contents = NewContents(incoming.artifacts, incoming.metadata)
        return add_whole_version(connection, place.model, incoming.version, contents).version.number, True

    return database.write(work)


def origins(value: Any) -> Iterator[tuple[str, str]]:
    """Yield what metadata ``imported_from`` says: the registry and version it came from, then where those came from."""
    while isinstance(value, Mapping):
        registry, version = value.get("registry"), value.get("version")
        if isinstance(registry, str) and isinstance(version, str):
            yield registry, version
        value = value.get(IMPORTED_FROM)


class _There(NamedTuple):
    """A version that is ready, under all its names."""

    id: int
    number: int
    origins: frozenset[tuple[str, str]]


def _there(connection: Connection, place: Place, model_id: int) -> Iterator[_There]:
    came = (_logged.c.version_id == _version.c.id) & (_logged.c.key == IMPORTED_FROM)
    query = (
        select(_version.c.id, _version.c.number, _logged.c.value)
        .outerjoin_from(_version, _logged, came)
        .where(_version.c.model_id == model_id, _version.c.state == VersionState.READY.value)
        .order_by(_version.c.number)
    )
    for row in connection.execute(query):
        own = (place.registry, f"{place.model}@{row.number}")
        yield _There(row.id, row.number, frozenset((own, *origins(row.value))))


def _same(connection: Connection, incoming: Incoming, there: Sequence[_There]) -> int | None:
    for version in there:
        if version.origins & incoming.origins and incoming.bytes_held <= _bytes_held(connection, version.id):
            return version.number
    return None


def _bytes_held(connection: Connection, version_id: int) -> set[tuple[str, int, str]]:
    query = (
        select(_link.c.name, _link.c.map_index, _made.c.digest)
        .join_from(_link, _made, _made.c.id == _link.c.artifact_version_id)
        .where(_link.c.version_id == version_id, _link.c.own)
    )
    return {(row.name, row.map_index, row.digest) for row in connection.execute(query)}
