"""DAG files, loaded by Airflow."""

import contextlib
import shlex
from pathlib import Path

import pytest

DESCRIBE_DAGS = Path(__file__).with_name("describe_dags.py")
STEPS = ["ExampleGen", "StatisticsGen", "SchemaGen", "SchemaCurator", "ExampleValidator"]
STEPS += ["AnomalyGate", "Transform", "PairGen", "Trainer", "Evaluator", "Pusher"]
VOLUMES = ("--volume", "raw:/data", "--volume", "kept:/diptych")


@pytest.fixture(scope="module")
def dags(home, compiled, tmp_path_factory):
    """Both kinds of DAG; the name of the root and of the working directory are no templates."""
    root, folder = (
        tmp_path_factory.mktemp("of {{ ds }} 'and' more"),
        tmp_path_factory.mktemp("dags"),
    )
    zone = ("--set", "nightly.timezone=Europe/Berlin", "--set", "nightly.retries=4")
    with contextlib.chdir(root):
        compiled("here", folder, root, *zone)
    resources = "nightly.resources={Trainer: {cpus: 2, memory: 8Gi, gpus: 1}, default: {cpus: 0.5}}"
    compiled("pods", folder, "/diptych", "--image", "diptych:1", *VOLUMES, "--set", resources)
    found = home.read(DESCRIBE_DAGS, str(folder))
    assert found["errors"] == {}
    return found["dags"], root


def test_a_dag_is_a_chain_of_all_steps(dags):
    for dag in dags[0].values():
        assert list(dag["tasks"]) == STEPS
        after = [task["downstream"] for task in dag["tasks"].values()]
        assert after == [*([step] for step in STEPS[1:]), []]


def test_a_dag_has_its_schedule_and_time_zone_without_catchup_and_concurrency(dags):
    here = dags[0]["diptych_here"]
    assert (here["schedule"], here["timezone"]) == ("0 2 * * *", "Europe/Berlin")
    assert (here["catchup"], here["max_active_runs"]) == (False, 1)
    assert {task["retries"] for task in here["tasks"].values()} == {4}
    assert dags[0]["diptych_pods"]["timezone"] == "UTC"


def test_each_task_runs_diptych_until_its_step_and_the_last_without_until(dags, toy):
    tasks, root = dags[0]["diptych_here"]["tasks"], dags[1]
    for step, task in tasks.items():
        program, *words = shlex.split(task["command"])
        assert Path(program).is_file()
        assert words[:4] == ["run", str(toy), "--root", str(root)]
        assert words[-1:] == ["--nightly"] if step == "Pusher" else words[-2:] == ["--until", step]
        assert (task["cwd"], task["skipped_on"]) == (str(root), [3])


def test_a_pod_can_write_only_to_its_volumes(dags):
    spec = dags[0]["diptych_pods"]["tasks"]["Trainer"]["pod"]
    (container,) = spec["containers"]
    assert container["image"] == "diptych:1"
    assert not container["command"]  # the entry point of the image
    assert container["args"][-3:] == ["--nightly", "--until", "Trainer"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["automountServiceAccountToken"] is False
    mount_paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    claims = {
        mount_paths[volume["name"]]: volume.get("persistentVolumeClaim", {}).get("claimName")
        for volume in spec["volumes"]
    }
    assert [m["mountPath"] for m in container["volumeMounts"] if m.get("readOnly")] == ["/data"]
    scratch = {"/tmp": None, "/home/diptych": None, "/dev/shm": None}
    assert claims == {**scratch, "/data": "raw", "/diptych": "kept"}
    assert {item["name"]: item["value"] for item in container["env"]} == {
        "HOME": "/home/diptych",
        "TMPDIR": "/tmp",
    }


def test_a_step_requests_its_resources_or_else_the_default(dags):
    tasks = dags[0]["diptych_pods"]["tasks"]

    def resources(step):
        return tasks[step]["pod"]["containers"][0]["resources"]

    assert resources("Trainer")["requests"] == {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"}
    assert resources("Trainer")["limits"] == {"memory": "8Gi", "nvidia.com/gpu": "1"}
    assert resources("PairGen")["requests"] == {"cpu": "0.5"}
    assert not resources("PairGen")["limits"]
