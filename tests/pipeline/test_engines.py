import socket
from pathlib import Path

import pydantic
import pytest

from diptych.pipeline import engines
from diptych.pipeline.engines import beam_args, check_reachable
from diptych.schemas.config.beam import BeamConfig
from diptych.schemas.errors import ConfigError

DATAFLOW = {
    "project": "some-project",
    "region": "europe-west1",
    "temp_location": "gs://bucket/temp",
    "sdk_container_image": "registry/diptych:1",
}
FLINK = {"flink_master": "127.0.0.1:8081"}


def test_the_default_engine_runs_in_process():
    assert beam_args(BeamConfig()) == [
        "--runner=diptych.components.common.loopback_runner.LoopbackRunner",
        "--beam_plugin=diptych.components.common.beam_files",
        "--direct_running_mode=in_memory",
        "--sdk_container_image=in-process",
    ]


def test_options_become_beam_arguments():
    options = {"parallelism": 4, "environment_cache_millis": 5, "experiments": ["a", "b"]}
    args = beam_args(BeamConfig(runner="flink", options={**FLINK, **options, "object_reuse": True}))
    assert args[0] == "--runner=FlinkRunner"
    assert set(args[1:]) == {
        "--beam_plugin=diptych.components.common.beam_files",
        "--environment_type=LOOPBACK",
        "--environment_cache_millis=5",
        "--flink_master=127.0.0.1:8081",
        "--parallelism=4",
        "--experiments=a",
        "--experiments=b",
        "--object_reuse",
        "--sdk_container_image=in-process",
    }


def test_a_flag_and_an_option_with_the_value_true_are_distinguished():
    options = {**DATAFLOW, "dry_run": True, "no_auth": True}
    args = beam_args(BeamConfig(runner="dataflow", options=options))
    assert args[-2:] == ["--dry_run=True", "--no_auth"]


def test_the_worker_image_can_be_set():
    assert "--sdk_container_image=registry/diptych:1" in beam_args(
        BeamConfig(runner="dataflow", options=DATAFLOW)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parralelism": 4}, "Beam has no option parralelism. Use the names of"),
        ({"object_reuse": True}, "Beam has no option object_reuse"),  # Flink's
        ({"parallelism": "many"}, "argument --parallelism: invalid int value: 'many'"),
        ({"flink_version": "2.3"}, "argument --flink_version: invalid choice: '2.3'"),
        ({"no_auth": False}, "beam.options.no_auth is a flag: expected true, got False"),
    ],
)
def test_an_option_that_beam_ignores_or_rejects_is_an_error(options, message):
    with pytest.raises(ConfigError, match=message):
        beam_args(BeamConfig(options=options))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"runner": "dask"}, "'local', 'flink', 'dataflow' or 'spark'"),
        ({"runner": "flink"}, "runner flink needs options.flink_master"),
        ({"runner": "spark"}, "runner spark needs options.spark_master_url"),
        ({"runner": "flink", "options": {"flink_master": "[auto]"}}, r"host:port, got '\[auto\]'"),
        ({"runner": "flink", "options": {"flink_master": "a:99999"}}, "host:port, got 'a:99999'"),
        (
            {"runner": "flink", "options": {"flink_master": "http://far:8081"}},
            r"another machine \(far\) needs options.environment_type",
        ),
        (
            {"runner": "flink", "options": {**FLINK, "environment_type": "DOCKER"}},
            "DOCKER needs options.sdk_container_image",
        ),
        (
            {"runner": "dataflow", "options": {"project": "p"}},
            "needs options.region, options.temp_location, options.sdk_container_image",
        ),
        ({"options": {"runner": "x"}}, "the option runner is set by beam.runner"),
        ({"options": {"direct_running_mode": "x"}}, "the option direct_running_mode is set by"),
    ],
)
def test_an_invalid_section_is_rejected_on_load(section, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        BeamConfig(**section)


def test_an_unreachable_cluster_is_an_error_before_the_run():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    beam = BeamConfig(runner="flink", options={"flink_master": address})
    with pytest.raises(ConfigError, match=f"Cannot reach the Flink cluster at {address}: .*local"):
        check_reachable(beam, Path("/root"))


def test_a_cluster_needs_java_unless_the_job_server_runs_elsewhere(monkeypatch):
    monkeypatch.setattr(engines.shutil, "which", lambda name: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = {"flink_master": f"http://127.0.0.1:{server.getsockname()[1]}/"}
        with pytest.raises(ConfigError, match="needs Java on PATH"):
            check_reachable(BeamConfig(runner="flink", options=options), Path("/root"))
        options["job_endpoint"] = "far:8099"
        check_reachable(BeamConfig(runner="flink", options=options), Path("/root"))


def test_an_engine_without_a_cluster_is_not_checked():
    check_reachable(BeamConfig(), Path("/root"))
    check_reachable(BeamConfig(runner="dataflow", options=DATAFLOW), Path("/root"))


@pytest.mark.parametrize("name", ["out [v2]", "a*", "b?", "c\\d"])
def test_workers_of_a_cluster_read_no_folder_with_wildcards(name):
    check_reachable(BeamConfig(), Path("/data", name))
    beam = BeamConfig(runner="dataflow", options=DATAFLOW)
    with pytest.raises(ConfigError, match="workers of dataflow would read as a pattern"):
        check_reachable(beam, Path("/data", name))
