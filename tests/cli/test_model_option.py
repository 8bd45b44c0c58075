import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from diptych.cli.model_option import find_model, load_pushed_model, model_option
from diptych.schemas.errors import ModelError


@click.command()
@model_option
def show_folder(model):
    click.echo(load_pushed_model(model).folder)


def copy_model(model, folder):
    shutil.copytree(model, folder / model.name)


def test_the_only_serving_folder_is_the_default(number_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy_model(number_model, tmp_path / "birds-root" / "serving")
    (tmp_path / "other-root" / "serving").mkdir(parents=True)  # nothing has been pushed
    assert CliRunner().invoke(show_folder).output == "birds-root/serving/3\n"
    copy_model(number_model, tmp_path / "elsewhere")
    environment = {"DIPTYCH_MODEL": str(tmp_path / "elsewhere")}
    assert CliRunner().invoke(show_folder, env=environment).output == f"{tmp_path}/elsewhere/3\n"
    named = CliRunner().invoke(show_folder, ["--model", str(number_model)], env=environment)
    assert named.output == f"{number_model}\n"


def test_the_working_directory_may_be_a_pipeline_root(number_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy_model(number_model, tmp_path / "serving")
    assert find_model(Path()) == Path("serving")


def test_several_models_are_listed_with_the_option_to_choose_one(number_model, tmp_path):
    for root in ("b", "a"):
        copy_model(number_model, tmp_path / root / "serving")
    with pytest.raises(
        ModelError,
        match=f"2 pushed models found: {tmp_path}/a/serving, {tmp_path}/b/serving. "
        f"Choose one with --model {tmp_path}/a/serving",
    ):
        find_model(tmp_path)


def test_without_a_model_the_error_names_the_option(tmp_path):
    with pytest.raises(ModelError, match=r"No pushed model found.*--model PATH"):
        find_model(tmp_path)
