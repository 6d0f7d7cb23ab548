"""An issuer of tokens: publishes keys as OpenID Connect providers do, and signs whatever a test asks for."""

import base64
import hashlib
import hmac
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def make(kind):
    if kind == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def jwk(kid, key):
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "kid": kid, "use": "sig", "n": number(numbers.n), "e": number(numbers.e)}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers = public.public_numbers()
        return {"kty": "EC", "crv": "P-256", "kid": kid, "x": number(numbers.x, 32), "y": number(numbers.y, 32)}
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(public.public_bytes_raw())}


def signature(how, key, message):
    if how == "none":
        return b""
    if how == "HS256":
        # The classic confusion: the public key, which everybody knows, as the secret.
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hmac.new(pem, message, hashlib.sha256).digest()
    if how == "PS256":
        return key.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return key.sign(message)


class Issuer(BaseHTTPRequestHandler):
    keys = {}
    published = []

    def reply(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/.well-known/openid-configuration":
            self.reply({"issuer": self.server.url, "jwks_uri": f"{self.server.url}/jwks.json"})
        elif self.path == "/jwks.json":
            self.reply({"keys": [jwk(kid, self.keys[kid]) for kid in self.published]})
        else:
            self.send_error(404)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/make":
            self.keys[asked["kid"]] = make(asked["kind"])
            self.reply(jwk(asked["kid"], self.keys[asked["kid"]]))
        elif self.path == "/publish":
            Issuer.published = asked
            self.reply({})
        elif self.path == "/sign":
            # Header and claims are texts, so that a test decides every byte of them.
            message = f"{b64(asked['header'].encode())}.{b64(asked['claims'].encode())}"
            signed = signature(asked["how"], self.keys[asked["kid"]], message.encode())
            self.reply({"token": f"{message}.{b64(signed)}"})
        else:
            self.send_error(404)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
server.url = f"http://127.0.0.1:{server.server_port}"
print(f"listening on {server.url}", flush=True)
server.serve_forever()
