"""HashiCorp Vault's transit engine, as much of it as wraps keys: its HTTP API with real encryption behind it."""

import hmac
import json
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TOKEN = "hvs.canary-of-a-token"


class Refused(Exception):
    """What Vault answers 400 to."""


@dataclass
class Key:
    """A named key: its versions, and the oldest that still decrypts."""

    derived: bool
    versions: list[bytes]
    oldest: int = 1

    def aead(self, version: int, context: str) -> AESGCM:
        if not self.oldest <= version <= len(self.versions):
            raise Refused("ciphertext or signature version is disallowed by policy")
        secret, info = self.versions[version - 1], b64decode(context or "")
        if self.derived and not info:
            raise Refused("missing 'context' for key derivation")
        return AESGCM(HKDF(hashes.SHA256(), 32, b"", info).derive(secret) if info else secret)


@dataclass
class Engine:
    """The state behind the API; `delay` seconds before each answer, `status` instead of one, `calls` counted."""

    keys: dict[str, Key] = field(default_factory=dict)
    delay: float = 0
    status: int = 0
    calls: list[str] = field(default_factory=list)
    address: str = ""

    def ask(self, path: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """Answer one call of `/v1/transit/…`; None is a 404."""
        verb, name, *act = path.split("/")
        if verb == "keys" and given and not act:
            self.keys.setdefault(name, Key(bool(given.get("derived")), [os.urandom(32)]))
            return {}
        key = self.keys.get(name)
        if key is None:
            return None
        verb = verb if verb != "keys" else act[0] if act else "read"
        return getattr(self, f"_{verb}")(key, given)

    def _read(self, key: Key, _given: dict[str, Any]) -> dict[str, Any]:
        return {"latest_version": len(key.versions), "min_decryption_version": key.oldest}

    def _rotate(self, key: Key, _given: dict[str, Any]) -> dict[str, Any]:
        key.versions.append(os.urandom(32))
        return {}

    def _config(self, key: Key, given: dict[str, Any]) -> dict[str, Any]:
        key.oldest = given.get("min_decryption_version", key.oldest)
        return {}

    def _trim(self, key: Key, given: dict[str, Any]) -> dict[str, Any]:
        for gone in range(given["min_available_version"] - 1):
            key.versions[gone] = b""
        return {}

    def _encrypt(self, key: Key, given: dict[str, Any]) -> dict[str, Any]:
        version, nonce = len(key.versions), os.urandom(12)
        sealed = key.aead(version, given["context"]).encrypt(
            nonce, b64decode(given["plaintext"]), None
        )
        return {"ciphertext": f"vault:v{version}:{b64encode(nonce + sealed).decode()}"}

    def _decrypt(self, key: Key, given: dict[str, Any]) -> dict[str, Any]:
        try:
            _, version, text = given["ciphertext"].split(":")
            sealed = b64decode(text, validate=True)
            opened = key.aead(int(version[1:]), given["context"]).decrypt(
                sealed[:12], sealed[12:], None
            )
        except (ValueError, InvalidTag):
            raise Refused("invalid ciphertext") from None
        return {"plaintext": b64encode(opened).decode()}

    def _rewrap(self, key: Key, given: dict[str, Any]) -> dict[str, Any]:
        return self._encrypt(key, {**given, **self._decrypt(key, given)})

    def _hmac(self, key: Key, given: dict[str, Any]) -> dict[str, Any]:
        return {"hmac": self._mac(key, len(key.versions), given["input"])}

    def _verify(self, key: Key, given: dict[str, Any]) -> dict[str, Any]:
        version = int(given["hmac"].split(":")[1][1:])
        if not key.oldest <= version <= len(key.versions):
            raise Refused("version is disallowed")
        return {
            "valid": hmac.compare_digest(given["hmac"], self._mac(key, version, given["input"]))
        }

    def _mac(self, key: Key, version: int, text: str) -> str:
        tag = hmac.digest(key.versions[version - 1] + b"hmac", b64decode(text), "sha256")
        return f"vault:v{version}:{b64encode(tag).decode()}"


class Handler(BaseHTTPRequestHandler):
    engine: Engine

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self._answer(json.loads(body) if body else {"": ""})

    do_PUT = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing: the lines would stand between those of the tests."""

    def _answer(self, given: dict[str, Any]) -> None:
        path = self.path.removeprefix("/v1/")
        self.engine.calls.append(path)
        time.sleep(self.engine.delay)
        if self.engine.status:
            return self._send(self.engine.status, {"errors": ["as told"]})
        if self.headers["X-Vault-Token"] != TOKEN:
            return self._send(403, {"errors": ["permission denied"]})
        if not path.startswith("transit/"):
            return self._send(200, {"data": {}})
        try:
            data = self.engine.ask(path.removeprefix("transit/"), given)
        except Refused as refused:
            return self._send(400, {"errors": [str(refused)]})
        return self._send(404, {"errors": []}) if data is None else self._send(200, {"data": data})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that would not wait has hung up."""


@contextmanager
def transit() -> Iterator[Engine]:
    """Serve an empty engine."""
    engine = Engine()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"engine": engine}))
    engine.address = f"http://127.0.0.1:{server.server_port}/transit"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
