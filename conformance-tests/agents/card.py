"""Reads the card at a URL with whichever official SDK is installed, and prints what it made of it as JSON."""

import json
import sys
import urllib.request

card = json.load(urllib.request.urlopen(sys.argv[1]))
try:
    from a2a.client.card_resolver import parse_agent_card
except ImportError:
    from a2a.types import AgentCard

    read = AgentCard.model_validate(card)
    reachable = [[read.preferred_transport, read.url, read.protocol_version]]
    schemes = {name: scheme.root.type for name, scheme in (read.security_schemes or {}).items()}
    required = [sorted(alternative) for alternative in read.security or []]
else:
    read = parse_agent_card(card)
    reachable = [[i.protocol_binding, i.url, i.protocol_version] for i in read.supported_interfaces]
    schemes = {name: scheme.WhichOneof("scheme") for name, scheme in read.security_schemes.items()}
    required = [sorted(alternative.schemes) for alternative in read.security_requirements]
print(json.dumps({"name": read.name, "reachable": reachable, "schemes": schemes, "required": required}))
