"""What a client is told that asks for what cannot be."""


class Refusal(Exception):
    """An answer other than 200, with its reason in the body.

    Args:
      status: of HTTP, 4xx or 503.
      reason: what was needed, and what came.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
