"""Content of the file that ``diptych compile --runner kubeflow`` writes."""

import json

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from diptych.cli.main import main
from diptych.pipeline.runners.kubeflow.compiling import dump_documents

_RESOURCES = {
    "default": {"cpus": 1, "memory": "2Gi"},
    "Trainer": {"cpus": 2.5, "memory": "8Gi", "gpus": 1},
    "PairGen": {"cpus": 4},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiling")
    nightly = {"resources": _RESOURCES, "retries": 3}
    _write(folder / "images.yaml", data={"kind": "images", "path": "/nowhere"}, nightly=nightly)
    done = _compile(folder / "images.yaml", "--volume=raw-data:/data", "--volume=models:/diptych")
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def documents(folder):
    return list(yaml.safe_load_all((folder / "images.out").read_text()))


@pytest.fixture(scope="module")
def tasks(documents):
    return documents[0]["root"]["dag"]["tasks"]


def _write(path, name="my_digits", **sections):
    path.write_text(yaml.safe_dump({"name": name, **sections}))


def _compile(config, *options, image="registry/diptych:1"):
    arguments = ["compile", str(config), "--runner=kubeflow", f"--out={config.with_suffix('.out')}"]
    named = [f"--image={image}"] if image else []
    return CliRunner().invoke(main, [*arguments, *named, *options], catch_exceptions=False)


def _container(documents, step):
    return documents[0]["deploymentSpec"]["executors"][f"{step}_executor"]["container"]


@given(
    st.text(st.characters(codec="utf-8"))
    | st.sampled_from(["{{$}}", "a: b", "- x", "# y", "yes", "1:3", "\x85\u2028\ufeff", "!!int 3"])
)
def test_any_text_in_the_file_is_that_text_and_nothing_else(text):
    document = {"constant": text, "list": [text, text], text: {"key": text}}
    assert list(yaml.safe_load_all(dump_documents([document, document]))) == [document, document]


def test_all_steps_run_our_entry_point_in_the_image(documents, tasks):
    assert documents[0]["pipelineInfo"]["name"] == "my-digits"
    assert set(tasks) >= {
        *("ExampleGen", "StatisticsGen", "SchemaGen", "SchemaCurator", "ExampleValidator"),
        *("AnomalyGate", "Transform", "PairGen", "Trainer", "Evaluator", "Pusher"),
    }
    for step in tasks:
        container = _container(documents, step)
        assert container["image"] == "registry/diptych:1"
        assert container["command"] == [
            "python",
            "-P",
            "-m",
            "diptych.pipeline.runners.kubeflow.step",
        ]


def test_models_are_pushed_to_and_read_from_the_root(tasks):
    def parameter(step, name):
        return tasks[step]["inputs"]["parameters"][name]["runtimeValue"]["constant"]

    destination = json.loads(parameter("Pusher", "push_destination"))
    assert destination["filesystem"]["base_directory"] == "/diptych/serving"
    assert parameter("Evaluator", "serving") == "/diptych/serving"


def test_steps_that_depend_only_on_their_inputs_are_cached(tasks):
    cached = {name for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert set(tasks) - cached == {"ExampleGen", "Trainer", "Evaluator", "Pusher"}


def test_each_step_is_retried(tasks):
    for task in tasks.values():
        assert task["retryPolicy"]["maxRetryCount"] == 3


def test_resources_are_those_of_the_step_or_else_the_default(documents):
    assert _container(documents, "Transform")["resources"] == {
        "resourceCpuRequest": "1",
        "resourceCpuLimit": "1",
        "resourceMemoryRequest": "2Gi",
        "resourceMemoryLimit": "2Gi",
    }
    trainer = _container(documents, "Trainer")["resources"]
    assert (trainer["resourceCpuLimit"], trainer["resourceMemoryLimit"]) == ("2.5", "8Gi")
    assert trainer["accelerator"] == {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}
    assert "resourceMemoryLimit" not in _container(documents, "PairGen")["resources"]


def test_the_number_of_threads_equals_the_cpus_of_the_step_not_of_this_machine(documents):
    assert "--direct_num_workers=4" in _container(documents, "PairGen")["args"]


def test_every_step_mounts_every_volume(documents, tasks):
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = [
        {"constant": "raw-data", "mountPath": "/data"},
        {"constant": "models", "mountPath": "/diptych"},
    ]
    assert executors == {f"{step}_executor": {"pvcMount": mounts} for step in tasks}


def test_the_same_configuration_compiles_to_the_same_bytes(folder):
    before = (folder / "images.out").read_bytes()
    volumes = ["--volume=raw-data:/data", "--volume=models:/diptych"]
    assert _compile(folder / "images.yaml", *volumes).exit_code == 0
    assert (folder / "images.out").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--volume=/data"], "--volume expects CLAIM:/PATH"),
        (["--volume=claim:data"], "--volume expects CLAIM:/PATH"),
        (
            ["--set=nightly.resources={Train: {cpus: 1}}"],
            "nightly.resources.Train: the pipeline has no such step",
        ),
        (["--set=data={kind: table, path: /nowhere.csv, label: a}"], "columns of tables"),
        (["--set=data.path=gs://bucket/images"], "must be on a mounted disk"),
    ],
)
def test_a_compile_error_is_one_line_and_writes_nothing(tmp_path, options, message):
    _write(tmp_path / "c.yaml", data={"kind": "images", "path": "/nowhere"})
    done = _compile(tmp_path / "c.yaml", *options)
    assert done.exit_code == 1
    assert [
        line for line in done.output.splitlines() if line.startswith("Error:") and message in line
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml"]


def test_spans_are_resolved_when_the_step_runs(tmp_path):
    path = "/nowhere/span-{YYYY}-{MM}-{DD}"
    _write(tmp_path / "c.yaml", data={"kind": "images", "path": path})
    assert _compile(tmp_path / "c.yaml").exit_code == 0
    tasks = yaml.safe_load((tmp_path / "c.out").read_text())["root"]["dag"]["tasks"]
    data = tasks["ExampleGen"]["inputs"]["parameters"]["data"]["runtimeValue"]["constant"]
    assert json.loads(data)["path"] == path
    assert "SpanDrift" in tasks["Transform"]["dependentTasks"]  # which may stop the run


def test_the_background_of_images_is_known_without_the_data(tmp_path):
    data = {"kind": "images", "path": "/nowhere", "background": "black"}
    _write(tmp_path / "c.yaml", data=data)
    assert _compile(tmp_path / "c.yaml", "--volume=raw:/data").exit_code == 0
    text = (tmp_path / "c.out").read_text().replace("\\", "").replace(" ", "")
    assert '"background":[0,0,0]' in text


def test_the_image_is_required(tmp_path):
    _write(tmp_path / "c.yaml", data={"kind": "images", "path": "/nowhere"})
    assert "--image" in _compile(tmp_path / "c.yaml", image=None).output


def test_a_table_with_too_many_columns_is_an_error(tmp_path):
    columns = ",".join(f"a_column_with_a_{'long_' * 20}name_{number}" for number in range(800))
    rows = "\n".join(f"{label}," + ",".join(["1"] * 800) for label in "abab")
    (tmp_path / "wide.csv").write_text(f"label,{columns}\n{rows}\n")
    _write(tmp_path / "c.yaml", data={"kind": "table", "path": "wide.csv", "label": "label"})
    done = _compile(tmp_path / "c.yaml")
    assert "one list column" in done.output
    assert not (tmp_path / "c.out").exists()


def test_the_folder_of_the_file_is_created_or_the_error_reported(tmp_path):
    _write(tmp_path / "c.yaml", data={"kind": "images", "path": "/nowhere"})
    out = tmp_path / "new" / "pipeline.yaml"
    assert _compile(tmp_path / "c.yaml", f"--out={out}").exit_code == 0
    assert out.is_file()
    done = _compile(tmp_path / "c.yaml", f"--out={tmp_path / 'c.yaml' / 'pipeline.yaml'}")
    assert (done.exit_code, "Error: Cannot write" in done.output) == (1, True)
