"""What a scripted agent is told: the text of a message is a JSON script, whichever version of A2A carries it."""

import json

DELEGATION = "urn:bailiwick:ext:delegation:v1"


def read_script(text: str) -> dict:
    """The script, or one that echoes the text."""
    try:
        script = json.loads(text)
    except ValueError:
        script = None
    return script if isinstance(script, dict) else {"chunks": [text]}
