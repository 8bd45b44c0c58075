import json

import pytest
import yaml


@pytest.fixture
def folder(tmp_path):
    """Folder with a configuration and a table of two classes."""
    (tmp_path / "data.csv").write_text("label,a\nx,1\ny,2\n")
    data = {"kind": "table", "path": "data.csv", "label": "label"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"name": "toy", "data": data}))
    return tmp_path


@pytest.fixture
def toy(monkeypatch):
    """Replace the pipeline by the toy pipeline; return the options of its next runs."""
    from toy_runs import toy_pipeline

    options = {}

    def build(config, inputs, root, production):
        return toy_pipeline(root, **options)

    monkeypatch.setattr("diptych.pipeline.graph.build_pipeline", build)
    return options


@pytest.fixture
def run_night(folder, capfd):
    """Return a function that runs a night in this process.

    It returns the exit code, the summary, and the lines on standard error.
    """
    from diptych.cli.main import main

    def run(*settings, until=None):
        arguments = [str(folder / "config.yaml"), "--nightly", "--root", str(folder / "root")]
        arguments += [f"--set={setting}" for setting in settings]
        arguments += ["--until", until] if until else []
        with pytest.raises(SystemExit) as exit_:
            main(["run", *arguments])
        out, err = capfd.readouterr()
        (line,) = out.splitlines()
        return exit_.value.code, json.loads(line), err

    return run
