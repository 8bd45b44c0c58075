"""Section ``beam`` of the configuration."""

from typing import Literal

import pydantic
from pydantic import Field

from diptych.schemas.config.section import Section

Runner = Literal["local", "flink", "dataflow", "spark"]
CLUSTER_OPTIONS = {"flink": "flink_master", "spark": "spark_master_url"}
"""Beam option with the address of the cluster, for the runners that need one."""
_REQUIRED_OPTIONS = {
    "flink": ("flink_master",),
    "spark": ("spark_master_url",),
    "dataflow": ("project", "region", "temp_location", "sdk_container_image"),
}
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class BeamConfig(Section):
    """Engine that runs the Beam steps, ExampleGen to PairGen."""

    runner: Runner = Field(
        default="local", description="Beam runner: local, flink, dataflow or spark."
    )
    options: dict[str, bool | int | float | str | list[str]] = Field(
        default={},
        description="Pipeline options of Beam, named as on its command line, such as "
        "{flink_master: 127.0.0.1:8081, parallelism: 4}.",
    )

    @pydantic.model_validator(mode="after")
    def _check_options(self) -> "BeamConfig":
        for name in ("runner", "direct_running_mode"):
            if name in self.options:
                raise ValueError(f"the option {name} is set by beam.runner: remove it")
        missing = [
            name for name in _REQUIRED_OPTIONS.get(self.runner, ()) if not self.options.get(name)
        ]
        if missing:
            raise ValueError(f"runner {self.runner} needs options.{', options.'.join(missing)}")
        if self.runner in CLUSTER_OPTIONS:
            option = CLUSTER_OPTIONS[self.runner]
            host, _ = cluster_address(str(self.options[option]))
            if host not in _LOCAL_HOSTS and "environment_type" not in self.options:
                raise ValueError(
                    f"a cluster on another machine ({host}) needs options.environment_type, the "
                    "environment of its Python workers: EXTERNAL, DOCKER or PROCESS"
                )
        docker = self.options.get("environment_type") == "DOCKER"
        if docker and "sdk_container_image" not in self.options:
            raise ValueError("DOCKER needs options.sdk_container_image, an image with Diptych")
        return self


def cluster_address(text: str) -> tuple[str, int]:
    """Parse host and port from ``host:port``, with or without a scheme.

    Raises:
      ValueError: If the text has another form, such as Beam's ``[local]``, which is not a cluster.
    """
    host, _, port = text.rpartition("://")[2].rstrip("/").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"expected the address of a cluster as host:port, got {text!r}")
    return host.strip("[]"), int(port)
