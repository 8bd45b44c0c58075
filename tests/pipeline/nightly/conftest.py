import json

import pytest
import yaml


@pytest.fixture
def place(tmp_path):
    """A folder with a configuration and a table of two classes."""
    (tmp_path / "data.csv").write_text("label,a\nx,1\ny,2\n")
    data = {"kind": "table", "path": "data.csv", "label": "label"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"name": "toy", "data": data}))
    return tmp_path


@pytest.fixture
def toy(monkeypatch):
    """Puts the toy pipeline in place of the real one; gives what is told to it from now on."""
    from toy_runs import toy_pipeline

    told = {}

    def build(config, inputs, root, production):
        return toy_pipeline(root, **told)

    monkeypatch.setattr("diptych.pipeline.graph.build_pipeline", build)
    return told


@pytest.fixture
def run_night(place, capfd):
    """Runs a night in this process; gives exit code, summary, and the lines for people."""
    from diptych.pipeline.nightly.command import run_nightly

    def run(*settings, until=None):
        code = run_nightly(place / "config.yaml", settings, place / "root", until)
        out, err = capfd.readouterr()
        (line,) = out.splitlines()
        return code, json.loads(line), err

    return run
