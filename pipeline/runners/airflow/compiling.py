"""Compiler for Airflow 3: a DAG file with one task per step, each a ``diptych run``."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from diptych.pipeline.runners.airflow.pods import build_pod_resources, parse_pod_volumes
from diptych.pipeline.runners.compile_request import CompileRequest
from diptych.pipeline.workspace import serving_folder
from diptych.schemas.input_spec import InputSpec

_DOC = """\
Trains, evaluates and pushes a model, as configured in `{file}`, in the pipeline root `{root}`.

A task runs one step, or does nothing if the step is already complete tonight. The last task is
*skipped* if the model was trained but not blessed, and therefore not pushed. A task fails with exit
code 1 (see its log for the error), or with 4 while another run uses the same root.
"""


def compile_dag(request: CompileRequest) -> str:
    """Compile the pipeline to the text of a DAG file.

    Raises:
      ConfigError: If the configuration, the volumes or the resources are invalid.
    """
    from diptych.pipeline.graph import build_pipeline

    config, root = request.config, _resolve_dag_root(request)
    # The steps do not depend on the columns of an example, so the data need not be accessible here.
    inputs = InputSpec(kind="vector")
    pipeline = build_pipeline(config, inputs, root, serving_folder(config, root))
    return render_dag(request, [node.id for node in pipeline.components])


def render_dag(request: CompileRequest, steps: Sequence[str]) -> str:
    """Render a DAG file with a task for each step, in the given order.

    All external values are rendered with ``repr``, so none of them is executed as code. None is in
    a comment: Python reads the encoding of a file from the comments in its first two lines.

    Raises:
      ConfigError: If the volumes or the resources are invalid.
    """
    config, file, root = request.config, request.file.absolute(), _resolve_dag_root(request)
    set_options = _repeat_option("--set", request.settings)
    run = ["run", str(file), "--root", str(root), *set_options, "--nightly"]
    compile_command = ["diptych", "compile", str(file), "--root", str(root), "--runner", "airflow"]
    compile_command += set_options
    context: dict[str, Any]
    if request.image is None:
        diptych = Path(sys.executable).with_name("diptych")
        template = "bash.py.j2"
        context = {"run": [str(diptych), *run], "folder": str(Path.cwd())}
    else:
        compile_command += ["--image", request.image]
        compile_command += _repeat_option("--volume", request.volumes)
        template = "pod.py.j2"
        context = {
            "run": run,
            "image": request.image,
            "volumes": parse_pod_volumes(request.volumes, [root, serving_folder(config, root)]),
            "resources": build_pod_resources(config.nightly, steps),
        }
    return _load_template(template).render(
        compile_command=shlex.join([*compile_command, "--out", "FILE"]),
        name=config.name,
        nightly=config.nightly,
        steps=steps,
        doc=_DOC.format(file=file, root=root),
        **context,
    )


def _resolve_dag_root(request: CompileRequest) -> Path:
    """Return the pipeline root: by default that of ``diptych run``, or ``/diptych`` in an image."""
    default = "/diptych" if request.image else f"diptych-{request.config.name}"
    return (request.root or Path(default)).absolute()


def _repeat_option(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _load_template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["repr"] = repr
    return environment.get_template(name)
