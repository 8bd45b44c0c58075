"""Errors that the service reports to the client."""

from starlette.exceptions import HTTPException


class ApiError(HTTPException):
    """An error response with the body ``{"error": detail}``.

    A separate class, because Starlette raises ``HTTPException`` for unknown paths and methods,
    which are answered in another form.

    Args:
      status_code: HTTP status, 4xx or 503.
      detail: What is wrong and what is expected.
    """
