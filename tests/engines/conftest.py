import sys
from pathlib import Path

import pytest

# The helper modules of these tests are in this folder, not in a package.
sys.path.insert(0, str(Path(__file__).parent))
JAR = Path(__file__).parents[2] / ".tools" / "flink" / "job-server.jar"  # built by make test-flink


@pytest.fixture(scope="session")
def flink(tmp_path_factory):
    from flink import FlinkCluster

    with FlinkCluster(JAR, tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster
