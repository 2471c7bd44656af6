"""
MLflow's share, through ``MlflowClient``: what a task's author would write. Run by its own Python.

How a version is made: ``throughput.py`` says it. The present form of a stage is an alias; the deprecated stages are
measured as well.
"""

import os
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from serving import serve, timed


class Theirs:
    """
    Does it through ``MlflowClient``.

    :param url: of the tracking and registry database.
    :param store: folder for the artifacts.
    """

    def __init__(self, url, store):
        mlflow.set_tracking_uri(url)
        mlflow.set_registry_uri(url)
        self._client, self._store = MlflowClient(), Path(store)
        self._payload, self._made = self._store / f"payload-{os.getpid()}", 0
        self._experiment = None

    def create(self, model):
        """Make a model, which MLflow does not do with its first version."""
        self._client.create_registered_model(model)

    def register_and_promote(self, model, count, form):
        """Make versions, and promote each; return how many were refused."""
        refused = 0
        for _ in range(count):
            try:
                version = self._register(model, form)
                self._client.set_registered_model_alias(model, "production", version.version)
            except MlflowException:
                refused += 1
        return refused

    def _register(self, model, form):
        self._made += 1
        folder = self._store / model / f"{os.getpid()}-{self._made}"
        if form == "no file":
            return self._client.create_model_version(model, folder.as_uri())
        self._payload.write_bytes(os.urandom(1000))
        if form == "bare calls":
            get_artifact_repository(folder.as_uri()).log_artifact(str(self._payload))
            return self._client.create_model_version(model, folder.as_uri())
        if self._experiment is None:
            runs = (self._store / "runs").as_uri()
            self._experiment = self._client.create_experiment(f"of {os.getpid()}", artifact_location=runs)
        with mlflow.start_run(experiment_id=self._experiment) as run:
            mlflow.log_artifact(str(self._payload), "model")
            return self._client.create_model_version(model, f"{run.info.artifact_uri}/model", run.info.run_id)

    def count(self, model, form):
        """How many versions there are; whether they have bytes, MLflow does not say."""
        found, token = 0, None
        while True:
            page = self._client.search_model_versions(f"name = '{model}'", max_results=1000, page_token=token)
            found, token = found + len(page), page.token
            if not token:
                return found

    def fill(self, model, count):
        """Give a model many versions at once: rows as ``create_model_version`` makes them."""
        self.create(model)
        first = self._client.create_model_version(model, (self._store / "none").as_uri())
        engine, table = self._client._get_registry_client().store.engine, SqlModelVersion.__table__
        with engine.begin() as connection:
            row = dict(connection.execute(table.select().where(table.c.name == model)).mappings().one())
            rows = [{**row, "version": number} for number in range(int(first.version) + 1, count + 1)]
            connection.execute(table.insert(), rows)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")

    def train(self, model):
        """Register and promote a small classifier."""
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression

        classifier = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
        folder = self._store / model / "classifier"
        # Named requirements keep MLflow from finding them out in a process of its own.
        mlflow.sklearn.save_model(classifier, folder, pip_requirements=["scikit-learn"])
        version = self._client.create_model_version(model, folder.as_uri())
        self._client.set_registered_model_alias(model, "production", version.version)

    def promote(self, model, numbers):
        """Seconds of moving the alias, on average."""

        def move(number):
            self._client.set_registered_model_alias(model, "production", number)

        return timed([lambda number=number: move(number) for number in numbers])

    def transition(self, model, numbers):
        """Seconds of a transition between the deprecated stages, on average."""

        def move(number):
            self._client.transition_model_version_stage(
                model, number, "Production", archive_existing_versions=True
            )

        return timed([lambda number=number: move(number) for number in numbers])

    def resolve(self, model, count):
        """Seconds from an alias to its version."""
        return timed([lambda: self._client.get_model_version_by_alias(model, "production").version] * count)

    def load(self, model, count):
        """Seconds from an alias to the loaded classifier."""
        return timed([lambda: mlflow.sklearn.load_model(f"models:/{model}@production")] * count)


if __name__ == "__main__":
    serve(Theirs(*sys.argv[1:]))
