"""``diptych submit``, with a fake server of Kubeflow Pipelines."""

import pytest
import yaml
from click.testing import CliRunner
from kubeflow_api import KubeflowApi

from diptych.cli.main import main


@pytest.fixture
def server():
    with KubeflowApi() as api:
        yield api


@pytest.fixture
def files(tmp_path):
    return _files(tmp_path, schedule="30 2 * * 1-5")


def _files(folder, schedule, name="my_digits", compiled="my-digits", timezone="UTC"):
    config, pipeline = folder / "config.yaml", folder / "pipeline.yaml"
    nightly = {"schedule": schedule, "timezone": timezone}
    data = {"kind": "images", "path": "/data"}
    config.write_text(yaml.safe_dump({"name": name, "data": data, "nightly": nightly}))
    spec = {"pipelineInfo": {"name": compiled}, "root": {}, "schemaVersion": "2.1.0"}
    pipeline.write_text(yaml.safe_dump(spec))
    return [str(config), str(pipeline)]


def _submit(server, files, *options, host=None):
    arguments = ["submit", *files, "--host", host or server.host, *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_a_run_of_the_uploaded_version_is_started(server, files):
    done = _submit(server, files)
    assert done.exit_code == 0, done.output
    assert server.changes() == [
        ("POST", "/pipelines/upload"),
        ("POST", "/pipelines/upload_version"),
        ("POST", "/experiments"),
        ("POST", "/runs"),
    ]
    (run,), version = server.runs, server.versions[-1]
    with open(files[1]) as file:
        assert version["pipeline_spec"] == file.read()
    assert run["pipeline_version_reference"] == {
        "pipeline_id": server.pipelines[0]["pipeline_id"],
        "pipeline_version_id": version["pipeline_version_id"],
    }
    assert run["experiment_id"] == server.experiments[0]["experiment_id"]
    assert server.pipelines[0]["display_name"] == "my-digits"
    assert f"{server.host}/#/runs/details/{run['run_id']}" in done.output


def test_the_same_file_is_uploaded_once_and_another_file_is_another_version(server, files):
    _submit(server, files)
    _submit(server, files)
    assert len(server.runs) == 2
    assert len(server.pipelines) == len(server.experiments) == 1
    uploads = [path for _, path in server.changes() if "upload" in path]
    assert uploads == ["/pipelines/upload", "/pipelines/upload_version"]
    with open(files[1], "a") as file:
        file.write("# changed\n")
    _submit(server, files)
    versions = [run["pipeline_version_reference"]["pipeline_version_id"] for run in server.runs]
    assert versions[0] == versions[1] != versions[2]


def test_a_schedule_is_a_recurring_run_without_concurrency_and_catchup(server, files):
    done = _submit(server, files, "--schedule")
    assert done.exit_code == 0, done.output
    (recurring,) = server.recurring
    assert recurring["trigger"] == {"cron_schedule": {"cron": "0 30 2 * * 1-5"}}
    assert recurring["no_catchup"] is True
    assert str(recurring["max_concurrency"]) == "1"
    assert recurring["mode"] == "ENABLE"
    assert recurring["display_name"] == "my-digits"
    assert server.runs == []


def test_the_same_schedule_is_not_changed(server, files):
    _submit(server, files, "--schedule")
    before = server.changes()
    done = _submit(server, files, "--schedule")
    assert "unchanged" in done.output
    assert server.changes() == before


def test_a_new_schedule_is_created_before_the_previous_one_is_deleted(server, files, tmp_path):
    _submit(server, files, "--schedule")
    (old,) = server.recurring
    _submit(server, _files(tmp_path, schedule="0 3 * * *"), "--schedule")
    (new,) = server.recurring
    assert new["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert server.changes()[-2:] == [
        ("POST", "/recurringruns"),
        ("DELETE", f"/recurringruns/{old['recurring_run_id']}"),
    ]


def test_a_rejected_schedule_keeps_the_previous_one(server, files, tmp_path):
    _submit(server, files, "--schedule")
    before = list(server.recurring)
    server.errors["POST", "/recurringruns"] = (400, {"message": "The cron is invalid."})
    done = _submit(server, _files(tmp_path, schedule="0 3 * * 9"), "--schedule")
    assert done.exit_code == 1
    assert _error(done).startswith(
        f"Error: {server.host} rejects the request: 400 The cron is invalid."
    )
    assert server.recurring == before


def test_another_time_zone_prints_a_note(server, tmp_path):
    files = _files(tmp_path, schedule="0 2 * * *", timezone="Europe/Berlin")
    done = _submit(server, files, "--schedule")
    assert done.exit_code == 0
    assert "CRON_SCHEDULE_TIMEZONE" in done.output and "Europe/Berlin" in done.output


def test_the_token_is_read_from_the_file_that_kfp_uses(files, tmp_path, monkeypatch):
    with KubeflowApi(token="secret") as server:
        rejected = _submit(server, files)
        assert rejected.exit_code == 1
        assert "rejects the request: 401" in _error(
            rejected
        ) and "KF_PIPELINES_SA_TOKEN_PATH" in _error(rejected)
        (tmp_path / "token").write_text("secret\n")
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
        assert _submit(server, files).exit_code == 0
        assert len(server.runs) == 1


def test_all_requests_use_the_namespace(server, files):
    assert _submit(server, files, "--namespace", "team-a").exit_code == 0
    sent = {(method, path): (query, body) for method, path, query, body in server.requests}
    assert sent["POST", "/pipelines/upload"][0]["namespace"] == "team-a"
    assert sent["GET", "/pipelines"][0]["namespace"] == "team-a"
    assert sent["POST", "/experiments"][1]["namespace"] == "team-a"


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("http://127.0.0.1:9", "Kubeflow Pipelines does not respond at http://127.0.0.1:9"),
        ("localhost:8080", "such as http://localhost:8080"),
    ],
)
def test_an_unreachable_server_is_an_error_of_one_line(server, files, host, message):
    done = _submit(server, files, host=host)
    assert done.exit_code == 1
    assert message in _error(done)


def test_a_pipeline_of_another_configuration_is_an_error(server, tmp_path):
    files = _files(tmp_path, schedule="0 2 * * *", compiled="letters")
    assert "Compile it again" in _error(_submit(server, files))
    (tmp_path / "pipeline.yaml").write_text("[1, 2]")
    assert "is not a compiled pipeline" in _error(_submit(server, files))
    assert server.requests == []


def _error(done):
    (line,) = done.output.splitlines()
    return line
