"""A stage of a model as the URI of an asset: ``model://<connection>/<model>/<stage>``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

SCHEME: Final = "model"
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

    >>> stage_uri(None, "iris classifier", "production")
    'model://default/iris%20classifier/production'
    """
    return f"{SCHEME}://" + "/".join(quote(part, safe="") for part in (conn_id or DEFAULT, model, stage))


def read_stage_uri(uri: str) -> StageAddress | None:
    """Return the stage that a URI means; None where it means none."""
    scheme, _, rest = uri.partition("://")
    parts = [unquote(part) for part in rest.split("/")]
    if scheme != SCHEME or len(parts) != len(StageAddress._fields) or not all(parts):
        return None
    conn_id, model, stage = parts
    return StageAddress(None if conn_id == DEFAULT else conn_id, model, stage)


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
