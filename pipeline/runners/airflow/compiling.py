"""From a configuration to a DAG file for Airflow 3: a task a step, all ``diptych run``."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from diptych.pipeline.runners.airflow.pods import amounts_by_step, mounted
from diptych.pipeline.runners.compile_request import CompileRequest
from diptych.pipeline.workspace import serving_folder
from diptych.schemas.input_spec import Inputs

_DOC = """\
Trains, judges and pushes a model, as `{file}` says, in `{root}`.

A task runs its step, and nothing where the step is finished tonight. The last one is *skipped* if
the model was trained and not pushed, because it is not better. It fails with exit code 1 for a
cause that its log names, and with 4 while another run works in the same root.
"""


def compiled(request: CompileRequest) -> str:
    """The text of the DAG file.

    Raises:
      ConfigError: the configuration, the volumes or the resources do not fit.
    """
    from diptych.pipeline.graph import build_pipeline

    config, root = request.config, _root(request)
    # Which steps there are does not depend on what an example holds, so no data need be here.
    inputs = Inputs(kind="vector")
    pipeline = build_pipeline(config, inputs, root, serving_folder(config, root))
    return dag_file(request, [node.id for node in pipeline.components])


def dag_file(request: CompileRequest, steps: Sequence[str]) -> str:
    """The text of a DAG file with a task for each step, in that order.

    What comes from outside stands there as ``repr`` writes it, so none of it is read as code.

    Raises:
      ConfigError: the volumes or the resources do not fit.
    """
    config, file, root = request.config, request.file.absolute(), _root(request)
    run = ["run", str(file), "--root", str(root), *_each("--set", request.settings), "--nightly"]
    compile_ = ["diptych", "compile", str(file), "--root", str(root), "--runner", "airflow"]
    compile_ += _each("--set", request.settings)
    place: dict[str, Any]
    if request.image is None:
        diptych = Path(sys.executable).with_name("diptych")
        template, place = "bash.py.j2", {"run": [str(diptych), *run], "folder": str(Path.cwd())}
    else:
        compile_ += ["--image", request.image, *_each("--volume", request.volumes)]
        template = "pod.py.j2"
        place = {
            "run": run,
            "image": request.image,
            "volumes": mounted(request.volumes, [root, serving_folder(config, root)]),
            "resources": amounts_by_step(config.nightly, steps),
        }
    return _template(template).render(
        # In a comment: one line, whatever is in it.
        written_by="".join(
            letter if letter.isprintable() else " " for letter in shlex.join(compile_)
        ),
        name=config.name,
        nightly=config.nightly,
        steps=steps,
        doc=_DOC.format(file=file, root=root),
        **place,
    )


def _root(request: CompileRequest) -> Path:
    """That of ``diptych run``; in an image, where its volume is mounted."""
    default = "/diptych" if request.image else f"diptych-{request.config.name}"
    return (request.root or Path(default)).absolute()


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _template(name: str) -> jinja2.Template:
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
