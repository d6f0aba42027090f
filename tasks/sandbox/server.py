"""Serving the sandbox: here and blocking, or as a process of its own that ends with its parent.

Loopback only: it has no rate limit, believes its control token, and says what it is told to say.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import logging
import os
import secrets
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reelsweep.prompts.errors import SettingsError, TroubleError
from reelsweep.tasks.sandbox.bill import BillLine, parse_bill
from reelsweep.tasks.sandbox.script import Script

START_TIMEOUT_S = 60.0
CONTROL_TIMEOUT_S = 60.0
_BACKLOG = 4096


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    script: Script | None = None,
    key: str | None = None,
    bill: Path | None = None,
    *,
    control_token: str | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted; `on_ready` is called with the base URL once connections are taken.

    Raises SettingsError for an address that is not loopback, or a port or bill in use.
    """
    # Here and not above: whoever only wants to start a process needs neither server nor renderer.
    import uvicorn
    from reelsweep.tasks.sandbox.app import close_app, create_app
    from reelsweep.tasks.sandbox.protocol import SandboxProtocol

    # A client that is cut off on purpose is no news; a mistake of ours is.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    with contextlib.closing(_listen(host, port)) as listener:
        app = create_app(script or Script(), key=key, bill=bill, control_token=control_token)
        config = uvicorn.Config(
            app,
            http=SandboxProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
            backlog=_BACKLOG,
        )
        if on_ready is not None:
            on_ready(_base_url(listener))
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            return
        finally:
            close_app(app)


def _listen(host: str, port: int) -> socket.socket:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise SettingsError(f"the sandbox serves loopback only, got {host!r}.", "Use 127.0.0.1.")
    listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(address), port))
        # Connections wait here until the server takes them, so it is ready from now on.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"port {port} of {host} cannot be used: {error.strerror}.", "Name another."
        ) from None
    return listener


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


class SandboxServer:
    """A sandbox in a process of its own, on loopback. Use it as a context manager.

    It ends when this process does, however that ends, and not by Ctrl-C: it is in no terminal's group.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        key: str | None = None,
        bill: Path | None = None,
        port: int = 0,
    ) -> None:
        self._script, self._key, self._bill, self._port = script or Script(), key, bill, port
        self._control_token = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[str] | None = None
        self.base_url = ""
        """`http://127.0.0.1:PORT/v1`, once it is started."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's id; raises TroubleError when it is not started."""
        return self._running().pid

    def start(self) -> None:
        """Start it and wait until it answers; raises SettingsError when port or bill are in use."""
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", "reelsweep.tasks.sandbox"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=_without_secrets(),
        )
        try:
            self.base_url = self._await_ready(self._process)
            self._ask("GET", "/healthz")
        except BaseException:
            self.stop()
            raise

    def _await_ready(self, process: subprocess.Popen[str]) -> str:
        """Hand over the settings (by the pipe: they hold the key) and read where it serves."""
        if process.stdin is None or process.stdout is None:
            raise TroubleError("the sandbox's pipes are missing.")
        settings = {
            "script": self._script.model_dump(mode="json"),
            "key": self._key,
            "bill": str(self._bill.absolute()) if self._bill else None,
            "port": self._port,
            "control_token": self._control_token,
        }
        try:
            process.stdin.write(json.dumps(settings) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise TroubleError("the sandbox ended at once.", "Its reason is on stderr.") from None
        readable, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
        line = process.stdout.readline() if readable else ""
        answer: dict[str, str] = json.loads(line or "{}")
        if "error" in answer:
            raise SettingsError(answer["error"], answer["remedy"])
        if "base_url" not in answer:
            raise TroubleError("the sandbox did not start.", "Its reason is on stderr.")
        return answer["base_url"]

    def stop(self) -> None:
        """End it; what it has taken stays open on the bill."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()

    def control(self, script: Script) -> None:
        """Behave as this script says from now on; counters begin anew, the bill goes on."""
        self._ask("POST", "/script", script.model_dump_json())

    def bill(self) -> tuple[BillLine, ...]:
        """The bill so far."""
        return parse_bill(self._ask("GET", "/bill").splitlines())

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise TroubleError("the sandbox is not running.", "Use it as a context manager.")
        return self._process

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        self._running()
        host = self.base_url.removeprefix("http://").removesuffix("/v1")
        headers = {"X-Sandbox-Token": self._control_token}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        connection = http.client.HTTPConnection(host, timeout=CONTROL_TIMEOUT_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise SettingsError(f"the sandbox refused {path}: {answer.decode(errors='replace')[:300]}")
        return answer


def _without_secrets() -> dict[str, Any]:
    """This process's environment without what looks like a key: the sandbox needs none."""
    secret = ("KEY", "TOKEN", "SECRET", "PASSWORD")
    return {
        name: value for name, value in os.environ.items() if not any(word in name.upper() for word in secret)
    }
