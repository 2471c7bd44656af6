"""What versions of a model hold, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_model_provider.handles import ModelVersion


class Comparison(NamedTuple):
    """
    Versions side by side, each under its printed form, in the order in which they were asked for.

    :param stages: the stages of each: ``{"iris@3": ("production",), "iris@1": ()}``.
    :param metadata: by key, the value of each version, None where it has none:
        ``{"accuracy": {"iris@3": 0.97, "iris@1": 0.9}}``.

    >>> pd.DataFrame(client.compare("iris", [3, 1]).metadata)  # doctest: +SKIP
            accuracy
    iris@3      0.97
    iris@1      0.90
    """

    stages: dict[str, tuple[str, ...]]
    metadata: dict[str, dict[str, Any]]


def compare(versions: Sequence[ModelVersion]) -> Comparison:
    """Return what versions of one model hold. See :meth:`Client.compare`."""
    logged = {str(version): dict(version.run_metadata) for version in versions}
    keys = sorted({key for values in logged.values() for key in values})
    metadata = {key: {label: values.get(key) for label, values in logged.items()} for key in keys}
    return Comparison({str(version): version.record.stages for version in versions}, metadata)
