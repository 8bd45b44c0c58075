"""The text of the DAG file; what Airflow makes of it, tests/airflow shows."""

import ast
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.pipeline.runners.airflow.compiling import dag_file
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
    """The value of a constant of the module."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


@settings(deadline=None)  # jinja2 reads the template at first
@given(words=st.lists(st.text(st.characters(codec="utf-8")), max_size=3))
def test_whatever_a_setting_holds_stays_one_word_of_the_command(words):
    text = dag_file(dataclasses.replace(REQUEST, settings=tuple(words)), STEPS)
    options = [word for setting in words for word in ("--set", setting)]
    run = ["run", "/c.yaml", "--root", "/root", *options, "--nightly"]
    assert constant(text, "RUN")[1:] == run
    head = text.split('"""')[0]
    assert all(line.startswith("#") or not line for line in head.split("\n"))


def test_the_same_request_gives_the_same_bytes():
    assert dag_file(IN_PODS, STEPS) == dag_file(IN_PODS, STEPS)


def test_the_file_says_how_it_is_written_again():
    assert (
        "\n# diptych compile /c.yaml --root /root --runner airflow --image diptych:1 "
        "--volume raw:/data --volume kept:/root --out FILE\n"
    ) in dag_file(IN_PODS, STEPS)


def test_the_file_imports_nothing_of_ours():
    for request in (REQUEST, IN_PODS):
        tree = ast.parse(dag_file(request, STEPS))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names = {
            n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names
        }
        assert {name.partition(".")[0] for name in modules | names} <= {
            *("airflow", "datetime", "kubernetes", "pendulum", "shlex")
        }


def test_volumes_that_hold_no_result_are_read_only():
    assert constant(dag_file(IN_PODS, STEPS), "READ_ONLY") == ["/data"]
    config = Config(name="toy", data=DATA, push={"path": "/data/serving"})
    pushed_there = dataclasses.replace(IN_PODS, config=config)
    assert constant(dag_file(pushed_there, STEPS), "READ_ONLY") == []


@pytest.mark.parametrize(
    ("volumes", "said"),
    [
        (("data",), "needs CLAIM:/PATH.* got 'data'"),
        (("data:here",), "needs CLAIM:/PATH.* got 'data:here'"),
        (("a:/root", "b:/root"), "/root is given to a and to b"),
        (("a:/data", "b:/roo"), r"The root /root must lie on a volume.*got \['/data', '/roo'\]"),
        ((), "The root /root must lie on a volume"),
    ],
)
def test_volumes_that_do_not_fit_say_what_does(volumes, said):
    with pytest.raises(ConfigError, match=said):
        dag_file(dataclasses.replace(IN_PODS, volumes=volumes), STEPS)


def test_resources_of_a_step_that_is_not_there_name_those_that_are():
    config = Config(name="toy", data=DATA, nightly={"resources": {"Traner": {"cpus": 1}}})
    with pytest.raises(ConfigError, match=r"Traner: .*There are ExampleGen, Trainer, Pusher"):
        dag_file(dataclasses.replace(IN_PODS, config=config), STEPS)
