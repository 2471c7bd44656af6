"""The demo: "production" is what holds the stage when a task starts, and a promotion starts the DAG that waits."""

from __future__ import annotations

import argparse
import fcntl
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.table import Table

from airflow_model_provider import Client
from tests.support.airflow_runtime import FINAL, LIBRARIES, AirflowRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_model_provider.handles import ModelVersion

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".demo"
MODEL, STAGE, SCORING = "iris_classifier", "production", "do_predictions"
WAITING = "promotion_starts_scoring"
MAKES = {SCORING: "predictions", WAITING: "promoted_predictions"}
#: Schedules count, and each DAG waits until it is its turn.
SETTINGS = {
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
}


class Demo:
    """One story, told on the console while it happens."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
        self._status = self._console.status("")
        self._begun = time.monotonic()
        self.airflow = AirflowRuntime(
            FOLDER / "airflow", ROOT / "dags", settings=SETTINGS, preload=LIBRARIES, say=self.say
        )
        self.registry = Client(self.airflow.registry_url, store=str(self.airflow.store))
        self._table = Table("run", "task", "version it resolved", "digest", "first predictions", "accuracy")

    def say(self, text: str) -> None:
        """Tell what is going on."""
        self._console.print(f"[dim]{time.monotonic() - self._begun:5.1f} s[/]  {text}", soft_wrap=True)
        self._status.update(text)

    def play(self) -> None:
        """Train, promote, score; promote while a task is queued; show which versions were taken."""
        with self._status, self.airflow as airflow:
            airflow.unpause(WAITING, runs=False)
            airflow.reparse(WAITING)  # a stage is watched once the file of a DAG that is not paused is parsed
            one = self._trained("training, as it is scheduled", airflow.unpause("training"))
            self.say(f"[b]{one}[/] was promoted to {STAGE} by its own run: nothing was there before")
            self._score(WAITING, airflow.nth_run(WAITING, 1))
            self._score(SCORING, airflow.unpause(SCORING))
            two = self._trained("training with c=0.02", airflow.trigger("training", conf={"c": 0.02}))
            self.say(f"[b]{two}[/] is not better, so its run left {self._holder()} in {STAGE}")
            run_id = self._promote_while_queued(two)
            taken = self._score(SCORING, run_id)
            started = self._score(WAITING, airflow.nth_run(WAITING, 2))
        self._console.print()
        self._console.print(self._table)
        self._console.print(
            f"predict was queued while {one} was {STAGE}. It started later, and took {taken}."
        )
        self._console.print(f"The promotion started {WAITING} by itself, with {started}.")
        self._console.print(
            "Nothing is running any more. To look at these runs in Airflow's UI: scripts/demo --ui"
        )
        if (taken, started) != (str(two), str(two)):
            raise AssertionError(f"the scoring tasks took {taken} and {started}, {two} was promoted")

    def show(self) -> None:
        """Start the Airflow of the last demo and leave it to the user."""
        with self._status, self.airflow:
            self.say(f"open [b]{self.airflow.url}/dags/{SCORING}[/]; Ctrl-C ends it")
            self._status.update("running")
            signal.pause()

    def _trained(self, what: str, run_id: str) -> ModelVersion:
        self._finish("training", run_id, what)
        return self.registry.get_model_version(MODEL, "latest")

    def _holder(self) -> ModelVersion:
        return self.registry.get_model_version(MODEL, STAGE)

    def _promote_while_queued(self, version: ModelVersion) -> str:
        self.say("scoring once more, with the workers held when the scoring task is queued")
        with self.airflow.queued(SCORING, "predict", after="load_data") as run_id:
            self.say(f"predict is queued, {STAGE} is {self._holder()}; now promoting {version}")
            arguments = ("promote", MODEL, str(version.number), STAGE, "--force", "--reason", "asked for")
            done = self.airflow.airflow("model-registry", *arguments)
            self.say(
                f"[b]airflow model-registry {' '.join(arguments[:5])}[/]: {done.stdout.splitlines()[-1]}"
            )
        self.say("the workers go on")
        return run_id

    def _finish(self, dag_id: str, run_id: str, what: str) -> None:
        def over() -> bool:
            states = self.airflow.states(dag_id, run_id).items()
            told = ", ".join(f"{task} {state or 'waiting'}" for task, (state, *_) in states)
            self._status.update(f"{what}: {told}")
            return self.airflow.run_state(dag_id, run_id) in FINAL

        self.say(what)
        self.airflow.wait_for(over, timeout=120)
        if self.airflow.run_state(dag_id, run_id) != "success":
            raise AssertionError(self.airflow.failures(dag_id, run_id))

    def _score(self, dag_id: str, run_id: str) -> str:
        """Wait for a scoring run, add its row to the table, and return the version it took."""
        self._finish(dag_id, run_id, f"{dag_id} scores")
        records = self.registry.list_resolutions(dag_id=dag_id, run_id=run_id, model=MODEL)
        (used,) = [record for record in records if record.artifact == "trained_model"]
        version = self.registry.get_model_version(MODEL, used.number)
        predictions = self.registry.get_artifact(MAKES[dag_id]).load()
        self._table.add_row(
            f"{dag_id} {run_id.partition('T')[2][:8]}",
            used.attempt.task_id,
            str(version),
            str(used.digest)[:12],
            " ".join(str(label) for label in predictions[:8]),
            f"{version.run_metadata['accuracy']:.3f}",
        )
        return str(version)


@contextmanager
def only_demo() -> Iterator[None]:
    """Two demos would delete each other's folder."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit("Another demo is running in this checkout. End it first (Ctrl-C).")
        yield


def interrupted(number: int, frame: Any) -> NoReturn:
    """Unwind, so that everything that was started is stopped; further signals would only disturb that."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> None:
    """``scripts/demo [--ui]``."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--ui", action="store_true", help="open the Airflow of the last demo, until Ctrl-C")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    with only_demo():
        if arguments.ui and not (FOLDER / "airflow").is_dir():
            sys.exit("There is no demo to look at yet. Run scripts/demo first.")
        if not arguments.ui:
            shutil.rmtree(FOLDER / "airflow", ignore_errors=True)
        demo = Demo()
        demo.show() if arguments.ui else demo.play()


if __name__ == "__main__":
    main()
