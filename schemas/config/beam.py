"""The section ``beam``: the engine of the Beam steps."""

from typing import Literal

import pydantic
from pydantic import Field

from diptych.schemas.config.section import Section

Runner = Literal["local", "flink", "dataflow", "spark"]
CLUSTER_OPTION = {"flink": "flink_master", "spark": "spark_master_url"}
"""Beam's option with the address of the cluster, of the runners that need one."""
_NEEDED = {
    "flink": ("flink_master",),
    "spark": ("spark_master_url",),
    "dataflow": ("project", "region", "temp_location", "sdk_container_image"),
}
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class Beam(Section):
    """The engine that runs the passes over the data: ExampleGen to PairGen."""

    runner: Runner = "local"
    # Beam's own, named as on its command line: {parallelism: 4}
    options: dict[str, bool | int | float | str | list[str]] = Field(default={})

    @pydantic.model_validator(mode="after")
    def _complete(self) -> "Beam":
        for name in ("runner", "direct_running_mode"):
            if name in self.options:
                raise ValueError(f"beam.runner settles the option {name}: leave it out")
        missing = [name for name in _NEEDED.get(self.runner, ()) if not self.options.get(name)]
        if missing:
            raise ValueError(f"runner {self.runner} needs options.{', options.'.join(missing)}")
        if self.runner in CLUSTER_OPTION:
            option = CLUSTER_OPTION[self.runner]
            host, _ = cluster_address(str(self.options[option]))
            if host not in _THIS_MACHINE and "environment_type" not in self.options:
                raise ValueError(
                    f"a cluster on another machine ({host}) needs options.environment_type, where "
                    "its workers run Python: EXTERNAL, DOCKER or PROCESS"
                )
        docker = self.options.get("environment_type") == "DOCKER"
        if docker and "sdk_container_image" not in self.options:
            raise ValueError("DOCKER needs options.sdk_container_image, an image with Diptych")
        return self


def cluster_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``, with or without a scheme before it.

    Raises:
      ValueError: it has another form, such as Beam's ``[local]``, which is no cluster.
    """
    host, _, port = text.rpartition("://")[2].rstrip("/").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"a cluster's address is host:port, got {text!r}")
    return host.strip("[]"), int(port)
