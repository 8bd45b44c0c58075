"""Commands in unusual environments: closed streams, encodings, names that mean something else."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hostile_names import NAMES, file_names
from hypothesis import given, settings
from pipeline_runs import DIPTYCH

from diptych.cli.main import main
from diptych.cli.terminal_text import shell_argument
from diptych.schemas.config.loading import load_config


def write_table(folder):
    folder.mkdir(parents=True)
    rows = "".join(f"{'abc'[i % 3]},{i / 7},{i % 7}\n" for i in range(60))
    (folder / "rows.csv").write_text(f"label,x,y\n{rows}")


@settings(deadline=None, max_examples=200)
@given(name=file_names())
def test_a_printed_path_is_one_argument_of_the_shell(name):
    quoted = shell_argument(Path(name))
    result = subprocess.run(
        ["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True, timeout=10
    )
    assert result.stdout.decode().removeprefix("./") == name
    assert "\n" not in quoted
    assert "\x1b" not in quoted


@pytest.mark.parametrize("name", NAMES)
def test_init_writes_a_configuration_that_finds_the_data(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / name)
    config = Path("config.yaml")
    result = CliRunner().invoke(main, ["init", "--data", name, "--", str(config)])
    assert result.exit_code == 0, result.output
    assert Path(load_config(config).data.path) in (tmp_path / name, tmp_path / name / "rows.csv")


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) < 100])
def test_the_command_that_init_prints_can_be_pasted(tmp_path, name):
    write_table(tmp_path / "data")
    out = tmp_path / f"{name}.yaml"
    result = CliRunner().invoke(main, ["init", "--data", str(tmp_path / "data"), "--", str(out)])
    assert result.exit_code == 0, result.output
    line = result.output.splitlines()[-1]
    echo = ["bash", "-c", f"printf %s {line.rpartition('diptych run ')[2]}"]
    assert subprocess.run(echo, capture_output=True, check=True).stdout.decode() == str(out)


def run_in_shell(redirections, folder, **environment):
    """Run ``diptych schema`` with redirections of a shell."""
    command = f"exec {shlex.join(DIPTYCH)} schema --out '{folder}/schema.json' {redirections}"
    return subprocess.run(
        ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "<&- 2>&-"])
def test_a_command_works_with_closed_streams(tmp_path, redirections):
    result = run_in_shell(redirections, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == b""
    assert (tmp_path / "schema.json").read_text().startswith("{")
    assert (result.stdout == b"") == (" >&-" in f" {redirections}")


def test_closed_streams_are_opened_on_the_null_device():
    program = (
        "import os, sys\n"
        "from diptych.cli.streams import prepare_standard_streams\n"
        "prepare_standard_streams()\n"
        "print('unseen'); print('unseen', file=sys.stderr); assert sys.stdin.read() == ''\n"
        "null = os.stat('/dev/null')\n"
        "assert all(os.path.samestat(os.fstat(each), null) for each in (0, 1, 2))\n"
        "assert all(os.get_inheritable(each) for each in (0, 1, 2))\n"
    )
    command = ["bash", "-c", f"exec {sys.executable} -c {shlex.quote(program)} <&- >&- 2>&-"]
    assert subprocess.run(command, timeout=100, check=False).returncode == 0


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "POSIX", "LANG": ""}],
)
def test_names_are_printed_in_any_encoding(tmp_path, environment):
    folder = tmp_path / "猫 ä😀"
    folder.mkdir()
    result = run_in_shell("", folder, **environment)
    assert result.returncode == 0, result.stderr
    shown = result.stdout.decode()
    assert "猫 ä😀" in shown or "\\u732b \\xe4\\U0001f600" in shown


@pytest.mark.parametrize(
    ("argument", "environment"),
    [(b"data-\xff", {}), ("dätä".encode(), {"LC_ALL": "C", "PYTHONUTF8": "0"})],
)
def test_an_argument_that_is_no_text_is_refused(argument, environment):
    result = subprocess.run(
        [*DIPTYCH, "init", "--data", argument],
        capture_output=True,
        timeout=100,
        env={**os.environ, **environment, "PYTHONCOERCECLOCALE": "0"},
        check=False,
    )
    assert result.returncode == 2
    assert b"is not valid" in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("error", ""),
        ("e::DeprecationWarning,ignore::UserWarning", "ignore::UserWarning"),
        ("default", "default"),
    ],
)
def test_warnings_of_dependencies_are_no_errors(given, expected):
    program = (
        "import os, sys, warnings\n"
        "from diptych.cli.warning_filters import show_warnings_as_warnings\n"
        "show_warnings_as_warnings()\n"
        "warnings.warn('old', DeprecationWarning)\n"
        "warnings.warn('odd', UserWarning)\n"
        "print(os.environ['PYTHONWARNINGS'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONWARNINGS": given},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.strip() == expected
    assert ("odd" in result.stderr) == ("ignore" not in given)


@pytest.mark.parametrize(
    ("root", "message"),
    [("a/" * 300, "at most 480: "), ("x" * 255 + "/" + "ä" * 120, "at most 480: ")],
)
def test_a_root_that_is_too_long_is_refused_before_anything_runs(tmp_path, diptych, root, message):
    write_table(tmp_path / "data")
    config = tmp_path / "config.yaml"
    assert diptych("init", "--data", tmp_path / "data", config).exit_code == 0
    for option in ([], ["--dry-run"]):
        result = diptych("run", config, "--root", tmp_path / root, *option)
        assert result.exit_code == 1
        assert message in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.yaml",
        "data",
        "diptych.schema.json",
    ]


def test_a_run_without_any_folder_for_temporary_files_is_refused(tmp_path, diptych, monkeypatch):
    write_table(tmp_path / "data")
    config = tmp_path / "config.yaml"
    config.write_text("name: a\ndata: {kind: table, path: data, label: label}\n")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/none"])
    for option in ([], ["--dry-run"]):
        result = diptych("run", config, "--root", tmp_path / "root", *option)
        assert result.exit_code == 1
        assert "Set TMPDIR to a folder" in result.output
    assert not (tmp_path / "root").exists()


def test_a_tilde_is_the_name_of_a_file_if_it_exists(tmp_path, monkeypatch):
    write_table(tmp_path / "~")
    monkeypatch.setenv("HOME", "/home/somebody")
    config = tmp_path / "config.yaml"
    for path, expected in (
        ("~", tmp_path / "~"),
        ("~/rows.csv", tmp_path / "~" / "rows.csv"),
        ("~/other", Path("/home/somebody/other")),
        ("~nobody-here/x", tmp_path / "~nobody-here" / "x"),
    ):
        config.write_text(f"name: a\ndata: {{kind: table, path: '{path}', label: label}}\n")
        assert load_config(config).data.path == str(expected)
