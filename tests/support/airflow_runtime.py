"""A real Airflow in a throw-away folder: API server, scheduler with LocalExecutor, DAG processor, triggerer."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import psutil
from tenacity import Retrying, stop_after_attempt

from tests.support.airflow_home import make_database
from tests.support.families import held, kill_families, send, title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
FINAL = frozenset({"success", "failed"})
#: To preload where most tasks and DAG files use data and models: importing them takes longer than all else they do.
LIBRARIES = ("pandas", "pyarrow.parquet", "sklearn.datasets", "sklearn.linear_model")
#: A setting of Airflow's own, which each component reads when it starts.
PRELOADING = '''"""What many tasks import is imported once, by those whose children they are."""

import sys
from importlib import import_module

__all__ = []
if {{"scheduler", "dag-processor"}} & set(sys.argv):
    for module in {modules!r}:
        import_module(module)
'''


class AirflowRuntime:
    """
    Start with ``with AirflowRuntime(home, dags) as airflow``; no process is left when the block ends.

    :param home: AIRFLOW_HOME, made if it is missing.
    :param dags: folder of the DAG files.
    :param settings: further environment variables.
    :param preload: modules that scheduler and DAG processor import before they fork what runs tasks and parses files.
    :param say: told what is going on.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        settings: Mapping[str, str] | None = None,
        preload: Sequence[str] = (),
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.home, self.dags, self._say = home, dags, say
        self._preload = tuple(preload)
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.registry_url = f"sqlite:///{home / 'model_registry.db'}"
        self.store = home / "model_artifacts"
        self.environment = self._environment(dict(settings or {}))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._api = httpx.Client(base_url=self.url, timeout=30)

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
        section = {
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "4",
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "API__PORT": str(self.port),
            "API__HOST": "localhost",
            "API__BASE_URL": self.url,
            "API_AUTH__JWT_SECRET": secrets.token_hex(16),
            "CORE__FERNET_KEY": "",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "SCHEDULER__USE_JOB_SCHEDULE": "False",
            "WORKERS__EXECUTION_API_TIMEOUT": "30",
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",  # how late a worker may notice that a task process ended
            "DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        named = {f"AIRFLOW__{name}": value for name, value in section.items()}
        home = {
            "AIRFLOW_HOME": str(self.home),
            "PATH": path,
            "PYTHONPATH": os.pathsep.join([str(self.dags), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        return {**kept, **named, **home, "NO_PROXY": "localhost", "no_proxy": "localhost", **settings}

    # --- life ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the database, start the components, wait until all of them are up and every file is parsed."""
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        if self._preload:
            (self.home / "config").mkdir(exist_ok=True)
            code = PRELOADING.format(modules=self._preload)
            (self.home / "config" / "airflow_local_settings.py").write_text(code)
        self._say("making Airflow's database")
        self.make_database()
        self.start_again(*COMPONENTS)
        self._say("waiting until they are up")
        self.wait_for(self._healthy, timeout=120)
        self._api.get(
            "/execution/health", timeout=120
        )  # what tasks ask is built when it is first asked: seconds
        token = self._api.get("/auth/token").json()["access_token"]
        self._api.headers["Authorization"] = f"Bearer {token}"
        self._say("waiting until the DAG files are parsed")
        files = sum("dag" in path.read_text().lower() for path in self.dags.rglob("*.py"))
        self.wait_for(lambda: self._parsed_files() >= files, timeout=120)

    def make_database(self) -> None:
        """Make Airflow's database, unless there is one."""
        if not (self.home / "airflow.db").exists():
            make_database(self.home / "airflow.db")

    def start_again(self, *names: str) -> None:
        """Start components, and wait for nothing."""
        for name in names:
            self._say(f"starting {name}")
            log = (self.home / "logs" / f"{name}.log").open("ab")
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", name],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            log.close()

    def kill(self, *names: str) -> None:
        """Kill components with all their children, at once."""
        kill_families(self._processes[name].pid for name in names)
        for name in names:
            self._processes[name].wait(timeout=10)

    def stop(self) -> None:
        """Kill everything that this runtime started: no component has anything to finish, and some take their time."""
        self._api.close()
        if self._processes:
            self._say("stopping Airflow")
        self.kill(*self._processes)
        self._processes.clear()

    def airflow(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run an ``airflow`` command."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"airflow {' '.join(arguments)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def _healthy(self) -> bool:
        for name, process in self._processes.items():
            if process.poll() is not None:
                text = (self.home / "logs" / f"{name}.log").read_text(errors="replace")
                raise AssertionError(f"{name} ended with {process.returncode}: {text[-3000:]}")
        try:
            answer = self._api.get("/api/v2/monitor/health")
        except httpx.HTTPError:
            return False
        health = answer.json() if answer.status_code == 200 else {}
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def _parsed_files(self) -> int:
        ((good, bad),) = self.rows(
            "SELECT (SELECT count(DISTINCT fileloc) FROM dag), (SELECT count(*) FROM import_error)"
        )
        return int(good + bad)

    def wait_for(self, condition: Callable[[], Any], *, timeout: float, poll: float = 0.2) -> Any:
        """Return what the condition gives once it is true."""
        deadline = time.monotonic() + timeout
        while True:
            if found := condition():
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout} s")
            time.sleep(poll)

    # --- questions and orders ------------------------------------------------------------------------------

    def _get(self, path: str, **parameters: Any) -> Any:
        answer = self._api.get(f"/api/v2{path}", params=parameters)
        answer.raise_for_status()
        return answer.json()

    def _order(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """
        Have something done, and done again where Airflow could not.

        Its API notes who asks before it does anything, in its event loop. Where a task's request has just written to
        the same SQLite file, and needs that loop for its COMMIT, the note waits for it 5 s, in vain.
        """
        for attempt in Retrying(stop=stop_after_attempt(5), reraise=True):
            with attempt:
                answer = self._api.request(method, f"/api/v2{path}", json=body)
                assert answer.status_code != 500, f"{method} {path}: {answer.text}"
        answer.raise_for_status()
        return answer

    def trigger(self, dag_id: str, *, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run and return its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        return str(self._order("POST", f"/dags/{dag_id}/dagRuns", body).json()["dag_run_id"])

    def pause(self, dag_id: str) -> None:
        """Let a DAG start nothing more by itself."""
        self._order("PATCH", f"/dags/{dag_id}", {"is_paused": True})

    def unpause(self, dag_id: str, *, runs: bool = True) -> str:
        """Let a DAG run as it is scheduled; return its first run, if that comes at once."""
        self._order("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        return self.nth_run(dag_id, 1) if runs else ""

    def nth_run(self, dag_id: str, number: int, *, timeout: float = 60) -> str:
        """Wait until a DAG has had so many runs, and return the id of the last of them."""
        query = "SELECT run_id FROM dag_run WHERE dag_id = ? ORDER BY id LIMIT 1 OFFSET ?"
        ((run_id,),) = self.wait_for(lambda: self.rows(query, dag_id, number - 1), timeout=timeout)
        return str(run_id)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        ((state,),) = self.rows("SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?", dag_id, run_id)
        return str(state)

    def wait_run(self, dag_id: str, run_id: str, *, timeout: float = 120) -> str:
        """Wait for the end of a run and return its state."""
        try:
            self.wait_for(lambda: self.run_state(dag_id, run_id) in FINAL, timeout=timeout)
        except TimeoutError as err:
            raise TimeoutError(f"{run_id} of {dag_id}: {err}; {self.failures(dag_id, run_id)}") from None
        return self.run_state(dag_id, run_id)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask Airflow's own database: waiting costs its API little then, and tests and tasks need that."""
        with closing(sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()

    def states(self, dag_id: str, run_id: str) -> dict[str, list[str | None]]:
        """Return the states of a run's tasks, by map index."""
        query = """SELECT task_id, state FROM task_instance
            WHERE dag_id = ? AND run_id = ? ORDER BY task_id, map_index"""
        found: dict[str, list[str | None]] = {}
        for task_id, state in self.rows(query, dag_id, run_id):
            found.setdefault(task_id, []).append(state)
        return found

    def task_instances(self, dag_id: str, run_id: str) -> dict[str, list[dict[str, Any]]]:
        """Return the task instances of a run by task id."""
        found: dict[str, list[dict[str, Any]]] = {}
        for item in self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=1000)["task_instances"]:
            found.setdefault(item["task_id"], []).append(item)
        return found

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """Return an XCom as Airflow shows it."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._get(path, map_index=map_index, stringify=False)["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """Return the text of a task's log."""
        lines = self._log_lines(dag_id, run_id, task_id, try_number, map_index)
        return "\n".join(_text(line) for line in lines)

    def error(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return the error that ended a task's first try: its type, unless it is Airflow's, and its sentence."""
        lines = self._log_lines(dag_id, run_id, task_id, 1, -1)
        (last,) = [
            line["error_detail"] for line in lines if isinstance(line, dict) and line.get("error_detail")
        ]
        name, said = last[0]["exc_type"], str(last[0]["exc_value"])
        return said if name == "AirflowFailException" else f"{name}: {said}"

    def _log_lines(
        self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int
    ) -> list[Any]:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        answer = self._api.get(
            path,
            params={"full_content": True, "map_index": map_index},
            headers={"Accept": "application/x-ndjson"},
        )
        answer.raise_for_status()
        return [json.loads(line) for line in answer.text.splitlines() if line.strip()]

    def failures(self, dag_id: str, run_id: str) -> str:
        """Return the ends of the logs of failed tasks, for the message of an assertion."""
        texts = []
        for task_id, items in self.task_instances(dag_id, run_id).items():
            for item in items:
                texts.append(f"{task_id}[{item['map_index']}]: {item['state']}")
                if item["state"] == "failed":
                    number, index = item["try_number"], item["map_index"]
                    texts.append(
                        self.log(dag_id, run_id, task_id, try_number=number, map_index=index)[-4000:]
                    )
        return "\n".join(texts)

    def clear(self, dag_id: str, run_id: str, task_ids: Sequence[str]) -> None:
        """Clear tasks of a run, so that they run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self._order("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def request(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any] | None:
        """Return what a task asks a person; None while it asks nothing."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        answer = self._api.get(path)
        return dict(answer.json()) if answer.status_code == 200 else None

    def is_reported(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """
        Return whether the scheduler has heard that the process of a task has ended.

        A task that goes on before that is taken for one that was killed: Airflow tries it again, if it has retries.
        """
        key = f"TaskInstanceKey(dag_id='{dag_id}', task_id='{task_id}', run_id='{run_id}'"
        log = (self.home / "logs" / "scheduler.log").read_text(errors="replace")
        return f"Received executor event with state success for task instance {key}" in log

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, **form: Any) -> None:
        """Answer what a task asks, as a person does in Airflow's UI."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self._order("PATCH", path, {"chosen_options": [option], "params_input": form})

    def dag_ids(self) -> list[str]:
        """Return the ids of all DAGs."""
        return sorted(dag["dag_id"] for dag in self._get("/dags", limit=1000)["dags"])

    def dag_versions(self, dag_id: str) -> int:
        """Return how many versions Airflow keeps of a DAG."""
        return int(self._get(f"/dags/{dag_id}/dagVersions", limit=100)["total_entries"])

    def import_errors(self) -> list[str]:
        """Return the errors of DAG files that can't be imported."""
        return [item["stack_trace"] for item in self._get("/importErrors")["import_errors"]]

    def reparse(self, *dag_ids: str) -> None:
        """Have the files of some DAGs, or of all, parsed once more, and wait for it."""

        def parsed() -> dict[str, str]:
            found = dict(self.rows("SELECT dag_id, last_parsed_time FROM dag"))
            return {dag_id: found[dag_id] for dag_id in dag_ids or found}

        before = parsed()
        dags = self._get("/dags", limit=1000)["dags"]
        for token in {dag["file_token"] for dag in dags if dag["dag_id"] in before}:
            self._order("PUT", f"/parseDagFile/{token}")

        def parsed_again() -> bool:
            now = parsed()
            return all(now[dag_id] != time for dag_id, time in before.items())

        self.wait_for(parsed_again, timeout=120)

    @contextmanager
    def held_between_transactions(self, send: Callable[[int], None]) -> Iterator[None]:
        """
        Hold processes inside the block, none of them in the middle of a transaction: that would lock everybody out.

        :param send: sends them a signal.
        """

        def stopped() -> bool:
            send(signal.SIGSTOP)
            with closing(sqlite3.connect(self.home / "airflow.db", timeout=0.5)) as database:
                try:
                    database.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    send(signal.SIGCONT)
                    return False
            return True

        try:
            self.wait_for(stopped, timeout=30)
            yield
        finally:
            send(signal.SIGCONT)

    @contextmanager
    def queued(self, dag_id: str, task_id: str, *, after: str) -> Iterator[str]:
        """
        Trigger a run; inside the block ``task_id`` is queued, and starts when the block ends.

        :param after: the task before it, whose end would queue it.
        :return: the id of the run.
        """
        run_id = self.trigger(dag_id)

        def state(name: str) -> str | None:
            return next(iter(self.states(dag_id, run_id).get(name, [])), None)

        scheduler = psutil.Process(self._processes["scheduler"].pid)
        self.wait_for(lambda: state(after) == "running", timeout=60, poll=0.02)  # it does not run for long
        with ExitStack() as stopped:
            with self.held_between_transactions(lambda number: send(scheduler, number)):
                self.wait_for(lambda: state(after) == "success", timeout=60)
                family = scheduler.children(recursive=True)
                workers = [item for item in family if "LocalExecutor" in title(item)]
                assert workers, "the executor has no worker process"
                assert state(task_id) is None, f"{task_id} was queued before the workers could be held"
                stopped.enter_context(held(workers))
            self.wait_for(lambda: state(task_id) == "queued", timeout=60)
            yield run_id


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _text(line: Any) -> str:
    if not isinstance(line, dict):
        return str(line)
    details = line.get("error_detail") or []
    errors = [
        f"{item.get('exc_type')}: {item.get('exc_value')}" for item in details if isinstance(item, dict)
    ]
    return " ".join([str(line.get("event", "")), *errors])
