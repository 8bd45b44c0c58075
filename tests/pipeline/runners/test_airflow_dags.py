"""The text of the DAG file; ``tests/airflow`` loads it with Airflow."""

import ast
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.pipeline.runners.airflow.compiling import render_dag
from diptych.pipeline.runners.compile_request import CompileRequest
from diptych.schemas.config.config import Config
from diptych.schemas.errors import ConfigError

STEPS = ("ExampleGen", "Trainer", "Pusher")
DATA = {"kind": "table", "path": "/data", "label": "y"}
REQUEST = CompileRequest(
    file=Path("/c.yaml"),
    settings=(),
    config=Config(name="toy", data=DATA),
    root=Path("/root"),
    image=None,
    volumes=(),
)
IN_PODS = dataclasses.replace(REQUEST, image="diptych:1", volumes=("raw:/data", "kept:/root"))


def constant(text, name):
    """Return the value of a constant of the module."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


@settings(deadline=None)  # jinja2 compiles the template on first use
@given(words=st.lists(st.text(st.characters(codec="utf-8")), max_size=3))
def test_any_text_in_a_setting_is_one_argument_of_the_command(words):
    text = render_dag(dataclasses.replace(REQUEST, settings=tuple(words)), STEPS)
    options = [word for setting in words for word in ("--set", setting)]
    run = ["run", "/c.yaml", "--root", "/root", *options, "--nightly"]
    assert constant(text, "RUN")[1:] == run
    head = text.split('"""')[0]
    assert all(line.startswith("#") or not line for line in head.split("\n"))


def test_the_same_request_compiles_to_the_same_bytes():
    assert render_dag(IN_PODS, STEPS) == render_dag(IN_PODS, STEPS)


def test_the_file_has_the_command_that_generates_it():
    assert (
        "\n# diptych compile /c.yaml --root /root --runner airflow --image diptych:1 "
        "--volume raw:/data --volume kept:/root --out FILE\n"
    ) in render_dag(IN_PODS, STEPS)


def test_the_file_does_not_import_diptych():
    for request in (REQUEST, IN_PODS):
        tree = ast.parse(render_dag(request, STEPS))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names = {
            n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names
        }
        assert {name.partition(".")[0] for name in modules | names} <= {
            *("airflow", "datetime", "kubernetes", "pendulum", "shlex")
        }


def test_volumes_without_results_are_read_only():
    assert constant(render_dag(IN_PODS, STEPS), "READ_ONLY") == ["/data"]
    config = Config(name="toy", data=DATA, push={"path": "/data/serving"})
    pushed_there = dataclasses.replace(IN_PODS, config=config)
    assert constant(render_dag(pushed_there, STEPS), "READ_ONLY") == []


@pytest.mark.parametrize(
    ("volumes", "message"),
    [
        (("data",), "expects CLAIM:/PATH.* got 'data'"),
        (("data:here",), "expects CLAIM:/PATH.* got 'data:here'"),
        (("a:/root", "b:/root"), "mount path /root: a and b"),
        (("a:/data", "b:/roo"), r"The root /root must be on a volume.*got \['/data', '/roo'\]"),
        ((), "The root /root must be on a volume"),
    ],
)
def test_invalid_volumes_are_errors(volumes, message):
    with pytest.raises(ConfigError, match=message):
        render_dag(dataclasses.replace(IN_PODS, volumes=volumes), STEPS)


def test_resources_of_an_unknown_step_are_an_error_that_lists_the_steps():
    config = Config(name="toy", data=DATA, nightly={"resources": {"Traner": {"cpus": 1}}})
    with pytest.raises(ConfigError, match=r"Traner: .*Its steps: ExampleGen, Trainer, Pusher"):
        render_dag(dataclasses.replace(IN_PODS, config=config), STEPS)
