"""Tells a webhook how a night went. Its address is a secret: who knows it may post."""

import os
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from diptych.schemas.config.config import Config
from diptych.schemas.errors import ConfigError

VARIABLE = "DIPTYCH_WEBHOOK"
_TIMEOUT_S = 5
_WAITS_S = (1.0, 3.0)  # before the second and the third attempt


def webhook_of(config: Config) -> str | None:
    """The address to post to: of the environment, else of the configuration; None: there is none.

    Raises:
      ConfigError: it is not of HTTP or HTTPS.
    """
    url = os.environ.get(VARIABLE) or config.nightly.webhook
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(  # without the address
            f"nightly.webhook, or {VARIABLE}, must begin with http:// or https:// and a host."
        )
    return url


def post(url: str, line: str, waits_s: Sequence[float] = _WAITS_S) -> str | None:
    """Sends JSON, at most once more than there are waits.

    What is refused (4xx) is not sent again; a redirection is not followed.

    Returns:
      Why it did not arrive, without the secret; None: it did.
    """
    import requests

    for wait in (*waits_s, None):
        try:
            with requests.post(
                url,
                data=line.encode(),
                headers={"Content-Type": "application/json"},
                timeout=_TIMEOUT_S,
                allow_redirects=False,
                stream=True,  # a body without end is left unread
            ) as answer:
                status = answer.status_code
        except requests.RequestException as error:  # its message has the address
            problem, is_final = type(error).__name__, False
        else:
            if 200 <= status < 300:
                return None
            problem, is_final = f"status {status}", status < 500 and status != 429
        if is_final or wait is None:
            break
        time.sleep(wait)
    return f"The webhook at {urlsplit(url).hostname} was not told: {problem}."
