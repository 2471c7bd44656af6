"""The arguments of ``airflow model-registry``; the commands themselves are imported when they run."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_YES, ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

from airflow_model_provider.addresses import DEFAULT_CONN_ID

ARG_CONN_ID = Arg(
    ("--conn-id",), help=f"Connection of the registry (default: {DEFAULT_CONN_ID}, then the configuration)"
)
ARG_MODEL = Arg(("model",), help="Name of the model")
ARG_VERSION = Arg(("version",), help="Which version: a number, a name, latest, or a stage")
ARG_STAGE = Arg(("stage",), help="Stage to move it into")
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
ARG_REVISION = Arg(("--to-revision",), help="Revision to go back to", required=True)

DB_COMMANDS = (
    ActionCommand(
        name="upgrade",
        help="Bring the registry's schema to this release; makes it in an empty database",
        func=lazy_load_command("airflow_model_provider.cli.db.upgrade"),
        args=(ARG_CONN_ID,),
    ),
    ActionCommand(
        name="check",
        help="Say whether the registry's schema fits this release; exits with 1 if not",
        func=lazy_load_command("airflow_model_provider.cli.db.check"),
        args=(ARG_CONN_ID,),
    ),
    ActionCommand(
        name="downgrade",
        help="Take the registry's schema back to an older release",
        func=lazy_load_command("airflow_model_provider.cli.db.downgrade"),
        args=(ARG_REVISION, ARG_YES, ARG_CONN_ID),
    ),
)


def get_model_registry_cli_commands() -> list[CLICommand]:
    """Return the commands for Airflow's CLI."""
    return [
        GroupCommand(
            name="model-registry",
            help="Models, versions and stages",
            subcommands=(
                GroupCommand(name="db", help="The registry's database", subcommands=DB_COMMANDS),
                ActionCommand(
                    name="promote",
                    help="Move a version into a stage",
                    func=lazy_load_command("airflow_model_provider.cli.promote.promote"),
                    args=(
                        ARG_MODEL,
                        ARG_VERSION,
                        ARG_STAGE,
                        ARG_FORCE,
                        ARG_EXPECTED,
                        ARG_REASON,
                        ARG_INCOMPLETE,
                        ARG_CONN_ID,
                    ),
                ),
            ),
        )
    ]
