"""The scheduled run: its arguments, configuration, schedule and exit codes."""

import shlex

import pytest
import yaml
from manifests import FOLDER, OVERLAYS, objects_of, of_kind

from diptych.cli.main import main
from diptych.pipeline.engines import beam_args
from diptych.schemas.config.loading import load_config


def _container(job):
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return container


def _job(name):
    return of_kind(objects_of(name), "CronJob")["diptych-nightly"]["spec"]


def _arguments(name):
    if name == "ray-night":
        (job,) = objects_of(name)
        return shlex.split(job["spec"]["entrypoint"])[1:]
    return _container(_job(name)["jobTemplate"])["args"]


def _config(name, folder):
    """Load the configuration as the run does."""
    file = folder / "diptych.yaml"
    maps = of_kind(objects_of("gpu" if name == "ray-night" else name), "ConfigMap")
    file.write_text(maps["diptych-config"]["data"]["diptych.yaml"])
    settings = [arg.removeprefix("--set=") for arg in _arguments(name) if arg.startswith("--set=")]
    return load_config(file, tuple(settings))


@pytest.mark.parametrize("name", [*OVERLAYS, "ray-night"])
def test_the_command_accepts_the_arguments(name):
    command = main.commands["run"]
    command.make_context("run", _arguments(name)[1:])
    assert _arguments(name)[:4] == ["run", "/etc/diptych/diptych.yaml", "--nightly", "--root"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_schedule_is_that_of_the_configuration(name, tmp_path):
    nightly, job = _config(name, tmp_path).nightly, _job(name)
    assert (job["schedule"], job["timeZone"]) == (nightly.schedule, nightly.timezone)


def test_each_gpu_worker_requests_the_resources_of_a_pod(tmp_path):
    for name in ("gpu", "ray-night"):
        train = _config(name, tmp_path).train
        cluster = of_kind(objects_of("gpu"), "RayCluster")["diptych-ray"]["spec"]
        (group,) = cluster["workerGroupSpecs"]
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert train.gpus_per_worker == limits["nvidia.com/gpu"] == 1
        assert train.cpus_per_worker == int(limits["cpu"])
        assert train.num_workers <= group["maxReplicas"]


def test_the_parallelism_of_beam_fits_the_slots_of_flink(tmp_path):
    beam = _config("gpu", tmp_path).beam
    flink = of_kind(objects_of("gpu"), "FlinkDeployment")["diptych-flink"]["spec"]
    slots = int(flink["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
    assert beam.runner == "flink"
    assert beam_args(beam)  # Beam accepts the options
    assert beam.options["parallelism"] <= slots * flink["taskManager"]["replicas"]
    pool = flink["taskManager"]["podTemplate"]["spec"]["containers"][0]
    assert (
        f"--service_port={beam.options['environment_config'].partition(':')[2]}" in pool["command"]
    )
    (server,) = _job("gpu")["jobTemplate"]["spec"]["template"]["spec"]["initContainers"]
    assert f"--job-port={beam.options['job_endpoint'].partition(':')[2]}" in server["args"]
    assert server["restartPolicy"] == "Always"  # a sidecar: Kubernetes does not wait for it


def test_exit_codes_that_are_no_failure_are_not_retried():
    job = _job("nightly")["jobTemplate"]["spec"]
    _, codes = job["podFailurePolicy"]["rules"]
    assert codes["action"] == "FailJob"
    assert codes["onExitCodes"]["values"] == [2, 3, 4]
    assert codes["onExitCodes"]["containerName"] == _container({"spec": job})["name"]
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # required by podFailurePolicy
    assert job["backoffLimit"] == 2


def test_one_night_at_a_time_that_ends_before_the_next():
    spec = _job("nightly")
    assert spec["concurrencyPolicy"] == "Forbid"
    latest_end_s = (
        spec["startingDeadlineSeconds"] + spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    )
    assert latest_end_s < 24 * 3600


def test_the_rollback_job_runs_a_valid_command():
    (job,) = objects_of("rollback")
    command, *options = _container({"spec": job["spec"]})["args"]
    main.commands[command].make_context(command, options)


def test_an_overlay_is_a_few_lines():  # the objects are in base and components
    for file in FOLDER.glob("overlays/*/*"):
        assert file.name == "kustomization.yaml"
        assert yaml.safe_load(file.read_text())["resources"] == ["../../base"]
