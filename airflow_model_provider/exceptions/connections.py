"""Where the registry is, and whether it answers."""

from __future__ import annotations

from airflow_model_provider.exceptions.base import ModelRegistryError

#: The command that advice to upgrade names; the error adds which registry it is for.
UPGRADE = "airflow model-registry db upgrade"
#: Likewise, to see which tables there are.
CHECK = "airflow model-registry db check"
_URL = (
    "Check the URL (it is an argument, in AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT, or [model_registry] url) and that the "
    "database is running."
)


class InvalidConfiguration(ModelRegistryError, ValueError):
    """A setting cannot be used. A retry cannot help; correct the setting."""

    def __init__(self, setting: str, problem: str, advice: str = "") -> None:
        super().__init__(setting, problem, advice)
        self.setting, self.problem, self.advice = setting, problem, advice

    def __str__(self) -> str:
        return f"{self.setting}: {self.problem}." + (f" {self.advice}" if self.advice else "")


class RegistryUnavailable(ModelRegistryError, ConnectionError):
    """The registry's database does not answer; what it was asked for is not done. A retry can help."""

    transient = True

    def __init__(self, url: str, reason: str, advice: str = "") -> None:
        super().__init__(url, reason, advice)
        self.url, self.reason, self.advice = url, reason, advice

    def __str__(self) -> str:
        advice = (self.advice or _URL).replace(CHECK, self.command("db", "check"))
        return (
            f"The model registry at {self.url} cannot be used: {self.reason}. Nothing was changed. {advice}"
        )


class OutcomeUnknown(RegistryUnavailable):
    """
    The answer to a change was lost, and the database could not be asked since: it is done as a whole, or not at all.

    A retry can help, once somebody has looked which of the two it is.
    """

    def __str__(self) -> str:
        return (
            f"The connection to the model registry at {self.url} was lost during a commit: {self.reason}. The change "
            f"may or may not have been applied, but never in part. Check before you retry: "
            f"{self.command('history', 'MODEL')}."
        )


class StoreUnavailable(ModelRegistryError, OSError):
    """The artifact store cannot be read or written. A retry can help."""

    transient = True

    def __init__(self, uri: str, operation: str, reason: str) -> None:
        super().__init__(uri, operation, reason)
        self.uri, self.operation, self.reason = uri, operation, reason

    def __str__(self) -> str:
        written = self.operation.startswith("write")
        advice = "free space, permissions and" if written else "permissions and"
        done = " Nothing was registered." if written else ""
        return (
            f"The artifact store could not {self.operation} {self.uri}: {self.reason}. "
            f"Check {advice} [model_registry] store.{done}"
        )


class SchemaMismatch(ModelRegistryError, RuntimeError):
    """The database's schema and this release do not fit. A retry cannot help."""

    def __init__(self, url: str, found: str | None, expected: str, advice: str) -> None:
        super().__init__(url, found, expected, advice)
        self.url, self.found, self.expected, self.advice = url, found, expected, advice

    def __str__(self) -> str:
        advice = self.advice.replace(UPGRADE, self.command("db", "upgrade"))
        return (
            f"The model registry at {self.url} has schema {self.found!r}; this release needs {self.expected!r}. "
            f"{advice}"
        )


class WrongRegistry(ModelRegistryError, RuntimeError):
    """A reference was made in another registry. A retry cannot help."""

    def __init__(
        self, reference: str, expected: str, found: str, conn_id: str | None = None, advice: str = ""
    ) -> None:
        super().__init__(reference, expected, found, conn_id, advice)
        self.reference, self.expected, self.found, self.conn_id = reference, expected, found, conn_id
        self.advice = advice

    def __str__(self) -> str:
        workers = "Give all workers the same registry (AIRFLOW_CONN_MODEL_REGISTRY_DEFAULT)."
        if self.conn_id is not None:
            workers = f"It was saved through the connection {self.conn_id!r}: name that here, and on all workers alike."
        return (
            f"{self.reference} belongs to registry {self.expected}, and this task is connected to {self.found}. "
            f"{self.advice or workers}"
        )
