"""What an agent or client saw, as JSON lines: the tests judge from these, not from what the broker says."""

import json
import time


class WireLog:
    """Appends one JSON object a line, at once."""

    def __init__(self, path: str | None) -> None:
        self._file = open(path, "a", buffering=1, encoding="utf-8") if path else None

    def write(self, what: str, **facts: object) -> None:
        """Notes that something happened, with a monotonic and a wall-clock time."""
        line = {"what": what, "at": time.time(), "mono": time.monotonic(), **facts}
        if self._file:
            self._file.write(json.dumps(line) + "\n")
