"""The ``p2d`` command: one module per subcommand, imported only when it is called.

Errors of P2D's tree become one message that names the field and the way out, and the exit code of their
family.
"""

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Final, NoReturn

import click

from p2d.model.errors import P2DError

_READER_GONE: Final = 141  # as a shell tells of SIGPIPE
_COMMANDS: Final = {
    "demo": "Start everything on this machine with a synthetic hospital.",
    "serve": "Start one process: gateway, warehouse or identity.",
    "check": "Validate settings and ask every peer whether it answers.",
    "probe": "Find out what an archive really does, and keep it as its profile.",
    "plan": "Predict what a bulk run costs, for each approach.",
    "extract": "Bulk: headers of many patients from the archive into the warehouse.",
    "sync": "Extract what is new or changed in the archives, mark what is gone.",
    "worker": "Work open bulk runs in several processes, on one machine or several.",
    "runs": "List bulk runs, print their reports, pause, resume, cancel, retry them.",
    "ledger": "Account for every image of a run; what does not fit together; a signed summary.",
    "load": "Load pseudonymised clinical data into the warehouse.",
    "warehouse": "Look after the warehouse: check, promote, erase, arrange, export, rebuild, tables.",
    "cohort": "Query the warehouse: count, preview, table.",
    "query": "Ad hoc: metadata of a list of pseudonyms as CSV or JSON.",
    "images": "Ad hoc: images of a list of pseudonyms as DICOM or JPEG.",
    "review": "Look at images that are held, approve or reject them, fetch what was approved.",
    "explain": "Say what de-identification does to every attribute, or to a file, and why.",
    "identity": "Key file, import of pseudonyms, pseudonymisation of clinical data.",
    "deid": "De-identify a folder of DICOM files, or search one for patients' values.",
    "archive": "See what is asked of the archives, stop them, let them go on.",
    "audit": "Verify and read audit records.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"p2d.cli.{cmd_name}")
        command = getattr(module, cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except P2DError as error:
            fail(error)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:  # whoever read our output has enough, as in `p2d ledger lines RUN | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_READER_GONE)
        except Exception as error:  # noqa: BLE001 - the command's top: a traceback shows values
            fault(error)


def fail(error: P2DError) -> NoReturn:
    """Print *error* with its way out and leave with the exit code of its family."""
    click.echo(f"{error.title}: {error.field}: {error.problem}", err=True)
    if error.remedy:
        click.echo(f"Way out: {error.remedy}", err=True)
    sys.exit(error.exit_code)


def fault(error: Exception) -> NoReturn:
    """Print where P2D itself failed, by type and place without the exception's text, and leave with 1."""
    places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
    click.echo(f"Fault in P2D: {type(error).__name__} at {' > '.join(places[-6:])}", err=True)
    click.echo("Way out: report this line to the maintainers; it holds no data", err=True)
    sys.exit(P2DError.exit_code)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="p2d")
def cli() -> None:
    """P2D joins a picture archive (PACS) and a pseudonymised clinical data warehouse.

    Start with `p2d demo`: a synthetic hospital, everything on this machine.

    Exit codes: 0 complete, 2 invalid input, 3 misconfigured, 4 refused or not found, 5 a peer is
    unavailable, 6 a peer broke its protocol, 7 the work ended incomplete.
    """
