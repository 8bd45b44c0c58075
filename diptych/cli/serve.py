"""``diptych serve``: serve a pushed model over HTTP."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diptych.cli.errors import exit_on_error
from diptych.cli.model_option import find_model, model_option
from diptych.cli.path_type import FilePath
from diptych.cli.terminal_text import escape_control
from diptych.schemas.versions import is_saved_model

if TYPE_CHECKING:
    from diptych.serving.served_model import ServedModel

_TOKEN = "DIPTYCH_TOKEN"
_MIN_TOKEN_LENGTH = 16


@click.command("serve", short_help="Serve the newest pushed model over HTTP.")
@model_option
@click.option(
    "--gallery",
    type=FilePath(file_okay=False),
    help="Folder of the gallery that /identify searches and /enroll adds to.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8501, show_default=True, help="TCP port."
)
@click.option(
    "--replicas",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of processes; each loads the model.",
)
@click.option(
    "--token-file",
    type=FilePath(dir_okay=False),
    help=f"File with the token that clients send. Default: {_TOKEN}, or a generated one.",
)
@click.option(
    "--log",
    type=FilePath(dir_okay=False),
    help="Log file. Default: serve.log next to the folder of versions, such as demo/serve.log for "
    "demo/serving.",
)
@exit_on_error()
def serve_command(
    model: Path | None,
    gallery: Path | None,
    host: str,
    port: int,
    replicas: int,
    token_file: Path | None,
    log: Path | None,
) -> None:
    """Serve the newest pushed model over HTTP until Ctrl-C.

    The service switches to each newly pushed version. Open the page that is printed, or see
    docs/serving.md for the API.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    from diptych.cli.console import redirect_output
    from diptych.pipeline.session import log_to_file
    from diptych.serving.server import bind_socket, is_loopback

    try:
        folder = find_model(Path()) if model is None else model
        given_token = _read_token(token_file)
        token = given_token or secrets.token_urlsafe(24)
        log = _default_log(folder) if log is None else log
        _check_log(log)
        listener = bind_socket(host, port)
        with redirect_output(log) as console, log_to_file(log):
            from diptych.serving.service import ServiceSettings, serve_model

            def on_ready(served: "ServedModel") -> None:
                name = f"[{host}]" if ":" in host else host
                address = f"http://{name}:{port}"
                manifest = served.manifest
                console.print(f"Model    {manifest.name}, version {manifest.version}", markup=False)
                console.print(f"Address  {address}")
                # The user knows a given token, and console output may be stored.
                secret = "" if given_token else f"#token={token}"
                console.print(f"Page     {address}/{secret}", markup=False)
                console.print(f"Log      {escape_control(str(log))}", markup=False)
                if not is_loopback(host):
                    console.print(
                        "Other machines can reach this address, and the token is sent unencrypted. "
                        "Use a proxy with TLS."
                    )
                console.print("Press Ctrl-C to stop.")

            def on_news(line: str) -> None:
                console.print(f"{line[0].upper()}{line[1:]}", markup=False)

            settings = ServiceSettings(folder.absolute(), gallery, host, replicas, token)
            serve_model(settings, listener, on_ready, on_news)
            console.print("Stopped.")
    except KeyboardInterrupt:  # during the start
        raise click.ClickException("Interrupted.") from None


def _default_log(model: Path) -> Path:
    """``serve.log`` in the pipeline root of a folder of versions, or of one version in it."""
    versions = model.absolute()
    if is_saved_model(versions):
        versions = versions.parent
    return versions.parent / "serve.log"


def _check_log(log: Path) -> None:
    """Check that the log can be written.

    Raises:
      ServiceError: If it cannot.
    """
    from diptych.schemas.errors import ServiceError

    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.open("a").close()
    except OSError as error:
        raise ServiceError(
            f"Cannot write the log {log}: {error.strerror}. Choose another file with --log."
        ) from error


def _read_token(file: Path | None) -> str:
    """Read the token from the file or the environment; empty if neither has one."""
    from diptych.schemas.errors import ServiceError

    if file is None:
        token = os.environ.get(_TOKEN, "").strip()
        if not token:
            return ""
    else:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ServiceError(f"Cannot read the token from {file}: {error}.") from error
    if len(token) < _MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable():
        raise ServiceError(
            f"The token in {file or _TOKEN} is invalid: at least {_MIN_TOKEN_LENGTH} printable "
            "ASCII characters are required. Generate one with `openssl rand -hex 16`."
        )
    return token
