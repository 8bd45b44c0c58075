"""The program ``diptych``. Commands import heavy libraries only when they run."""

import click

from diptych.cli.compile import compile_command
from diptych.cli.embed import compare_command, embed_command
from diptych.cli.gallery import enroll_command, identify_command
from diptych.cli.init import init_command
from diptych.cli.rollback import rollback_command
from diptych.cli.run import run_command, tune_command
from diptych.cli.runs import compare_runs_command, report_command, runs_command
from diptych.cli.schema import schema_command
from diptych.cli.sections import SectionedGroup
from diptych.cli.serve import serve_command
from diptych.cli.streams import prepare_standard_streams
from diptych.cli.submit import submit_command
from diptych.cli.warning_filters import show_warnings_as_warnings
from diptych.components.common.import_path import safe_import_path
from diptych.components.common.local_connections import bypass_proxy_locally


@click.group(cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="diptych")
@click.pass_context
def main(context: click.Context) -> None:
    """From raw labelled data to a Siamese model in production."""
    prepare_standard_streams()
    show_warnings_as_warnings()
    bypass_proxy_locally()
    context.with_resource(safe_import_path())


main.add_section("Configuration", init_command, schema_command)
main.add_section("Pipeline", run_command, tune_command, compile_command, submit_command)
main.add_section("Runs", runs_command, compare_runs_command, report_command, rollback_command)
main.add_section(
    *("Model", compare_command, embed_command, enroll_command, identify_command, serve_command)
)
