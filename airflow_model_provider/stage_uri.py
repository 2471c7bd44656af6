"""A stage of a model as the URI of an asset: ``model://<connection>/<model>/<stage>``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEME: Final = "model"
#: The connection of the registry that is meant where none is named.
DEFAULT_CONN_ID: Final = "model_registry_default"
#: How a URI calls the default connection.
DEFAULT: Final = "default"


class StageAddress(NamedTuple):
    """
    Which stage of which model in which registry.

    :param conn_id: the registry's connection; None means the default one.
    """

    conn_id: str | None
    model: str
    stage: str


def stage_uri(conn_id: str | None, model: str, stage: str) -> str:
    """
    Return the URI of a stage.

    :raises InvalidDefinition: for a connection that has the name by which a URI calls the default one.

    >>> stage_uri(None, "iris classifier", "production")
    'model://default/iris%20classifier/production'
    """
    if conn_id == DEFAULT:
        from airflow_model_provider.exceptions import InvalidDefinition

        problem = (
            f"{DEFAULT!r} stands for the default connection, {DEFAULT_CONN_ID!r}, in the assets of stages"
        )
        raise InvalidDefinition(
            f"conn_id={conn_id!r}", problem, "Leave it out, or give the connection another id."
        )
    registry = DEFAULT if conn_id in (None, DEFAULT_CONN_ID) else conn_id
    return f"{SCHEME}://" + "/".join(quote(part, safe="") for part in (registry, model, stage))


def consumer_uri(conn_id: str | None, model: str, stage: str, dag_id: str) -> str:
    """
    Return the URI of what wakes one Dag that waits for a stage.

    >>> consumer_uri(None, "iris", "production", "scoring")
    'model://default/iris/production?dag=scoring'
    """
    return f"{stage_uri(conn_id, model, stage)}?{urlencode({'dag': dag_id})}"


def read_stage_uri(uri: str) -> StageAddress | None:
    """Return the stage that a URI means, of a consumer's too; None where it means none."""
    scheme, _, rest = uri.partition("?")[0].partition("://")
    parts = [unquote(part) for part in rest.split("/")]
    if scheme != SCHEME or len(parts) != len(StageAddress._fields) or not all(parts):
        return None
    conn_id, model, stage = parts
    return StageAddress(None if conn_id == DEFAULT else conn_id, model, stage)


def stages_in(condition: Any) -> Iterator[StageAddress]:
    """Return the stages in what a Dag is scheduled on, in the order in which they stand there."""
    for part in getattr(condition, "objects", ()):
        yield from stages_in(part)
    uri = getattr(condition, "uri", None) or getattr(condition, "name", "")
    if (address := read_stage_uri(str(uri))) is not None:
        yield address


@dataclass(frozen=True)
class StageAsset:
    """What stands for a stage's asset in a program without Airflow, where no schedule counts."""

    uri: str

    @property
    def name(self) -> str:
        """The asset's name: its URI."""
        return self.uri

    def __and__(self, other: Any) -> Any:
        return self

    __or__ = __rand__ = __ror__ = __and__
