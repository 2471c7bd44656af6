"""What Airflow asks of a provider; imports nothing but the version."""

from __future__ import annotations

from typing import Any

from airflow_model_provider import __version__

_NAME = "Model registry"


def get_provider_info() -> dict[str, Any]:
    """Return what this package adds to Airflow."""
    return {
        "package-name": "airflow-model-provider",
        "name": _NAME,
        "description": "Models, versions and stages; references that are resolved when the task runs.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "model_registry",
                "hook-class-name": "airflow_model_provider.hooks.model_registry.ModelRegistryHook",
                "hook-name": "Model registry",
                "conn-fields": {
                    "url": _field(
                        "Registry URL",
                        "SQLAlchemy URL of a SQLite file or a PostgreSQL database; or fill in host, port, login, "
                        "password and schema of a PostgreSQL database.",
                    ),
                    "store": _field(
                        "Artifact store", "A folder or an fsspec URL, such as s3://bucket/models."
                    ),
                },
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {"schema": "Database", "host": "Database host"},
                    "placeholders": {
                        "url": "postgresql://registry.example/models",
                        "store": "s3://bucket/models",
                        "extra": '{"storage_options": {"endpoint_url": "https://s3.example"}}',
                    },
                },
            }
        ],
        "hooks": [_modules("hooks.model_registry")],
        "operators": [
            _modules(
                *("operators.approval", "operators.promote", "operators.register", "operators.rollback"),
                *("operators.close_version", "operators.step"),
            )
        ],
        "sensors": [_modules("sensors.model_version")],
        "triggers": [_modules("triggers.model_stage", "triggers.model_version")],
        "task-decorators": [
            {"name": "step", "class-name": "airflow_model_provider.decorators.step.step_task"},
        ],
        "asset-uris": [{"schemes": ["model"], "handler": "airflow_model_provider.assets.normalized"}],
        "config": {"model_registry": {"description": "The model registry.", "options": _OPTIONS}},
        "cli": ["airflow_model_provider.cli.definition.get_model_registry_cli_commands"],
    }


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": _NAME, "python-modules": [f"airflow_model_provider.{name}" for name in names]}


def _field(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "schema": {"type": ["string", "null"]}, "description": description}


def _option(
    description: str,
    *,
    example: str | None = None,
    default: str | None = None,
    type: str = "string",
    sensitive: bool = False,
) -> dict[str, Any]:
    return {
        "description": f"{description}\n",
        "version_added": "0.1.0",
        "type": type,
        "example": example,
        "default": default,
        "sensitive": sensitive,
    }


_OPTIONS: dict[str, dict[str, Any]] = {
    "url": _option(
        "SQLAlchemy URL of the registry: a SQLite file or a PostgreSQL database. Empty means model_registry.db in "
        "AIRFLOW_HOME. The connection model_registry_default beats it.",
        example="postgresql://user:password@host/database",
        sensitive=True,
    ),
    "store": _option(
        "Folder or fsspec URL of the artifacts. Empty means model_artifacts in AIRFLOW_HOME.",
        example="s3://bucket/models",
    ),
    "deployment": _option(
        "Tells this Airflow apart from others that use the same registry.", default="default"
    ),
    "stages": _option(
        "Comma-separated stages besides staging and production.",
        example="champion, shadow",
    ),
    "default_pin": _option(
        "How long a reference without pin= keeps its version: task (each task gets the version that is there when it "
        "runs) or run (all tasks of a Dag run get the same one).",
        default="task",
    ),
    "wait_timeout": _option(
        'Seconds that a task with on_missing="wait" waits for a version before it fails.',
        default="604800",
        type="float",
    ),
    "poll_interval": _option(
        "Seconds between two looks at the registry, for tasks and Dags that wait for a version.",
        default="1",
        type="float",
    ),
    "sklearn_format": _option(
        "How scikit-learn models are saved: pickle, or skops, whose files execute nothing when they are loaded.",
        default="pickle",
    ),
    "skops_trusted_types": _option(
        "Comma-separated types trusted in skops files besides the audited list.",
        example="my_package.MyTransformer",
    ),
    "allow_pickle": _option(
        "Whether formats that can execute code may be written and loaded.", default="True", type="boolean"
    ),
    "signing_keys": _option(
        "Comma-separated keys that sign saved files which can execute code when they are loaded (HMAC-SHA256): the "
        "first one signs, all are accepted. Empty means that nothing is signed.",
        sensitive=True,
    ),
    "require_signature": _option(
        "Whether such files are refused that bear no signature of one of the signing keys, where there are any.",
        default="True",
        type="boolean",
    ),
    "protected_stages": _option(
        "Who may change a stage: Dags, users or roles, as patterns. Roles are known of users who are logged in to "
        "Airflow, not of programs, commands and tasks; no page in Airflow's UI asks for them yet. Stages that are not "
        "named may be changed by everybody.",
        example="production = dag:training_*, user:alice; staging = dag:*",
    ),
    "keep_resolutions": _option(
        "Days after which `airflow model-registry gc` forgets which task got which version; more than a task may take, "
        "because a resumed task looks there for what it got first. Empty means never.",
        example="365",
        type="float",
    ),
    "keep_outputs": _option(
        "Days after which `airflow model-registry gc` removes outputs of steps that no model version holds. Empty "
        "means never; a task that is cleared later needs what its upstream tasks have returned.",
        example="90",
        type="float",
    ),
    "abandoned_after": _option(
        "Days after which `airflow model-registry gc` fails a version that is still being made, and into which no task "
        "has written since: what made it was killed. More than a task may take. Empty means 7.",
        example="2",
        type="float",
    ),
    "cache_dir": _option(
        "Folder of local copies of remote artifacts and of what is on its way to a remote store, private to the user. "
        "Empty means the user's cache folder.",
        example="/var/cache/airflow/models",
    ),
    "cache_size_mb": _option(
        "Megabytes that the local copies are kept under.", default="10240", type="integer"
    ),
}
