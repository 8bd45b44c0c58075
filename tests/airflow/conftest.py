import pandas as pd
import pytest
from airflow_home import AirflowHome
from click.testing import CliRunner
from conftest import free_port
from pipeline_runs import blobs, write_config


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return AirflowHome(tmp_path_factory.mktemp("airflow"), free_port())


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """Configuration with a small table."""
    folder = tmp_path_factory.mktemp("toy")
    vectors, labels = blobs(240, seed=1)
    table = pd.DataFrame({f"x{number}": vectors[:, number] for number in range(5)})
    table.assign(label=labels).to_csv(folder / "data.csv", index=False)
    return write_config(folder, {"kind": "table", "path": "data.csv", "label": "label"})


@pytest.fixture(scope="session")
def compiled(toy):
    """Return a function that compiles a DAG file into a folder, and returns the id of the DAG."""

    def compile_dag(name, folder, root, *options):
        from diptych.cli.main import main

        words = ["compile", str(toy), "--runner", "airflow", "--out", str(folder / f"{name}.py")]
        words += ["--root", str(root), "--set", f"name={name}", *options]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        return f"diptych_{name}"

    return compile_dag
