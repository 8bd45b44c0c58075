"""``diptych serve``."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diptych.cli.errors import explained
from diptych.cli.model_option import find_model, model_option

if TYPE_CHECKING:
    from diptych.serving.served_model import ServedModel

_TOKEN = "DIPTYCH_TOKEN"
_SHORTEST_TOKEN = 16


@click.command()
@model_option
@click.option(
    "--gallery",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the gallery that /identify looks in and /enroll adds to.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.option(
    "--replicas",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that each have the model.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"File with the token that is asked for. Default: {_TOKEN}, or a new one, which is shown.",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("diptych-serve.log"),
    show_default=True,
    help="File for everything but the few lines on the console.",
)
@explained()
def serve(
    model: Path | None,
    gallery: Path | None,
    host: str,
    port: int,
    replicas: int,
    token_file: Path | None,
    log: Path,
) -> None:
    """Serves the newest pushed model over HTTP, until Ctrl-C.

    A version that is pushed meanwhile is taken up. Open the page that is printed, or see
    docs/serving.md for the interface.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    from diptych.cli.console import quiet
    from diptych.serving.server import is_loopback, listening_socket

    try:
        folder = find_model(Path()) if model is None else model
        given = _given_token(token_file)
        token = given or secrets.token_urlsafe(24)
        taken = listening_socket(host, port)
        with quiet(log) as console:
            from diptych.serving.service import Settings, serve_model

            def ready(served: "ServedModel") -> None:
                name = f"[{host}]" if ":" in host else host
                address = f"http://{name}:{port}"
                manifest = served.manifest
                console.print(f"Model    {manifest.name}, version {manifest.version}", markup=False)
                console.print(f"Address  {address}")
                # Who has given a token knows it; consoles are kept in logs.
                secret = "" if given else f"#token={token}"
                console.print(f"Page     {address}/{secret}", markup=False)
                console.print(f"Log      {log}", markup=False)
                if not is_loopback(host):
                    console.print(
                        "Others can reach it: the token goes over the network as it is. Put a "
                        "proxy with TLS before it."
                    )
                console.print("Ctrl-C ends it.")

            def news(line: str) -> None:
                console.print(f"{line[0].upper()}{line[1:]}", markup=False)

            settings = Settings(folder.absolute(), gallery, host, replicas, token)
            serve_model(settings, taken, ready, news)
            console.print("Ended.")
    except KeyboardInterrupt:  # while it was starting
        raise click.ClickException("Interrupted.") from None


def _given_token(file: Path | None) -> str:
    """From the file, else from the environment; empty if there is none."""
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
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ServiceError(
            f"A token has at least {_SHORTEST_TOKEN} printable ASCII characters, such as "
            f"`openssl rand -hex 16` makes; that of {file or _TOKEN} has not."
        )
    return token
