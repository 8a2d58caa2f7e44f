"""What a request is refused with: a status, and one line that says what to do."""


class Refusal(Exception):  # noqa: N818  (an answer, not a fault)
    """A request that is not answered as it was meant.

    Args:
        status: HTTP's.
        reason: One line for whoever sent it; without anything of this machine.
        retry_after: Seconds after which it may be sent again.
    """

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
