"""The arguments of ``airflow model-registry``; the commands themselves are imported when they run."""

from __future__ import annotations

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_YES,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
)

from airflow_model_provider.stage_uri import DEFAULT_CONN_ID

#: For commands whose result is a sentence, unless another form is asked for.
ARG_RESULT = Arg(
    ARG_OUTPUT.flags,
    help="Output format. Allowed values: json, yaml, plain, table (default: a sentence)",
    metavar="(table, json, yaml, plain)",
    choices=("table", "json", "yaml", "plain"),
)
ARG_CONN_ID = Arg(
    ("--conn-id",), help=f"Connection of the registry (default: {DEFAULT_CONN_ID}, then the configuration)"
)
ARG_MODEL = Arg(("model",), help="Name of the model")
ARG_VERSION = Arg(("version",), help="Which version: a number, a name, latest, or a stage")
ARG_STAGE = Arg(("stage",), help="Stage to move it into; 'archived' takes it out of all its stages")
ARG_STAGE_BACK = Arg(("stage",), help="Stage to give back")
ARG_FORCE = Arg(("--force",), help="Replace the version that holds the stage", action="store_true")
ARG_EXPECTED = Arg(
    ("--expected",),
    help="Replace exactly this holder: its number, or none for a free stage",
    metavar="NUMBER",
)
ARG_REASON = Arg(("--reason",), help="Why; kept in the stage's history")
ARG_INCOMPLETE = Arg(
    ("--allow-incomplete",), help="Promote a version that is still being produced", action="store_true"
)
ARG_REVISION = Arg(
    ("--to-revision",),
    help="Revision to go back to; base removes the whole registry: its tables and all they hold",
    required=True,
)


def _command(name: str, where: str, help: str, *args: Arg) -> ActionCommand:
    function = lazy_load_command(f"airflow_model_provider.cli.{where}")
    return ActionCommand(name=name, help=help, func=function, args=(*args, ARG_CONN_ID))


DB_COMMANDS = (
    _command(
        "upgrade",
        "db.upgrade",
        "Bring the registry's schema to this release; makes it in an empty database",
        ARG_RESULT,
    ),
    _command(
        "check",
        "db.check",
        "Say whether the registry's schema fits this release; exits with 1 if not",
        ARG_RESULT,
    ),
    _command(
        "downgrade",
        "db.downgrade",
        "Take the registry's schema back to an older release",
        ARG_REVISION,
        ARG_YES,
        ARG_RESULT,
    ),
)


ARG_TO_NUMBER = Arg(
    ("--to",),
    help="The earlier holder that gets it back (default: the one before)",
    type=int,
    metavar="NUMBER",
)
ARG_LIMIT = Arg(("--limit",), help="How many at most (default: 100)", type=int, default=100)
ARG_STAGE_OR_ALL = Arg(("stage",), help="Only this stage", nargs="?")
ARG_VERSIONS = Arg(("versions",), help="Versions: numbers, names, latest, or stages", nargs="+")
ARG_AS_OF = Arg(
    ("--as-of",), help="What the stage meant at this time: 2026-03-01T12:00+00:00", metavar="TIME"
)
ARG_DRY_RUN = Arg(("--dry-run",), help="Only say what would be removed", action="store_true")
ARG_OF_DAG = Arg(("--dag-id",), help="Only pins of this Dag's runs")
ARG_PINS_OF_MODEL = Arg(("--model",), help="Only pins of this model", dest="of_model")
ARG_SILENT_FOR = Arg(
    ("--silent-for",),
    help="Hours for which no task of the run has used the registry, at least (default: 24)",
    type=float,
    default=24.0,
    metavar="HOURS",
)
ARG_OLDER_THAN = Arg(
    ("--older-than",),
    help="Hours it has lain untouched, at least (default: 24)",
    type=float,
    default=24.0,
    metavar="HOURS",
)
ARG_OF_MODEL = Arg(("--model",), help="Artifacts of this model only")
ARG_OF_VERSION = Arg(
    ("--version",), help="Artifacts of this version only: a number, a name, latest, or a stage"
)
ARG_ALL = Arg(("--all",), help="All artifacts of the registry", action="store_true")
ARG_SIGN_ONLY = Arg(
    ("--dry-run",), help="Show the artifacts that would be signed, and sign none", action="store_true"
)
ARG_FILE = Arg(("file",), help="The file: joblib, pickle, skops, npy, or any other")
ARG_ARTIFACT = Arg(("--artifact",), help="Name of its artifact (default: model)")
ARG_ARTIFACT_NAME = Arg(("artifact",), help="Name of the artifact")
ARG_NAME = Arg(("--name",), help="Name of the new version")
ARG_FORMAT = Arg(
    ("--format",),
    help="How it is loaded (default: as its name says)",
    choices=("joblib", "pickle", "skops", "npy", "file"),
)
ARG_KIND = Arg(("--kind",), help="Artifact type", choices=("model", "data", "deployment"))
ARG_METADATA = Arg(
    ("--metadata",),
    help="Metadata of the version, such as accuracy=0.97; can be repeated",
    action="append",
    metavar="KEY=VALUE",
)
ARG_CHECK = Arg(
    ("--check",), help="Load it, too; this executes what a pickle or joblib file holds", action="store_true"
)
ARG_MAP_INDEX = Arg(
    ("--map-index",), help="Map index of the element, if a mapped step made it", type=int, metavar="NUMBER"
)
ARG_TO_FILE = Arg(
    ("--to",),
    help="File to write, or - for stdout (default: the artifact's name; of an element NAME-MAP_INDEX)",
    metavar="FILE",
)
ARG_PURGE = Arg(("--purge",), help="Delete it even if it has been in a stage", action="store_true")
ARG_FORCE_DELETE = Arg(("--force",), help="Delete it even if it is still being produced", action="store_true")
ARG_PAIRS = Arg(("metadata",), help="Metadata such as accuracy=0.97", nargs="+", metavar="KEY=VALUE")
ARG_OVERWRITE = Arg(("--force",), help="Replace an existing file", action="store_true")
ARG_EXPORT = Arg(("file",), help="The file to write: a zip file")
ARG_IMPORT = Arg(("file",), help="The file to read: one that export has written")
ARG_SOME_VERSIONS = Arg(
    ("--versions",),
    help="Versions: numbers, names, latest, or stages (default: all, which is every one that is ready)",
    nargs="+",
    metavar="VERSION",
)
ARG_AS_MODEL = Arg(("--model",), help="Name of the model here (default: as it is called there)")
ARG_CHECK_ONLY = Arg(("--dry-run",), help="Check the whole file and write nothing", action="store_true")
ARGS_GATES = (
    Arg(
        ("--require",),
        help="Only if this is true of its metadata: 'accuracy>=0.95'; can be repeated",
        action="append",
        metavar="CONDITION",
    ),
    Arg(
        ("--better-than",),
        help="Only if it is better than the version in this stage; replaces it if that is the stage to move into",
        metavar="STAGE",
    ),
    Arg(("--metric",), help="The metadata key by which it is to be better", metavar="KEY"),
    Arg(("--mode",), help="Whether more or less of it is better (default: max)", choices=("max", "min")),
    Arg(("--min-delta",), help="By how much, at least (default: 0)", type=float, metavar="NUMBER"),
    Arg(
        ("--if-vacant",),
        help="What if no version is in that stage (default: pass)",
        choices=("pass", "fail"),
    ),
    Arg(("--artifact",), help="Only if it holds this artifact; can be repeated", action="append"),
    Arg(
        ("--metadata-key",),
        help="Only if this was logged onto it; can be repeated",
        action="append",
        metavar="KEY",
    ),
    Arg(("--max-age",), help="Only if it was made no longer ago: 7d, 12h, 1d12h", metavar="TIME"),
    Arg(("--min-age",), help="Only if it was made at least so long ago", metavar="TIME"),
    Arg(
        ("--check",),
        help="Only if this function, called with the version and the holder, has no objection",
        metavar="PACKAGE.MODULE:FUNCTION",
    ),
)


COMMANDS = (
    _command("models", "reading.models", "List the models", ARG_LIMIT, ARG_OUTPUT),
    _command(
        "versions", "reading.versions", "List the versions of a model", ARG_MODEL, ARG_LIMIT, ARG_OUTPUT
    ),
    _command("show", "reading.show_version", "Show what a version holds", ARG_MODEL, ARG_VERSION, ARG_OUTPUT),
    _command(
        "compare",
        "reading.compare",
        "Show the metadata of versions side by side",
        ARG_MODEL,
        ARG_VERSIONS,
        ARG_OUTPUT,
    ),
    _command(
        "history",
        "reading.history",
        "Show who held a stage, since when, by whom and why",
        ARG_MODEL,
        ARG_STAGE_OR_ALL,
        ARG_LIMIT,
        ARG_OUTPUT,
    ),
    _command(
        "resolve",
        "reading.resolve",
        "Show which version a stage means, now or at a time",
        ARG_MODEL,
        ARG_VERSION,
        ARG_AS_OF,
        ARG_OUTPUT,
    ),
    _command(
        "lineage",
        "reading.lineage",
        "Show what made a version's artifacts, and which tasks used it",
        ARG_MODEL,
        ARG_VERSION,
        ARG_LIMIT,
        ARG_OUTPUT,
    ),
    _command(
        "register",
        "files.register",
        "Make a version of an existing file",
        ARG_MODEL,
        ARG_FILE,
        ARG_ARTIFACT,
        ARG_NAME,
        ARG_FORMAT,
        ARG_KIND,
        ARG_METADATA,
        ARG_CHECK,
        ARG_RESULT,
    ),
    _command(
        "download",
        "files.download",
        "Write an artifact's verified bytes into a file",
        ARG_MODEL,
        ARG_VERSION,
        ARG_ARTIFACT_NAME,
        ARG_MAP_INDEX,
        ARG_TO_FILE,
        ARG_OVERWRITE,
        ARG_RESULT,
    ),
    _command(
        "export",
        "transfer.export_model",
        "Write versions of a model into one file for another registry",
        ARG_MODEL,
        ARG_EXPORT,
        ARG_SOME_VERSIONS,
        ARG_OVERWRITE,
        ARG_RESULT,
    ),
    _command(
        "import",
        "transfer.import_model",
        "Make versions of a file that export has written; harmless to repeat",
        ARG_IMPORT,
        ARG_AS_MODEL,
        ARG_CHECK_ONLY,
        ARG_OUTPUT,
    ),
    _command(
        "promote",
        "promote.promote",
        "Move a version into a stage",
        ARG_MODEL,
        ARG_VERSION,
        ARG_STAGE,
        ARG_FORCE,
        ARG_EXPECTED,
        ARG_REASON,
        ARG_INCOMPLETE,
        *ARGS_GATES,
        ARG_RESULT,
    ),
    _command(
        "rollback",
        "promote.rollback",
        "Give a stage back to an earlier holder",
        ARG_MODEL,
        ARG_STAGE_BACK,
        ARG_TO_NUMBER,
        ARG_EXPECTED,
        ARG_REASON,
        ARG_RESULT,
    ),
    _command(
        "take-over",
        "upkeep.take_over",
        "Let a Dag run go on with what a run of the same id has made and pinned",
        Arg(("dag_id",), help="Id of the Dag"),
        Arg(("run_id",), help="Id of the Dag run"),
        ARG_RESULT,
    ),
    _command(
        "delete",
        "versions.delete",
        "Delete a version; asks first",
        ARG_MODEL,
        ARG_VERSION,
        ARG_PURGE,
        ARG_FORCE_DELETE,
        ARG_YES,
        ARG_RESULT,
    ),
    _command(
        "log-metadata",
        "versions.log_metadata",
        "Log metadata onto a version",
        ARG_MODEL,
        ARG_VERSION,
        ARG_PAIRS,
        ARG_RESULT,
    ),
    _command(
        "verify",
        "upkeep.verify",
        "Hash the stored files once more; exits with 1 if one is damaged",
        ARG_OUTPUT,
    ),
    _command(
        "sign",
        "upkeep.sign",
        "Sign stored artifacts that can execute code, for consumers with signing_keys",
        ARG_OF_MODEL,
        ARG_OF_VERSION,
        ARG_ALL,
        ARG_SIGN_ONLY,
        ARG_YES,
        ARG_OUTPUT,
    ),
    _command(
        "gc",
        "upkeep.gc",
        "Close what runs and programs have left open, remove what is kept for some days only, and files nobody needs",
        ARG_DRY_RUN,
        ARG_OLDER_THAN,
        ARG_YES,
        ARG_RESULT,
    ),
    _command(
        "release-pins",
        "upkeep.release_pins",
        "Release the versions that finished Dag runs have pinned (pin='run')",
        ARG_OF_DAG,
        ARG_PINS_OF_MODEL,
        ARG_SILENT_FOR,
        ARG_DRY_RUN,
        ARG_RESULT,
    ),
)


def get_model_registry_cli_commands() -> list[CLICommand]:
    """Return the commands for Airflow's CLI."""
    database = GroupCommand(name="db", help="The registry's database", subcommands=DB_COMMANDS)
    return [
        GroupCommand(
            name="model-registry",
            help="Models, versions and stages",
            subcommands=(*COMMANDS, database),
        )
    ]
