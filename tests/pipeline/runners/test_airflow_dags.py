"""The text of the DAG file; ``tests/airflow`` loads it with Airflow."""

import ast
import dataclasses
import io
import shlex
import sys
import tokenize
from pathlib import Path

import pytest
from hypothesis import given
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


ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ODD_TEXT = st.sampled_from(
    [
        "coding=raw_unicode_escape",
        "encoding: jpeg",
        "\\u000aimport os",
        "\n# coding: utf-7\n",
        '"""\nimport os\n"""',
        "{{ 1 }} {% raw %} {# #}",
        "'\\",
        "\udcff",
    ]
)
TEXT = ANY_TEXT | st.builds("{}{}{}".format, ANY_TEXT, ODD_TEXT, ANY_TEXT)
NAME = TEXT.map(lambda text: text.replace("/", "-").replace("\0", "")).map(lambda name: f"a{name}")


def shape_and_texts(dag):
    """Return the syntax tree of a DAG file without its texts, and the set of its texts."""
    texts = set()

    class Erase(ast.NodeTransformer):
        def visit_Constant(self, node):
            if isinstance(node.value, str):
                texts.add(node.value)
                return ast.Constant("")
            return node

    # From bytes, as Python reads a file: the encoding is that of the first two lines.
    tree = Erase().visit(ast.parse(dag.encode()))
    return ast.dump(tree), texts


def render(name, setting, image, folder):
    """Render a DAG file with given texts; return it, and the constants that it must contain."""
    file, root = Path("/", f"{name}.yaml"), Path("/root", name)
    request = dataclasses.replace(
        REQUEST if image is None else IN_PODS,
        file=file,
        root=root,
        image=image,
        settings=(setting,),
        volumes=() if image is None else ("kept:/root",),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "cwd", lambda: folder)
        dag = render_dag(request, STEPS)
    diptych = str(Path(sys.executable).with_name("diptych"))
    pods = [] if image is None else ["--image", image, "--volume", "kept:/root"]
    command = ["diptych", "compile", str(file), "--root", str(root), "--runner", "airflow"]
    texts = {
        *(str(file), str(root), setting),
        shlex.join([*command, "--set", setting, *pods, "--out", "FILE"]),
        *([diptych, str(folder)] if image is None else [image]),
    }
    return dag, texts


@given(NAME, TEXT, st.none() | TEXT, NAME)
def test_any_text_in_a_dag_is_that_text_and_nothing_else(name, setting, image, folder):
    dag, expected = render(name, setting, image, Path("/", folder))
    shape, texts = shape_and_texts(dag)
    assert expected <= texts
    assert any(f"as configured in `/{name}.yaml`" in text for text in texts)
    plain, _ = render("a", "b=1", image and "diptych:1", Path("/a"))
    assert shape == shape_and_texts(plain)[0]
    comments = [
        token.string
        for text in (dag, plain)
        for token in tokenize.tokenize(io.BytesIO(text.encode()).readline)
        if token.type == tokenize.COMMENT
    ]
    assert comments[: len(comments) // 2] == comments[len(comments) // 2 :]
    assert comments[0] == "# coding: utf-8"


def test_the_same_request_compiles_to_the_same_bytes():
    assert render_dag(IN_PODS, STEPS) == render_dag(IN_PODS, STEPS)


def test_the_file_has_the_command_that_generates_it():
    assert constant(render_dag(IN_PODS, STEPS), "COMPILE") == (
        "diptych compile /c.yaml --root /root --runner airflow --image diptych:1 "
        "--volume raw:/data --volume kept:/root --out FILE"
    )


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
