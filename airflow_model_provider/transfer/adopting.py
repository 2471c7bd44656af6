"""An artifact that is registered becomes one of other versions too: linked, or registered with the same bytes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from airflow_model_provider.exceptions import PayloadMissing
from airflow_model_provider.registry.values import plain_metadata
from airflow_model_provider.selectors import check_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_model_provider.registry.entities import ArtifactRecord, Attempt, Link
    from airflow_model_provider.workspace import Saving, Workspace


def adopt(
    workspace: Workspace,
    source: Workspace,
    record: ArtifactRecord,
    saving: Saving,
    *,
    attempt: Attempt | None = None,
    links: Sequence[Link] = (),
) -> ArtifactRecord:
    """
    Make an artifact one of other versions too, without loading it.

    Under its own name it is linked. Under another name, or with metadata or a kind of its own, it is registered with
    the same bytes; these are copied only from the store of another registry.

    :param workspace: where the versions are.
    :param source: where the artifact is registered.
    :param record: its entry there.
    :param saving: its name, metadata and kind here.
    :raises PayloadMissing: if its bytes are gone.
    """
    place = attempt.map_index if attempt is not None else record.map_index
    is_same = (saving.name, place) == (record.name, record.map_index) and not saving.metadata
    if source.registry.id == workspace.registry.id and is_same and saving.kind in (None, record.kind):
        for link in links:
            workspace.registry.link_artifact(link.version_id, record.id, link.relation, attempt)
        return record
    from airflow_model_provider.registry.blobs import until_it_stays

    return until_it_stays(lambda _intend: _registered(workspace, source, record, saving, attempt, links))


def _registered(
    workspace: Workspace,
    source: Workspace,
    record: ArtifactRecord,
    saving: Saving,
    attempt: Attempt | None,
    links: Sequence[Link],
) -> ArtifactRecord:
    from airflow_model_provider.registry.artifacts import NewArtifact

    check_name("artifact", saving.name)
    new = NewArtifact(
        saving.name,
        record.payload,
        saving.kind or record.kind,
        _life_of_bytes(workspace, source, record, saving.what),
        output=saving.output,
        attempt=attempt,
        links=links,
        metadata={**record.metadata, **plain_metadata(saving.metadata or {}, saving.what)},
    )
    return workspace.registry.register_artifact(new)


def _life_of_bytes(workspace: Workspace, source: Workspace, record: ArtifactRecord, what: str) -> int:
    """Note that stored bytes are to be registered once more, and copy them from another registry's store."""
    digest, size = record.payload.digest, record.payload.size
    if source.registry.id != workspace.registry.id:
        with workspace.store.new_file() as path:
            shutil.copyfile(source.store.source(digest, size, what=what).path(), path)
            return workspace.put(path, digest, size)
    life = workspace.registry.intend_blob(digest, size).life
    if not workspace.store.exists(digest, size):
        raise PayloadMissing(what, workspace.store.uri(digest))
    return life
