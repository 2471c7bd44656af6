"""This package's share of what is compared with MLflow, through ``Client``: what a task's author would write."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from serving import serve, timed

from airflow_model_provider import Client

FORMAT = {"payload": "file"}


class Ours:
    """
    Does it through ``Client``.

    :param url: of the registry.
    :param store: folder for the artifacts.
    """

    def __init__(self, url: str, store: str) -> None:
        self._client = Client(url, store=store)
        self._payload = Path(store) / f"payload-{os.getpid()}"
        self._payload.parent.mkdir(exist_ok=True)

    def create(self, model: str) -> None:
        """Make a model."""
        self._client.create_model(model)

    def register_and_promote(self, model: str, count: int, form: str = "") -> int:
        """Make versions, promoted in the same transaction; return how many were refused: none."""
        for _ in range(count):
            files = {} if form == "no file" else {"payload": self._new_payload()}
            self._client.register_model_version(
                model, files=files, formats=FORMAT if files else {}, stage="production", force=True
            )
        return 0

    def _new_payload(self) -> Path:
        self._payload.write_bytes(os.urandom(1000))
        return self._payload

    def fill(self, model: str, count: int) -> None:
        """Give a model many versions."""
        self.create(model)
        self.register_and_promote(model, count)

    def count(self, model: str, form: str) -> int:
        """How many versions there are; each has bytes, if it was given some, and each was promoted exactly once."""
        found = self._client.get_model(model)
        versions = found.versions()
        assert form == "no file" or all(version.list_artifacts() for version in versions)
        promoted = sorted(event.version or 0 for event in found.history("production"))
        assert promoted == sorted(version.number for version in versions)
        return len(versions)

    def train(self, model: str) -> None:
        """Register and promote a small classifier."""
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression

        with self._client.new_model_version(model) as version:
            version.save_artifact(
                "trained_model", LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
            )
        version.set_stage("production", force=True)

    def promote(self, model: str, numbers: list[int]) -> float:
        """Seconds of a promotion, on average."""
        versions = {number: self._client.get_model_version(model, number) for number in set(numbers)}
        return timed([partial(versions[number].set_stage, "production", force=True) for number in numbers])

    def resolve(self, model: str, count: int) -> float:
        """Seconds from a stage to its version."""
        return timed([lambda: self._client.get_model_version(model, "production").number] * count)

    def load(self, model: str, count: int) -> float:
        """Seconds from a stage to the loaded classifier."""

        def load() -> Any:
            version = self._client.get_model_version(model, "production")
            return version.get_model_artifact("trained_model").load()

        return timed([load] * count)


if __name__ == "__main__":
    serve(Ours(*sys.argv[1:]))
