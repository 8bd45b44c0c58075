import ast
import os

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from exposure import listening_addresses

RUNNER = "diptych.components.common.loopback_runner.LoopbackRunner"


def test_servers_for_workers_are_not_reachable_from_other_machines(tmp_path):
    before = listening_addresses([os.getpid()])

    def list_servers(_):
        yield from listening_addresses([os.getpid()])

    options = PipelineOptions(
        runner=RUNNER, direct_running_mode="multi_threading", direct_num_workers=2
    )
    with beam.Pipeline(options=options) as pipeline:
        found = pipeline | beam.Create([1]) | beam.FlatMap(list_servers)
        found | beam.io.WriteToText(str(tmp_path / "servers"), shard_name_template="")
    lines = (tmp_path / "servers").read_text().splitlines()
    servers = {ast.literal_eval(line) for line in lines} - before
    assert len({port for _, port, _ in servers}) >= 4
    assert {ip for ip, _, _ in servers} <= {"127.0.0.1", "::1"}
