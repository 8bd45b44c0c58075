"""Webhook that receives the summary of each night. Its address is a secret: it permits to post."""

import contextlib
import logging
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from diptych.schemas.config.config import Config
from diptych.schemas.errors import ConfigError

WEBHOOK_VARIABLE = "DIPTYCH_WEBHOOK"
# Three attempts with pauses of 0 and 4 s, about 20 s in total if the server does not respond.
_TIMEOUT_S = 5
_NUM_RETRIES = 2
_BACKOFF_FACTOR_S = 2.0
_RETRIED_STATUSES = (429, *range(500, 600))
_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


def webhook_url(config: Config) -> str | None:
    """Return the address of the webhook, from the environment or else the configuration.

    Raises:
      ConfigError: If the address does not use HTTP or HTTPS.
    """
    url = os.environ.get(WEBHOOK_VARIABLE) or config.nightly.webhook
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(  # without the address
            f"nightly.webhook, or {WEBHOOK_VARIABLE}, must begin with http:// or https:// and a "
            "host."
        )
    return url


def post_summary(url: str, summary: str, backoff_factor_s: float = _BACKOFF_FACTOR_S) -> str | None:
    """Post JSON to the webhook; repeat after a connection error, a 429 or a 5xx response.

    Other responses are final, and redirects are not followed.

    Args:
      url: Address of the webhook.
      summary: JSON text.
      backoff_factor_s: Unit of the pauses between attempts, as in ``urllib3.Retry``.

    Returns:
      Why the summary was not delivered, without the address; None on success.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        total=_NUM_RETRIES,
        status_forcelist=_RETRIED_STATUSES,
        allowed_methods=("POST",),
        backoff_factor=backoff_factor_s,
        respect_retry_after_header=False,  # it may ask for hours
        raise_on_status=False,
    )
    with requests.Session() as session, _without_urllib3_logs():
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        try:
            with session.post(
                url,
                data=summary.encode(),
                headers={"Content-Type": "application/json"},
                timeout=_TIMEOUT_S,
                allow_redirects=False,
                stream=True,  # the body is not read
            ) as response:
                status = response.status_code
        except requests.RequestException as error:  # its message contains the address
            problem = type(error).__name__
        else:
            if 200 <= status < 300:
                return None
            problem = f"status {status}"
    return f"The webhook at {urlsplit(url).hostname} did not receive the summary: {problem}."


@contextlib.contextmanager
def _without_urllib3_logs() -> Iterator[None]:
    """Disable the loggers of urllib3 that log the path of a request, which may be secret."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    disabled = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, was_disabled in zip(loggers, disabled, strict=True):
            logger.disabled = was_disabled
