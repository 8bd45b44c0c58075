import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from diptych.cli.model_option import find_model, load_model, model_option
from diptych.schemas.errors import ModelError


@click.command()
@model_option
def say(model):
    click.echo(load_model(model).folder)


def put(model, folder):
    shutil.copytree(model, folder / model.name)


def test_the_only_serving_folder_here_is_taken(number_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(number_model, tmp_path / "birds-root" / "serving")
    (tmp_path / "other-root" / "serving").mkdir(parents=True)  # nothing pushed there
    assert CliRunner().invoke(say).output == "birds-root/serving/3\n"
    put(number_model, tmp_path / "elsewhere")
    environment = {"DIPTYCH_MODEL": str(tmp_path / "elsewhere")}
    assert CliRunner().invoke(say, env=environment).output == f"{tmp_path}/elsewhere/3\n"
    named = CliRunner().invoke(say, ["--model", str(number_model)], env=environment)
    assert named.output == f"{number_model}\n"


def test_a_root_that_one_stands_in_is_found(number_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(number_model, tmp_path / "serving")
    assert find_model(Path()) == Path("serving")


def test_several_are_named_with_what_to_type(number_model, tmp_path):
    for root in ("b", "a"):
        put(number_model, tmp_path / root / "serving")
    with pytest.raises(
        ModelError,
        match=f"Several are here: {tmp_path}/a/serving, {tmp_path}/b/serving. "
        f"Say --model {tmp_path}/a/serving",
    ):
        find_model(tmp_path)


def test_none_says_what_to_type(tmp_path):
    with pytest.raises(ModelError, match=r"No pushed model is here.*--model PATH"):
        find_model(tmp_path)
