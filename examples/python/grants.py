"""Verifies a grant offline and says whether it admits a request: what a tool needs, on PyJWT alone."""

import re
from decimal import Decimal
from json import loads
from operator import ge, le, lt
from time import time
from urllib.parse import unquote

import jwt

CURVES = {("OKP", "Ed25519"): "EdDSA", ("EC", "P-256"): "ES256"}
OPERATORS = {"<=": le, ">=": ge, "<": lt}
TEXTS = ("iss", "sub", "client_id", "jti", "txn", "task", "scope")
TIMES = ("iat", "nbf", "exp")


class Refused(Exception):
    """The grant is no good; the text says why."""


def verify(token: str, jwks: dict, issuer: str, audience: str) -> dict:
    """The claims of a grant that is good for this tool now; raises `Refused`."""
    try:
        # One encoding only, and no member twice: others might read another token.
        parts = token.split(".")
        decoded = [jwt.utils.base64url_decode(part) for part in parts]
        if len(parts) != 3 or len(token) > 65536 or any(
            jwt.utils.base64url_encode(bytes).decode() != part for bytes, part in zip(decoded, parts)
        ):
            raise Refused("not a grant: expected three parts in canonical base64url")
        header, claims = (loads(part, object_pairs_hook=unique) for part in decoded[:2])
        if {"crit", "jku", "jwk", "x5u", "x5c"} & header.keys() or str(header.get("typ")).lower() != "at+jwt":
            raise Refused("not a grant: its header asks for something else")
        [key] = [key for key in jwks["keys"] if key.get("kid") == header["kid"]]
        algorithm = CURVES[key["kty"], key["crv"]]  # the key decides, not the token
        options = {"require": ["iss", "aud", *TIMES]}
        jwt.decode(token, jwt.PyJWK(key, algorithm), [algorithm], options, audience=audience, issuer=issuer)
        [details] = claims["authorization_details"]
        capabilities = details["capabilities"]
        if (
            claims["aud"] not in (audience, [audience])
            or any(type(claims[name]) is not str for name in TEXTS)
            or any(type(claims[name]) is not int or claims[name] < 0 for name in TIMES)
            or claims["exp"] - claims["iat"] > 900
            or details.keys() != {"type", "capabilities"}
            or details["type"] != "a2a_capability"
            or len(capabilities) > 64
            or claims["scope"] != " ".join(capabilities)
        ):
            raise Refused("not a grant: its claims are not those of one")
    except (jwt.PyJWTError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"not a good grant: {error}") from error
    if "cnf" in claims:
        raise Refused("the grant is bound to a key, which is not supported here")
    return claims


def admits(claims: dict, kind: str, path: list[str], arguments: dict) -> bool:
    """Whether the grant admits a request, such as `mcp:tool`, `["search"]`, `{"limit": 5}`. Arguments are integers
    (money in millionths), words, or paths as lists of segments."""
    return any(one_admits(text, kind, path, arguments) for text in claims["authorization_details"][0]["capabilities"])


def one_admits(text: str, kind: str, path: list[str], arguments: dict) -> bool:
    resource, _, constraints = text.removesuffix("}").partition("{")
    own, _, pattern = resource.partition("/")
    return own == kind and fits(pattern, path) and all(holds(one, arguments) for one in constraints.split(";") if one)


def fits(pattern: str, path: list[str]) -> bool:
    wanted = pattern.split("/")
    is_plain = all(segment not in ("", ".", "..") for segment in path)
    if wanted[-1] == "**":
        wanted = wanted[:-1] + ["*"] * (len(path) - len(wanted) + 1)
    return is_plain and len(wanted) == len(path) and all(
        segment.startswith(unquote(one[:-1])) if one.endswith("*") else segment == unquote(one)
        for one, segment in zip(wanted, path)
    )


def holds(constraint: str, arguments: dict) -> bool:
    parts = re.fullmatch(r"([a-z][a-z0-9_-]*)(<=|>=|!=|=|<|~/)(.+)", constraint)
    name, operator, bound = parts.groups() if parts else ("", "", "")
    # A window is about now; its holder has passed it on no further.
    value = (arguments | {"nbf": int(time()), "exp": int(time()), "hops": 0, "rate": None}).get(name)
    if type(value) is int and value >= 0 and operator in OPERATORS:
        return OPERATORS[operator](value, int(Decimal(bound) * 1_000_000) if name == "usd" else int(bound))
    if type(value) is str and operator in ("=", "!="):
        return (value in map(unquote, bound.split("|"))) == (operator == "=")
    if type(value) is list and operator == "~/":
        return fits(bound, value)
    return False  # what is not understood (a host, a rate) admits nothing


def unique(pairs: list) -> dict:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Refused("not a grant: a member stands there twice")
    return members
