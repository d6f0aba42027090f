"""A real S3 server on loopback (moto's), and a hand on its door: requests can be seen, held and refused."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEYS = {
    "AWS_ACCESS_KEY_ID": "loopback",
    "AWS_SECRET_ACCESS_KEY": "never-to-be-seen",
    "AWS_REGION": "us-east-1",
}
NOWHERE = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
ALONE = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Call:
    """One request: `PUT`, and the object's name without its bucket."""

    method: str
    name: str
    checksum: str | None = None
    """The sha256 that the server is to check the bytes by, base64 (moto does not)."""


def let_in(_call: Call) -> int | None:
    """No request is refused."""
    return None


@dataclass
class Bucket:
    """One bucket of the server."""

    server: S3Server
    name: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Every object's bytes, by its name."""
        client = self.server.client()
        listed = client.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", [])
        return {
            found["Key"]: client.get_object(Bucket=self.name, Key=found["Key"])["Body"].read()
            for found in listed
        }

    def put(self, name: str, content: bytes) -> str:
        """Make an object; its URL."""
        self.server.client().put_object(Bucket=self.name, Key=name, Body=content)
        return f"{self.url}/{name}"

    def remove(self, name: str) -> None:
        """Take an object away."""
        self.server.client().delete_object(Bucket=self.name, Key=name)


@dataclass
class S3Server:
    """The server. `answer` is asked before each request: a status refuses it; it may also wait."""

    answer: Callable[[Call], int | None] = let_in
    calls: list[Call] = field(default_factory=list)
    _names: Iterable[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        """Serve until `stop`."""
        self._moto: Any = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Silent)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a program finds the server and nothing else."""
        return {
            **KEYS,
            **NOWHERE,
            **ALONE,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
        }

    def client(self) -> Any:
        """A client of the test's own, which `answer` does not hear of."""
        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )

    def bucket(self) -> Bucket:
        """A new, empty bucket."""
        name = f"clips-{next(iter(self._names))}"
        self.client().create_bucket(Bucket=name)
        return Bucket(self, name)

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if KEYS["AWS_ACCESS_KEY_ID"] in environ.get("HTTP_AUTHORIZATION", ""):
            name = environ["PATH_INFO"].lstrip("/").partition("/")[2]
            call = Call(environ["REQUEST_METHOD"], name, environ.get("HTTP_X_AMZ_CHECKSUM_SHA256"))
            self.calls.append(call)
            status = self.answer(call)
            if status is not None:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                code = "AccessDenied" if status == 403 else "ServiceUnavailable"
                start_response(f"{status} X", [("Content-Type", "application/xml")])
                if call.method == "HEAD":
                    return []
                return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]
        return self._moto(environ, start_response)


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""
