"""What was asked, as one hash: canonical JSON (RFC 8785) and sha256, versioned.

Used by `plan` for every cell; the ledger's key is (`gateway_name`, `request_fingerprint`). Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import SplitResult, urlsplit

import orjson
import rfc8785
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.request import Json

FINGERPRINT_VERSION = 1
"""A new version is a migration that keeps the old hash as an alias, never a reason to buy again."""

EXCLUDED: Mapping[str, str] = {
    "stream": "always true on the wire: how the answer travels, not what it is",
    "user": "names the caller for the gateway's abuse watch; it does not reach the model",
}
"""Request fields outside the fingerprint, each with the reason why it cannot change the result."""

EXCUSED: Mapping[str, str] = {
    "ordinal": "the place in the plan: re-ordering a table buys nothing again",
    "prompt_id": "a name",
    "row_idx": "the place in the table",
    "output": "how the result is judged; two judgements of one request are a table error",
    "model": "in the payload",
    "request_fingerprint": "what is computed",
    "prompt": "in the payload, as its messages",
    "seed": "in the payload",
    "params": "in the payload, as parameters or inside the messages",
    "meta": "carried, never sent",
    "images": "in the payload, as the sha256 of their bytes",
    "follows": "in the payload, in place of the turn",
}
"""Fields of GenerationSpec that are not hashed by themselves, each with its reason."""

_SAFE_INT = 2**53 - 1
_INT_TAG = "reelsweep-int:"
_TEXT_TAG = "reelsweep-text:"
_TAGS = (_INT_TAG, _TEXT_TAG)


def request_fingerprint(payload: Mapping[str, Json], sample_idx: int) -> str:
    """64 hex digits that name one request: sha256 over canonical `{v, payload, sample_idx}`."""
    return fingerprint_digest(canonical_payload(payload), sample_idx).hex()


def is_asked_by(fingerprint: str, payload: str, sample_idx: int) -> bool:
    """Whether `payload`, as JSON, is the whole request that a fingerprint names."""
    try:
        return request_fingerprint(json.loads(payload), sample_idx) == fingerprint
    except ValueError:
        return False


def canonical_payload(payload: Mapping[str, Json]) -> bytes:
    """The canonical bytes of a payload, without the fields that are `EXCLUDED`."""
    return canonical({name: value for name, value in payload.items() if name not in EXCLUDED})


def fingerprint_digest(payload: bytes, sample_idx: int) -> bytes:
    """The 32 bytes of a fingerprint, from `canonical_payload`: samples of one request share that."""
    document = b'{"payload":%b,"sample_idx":%d,"v":%d}' % (payload, sample_idx, FINGERPRINT_VERSION)
    return sha256(document).digest()


def canonical(value: Json) -> bytes:
    """RFC 8785 JSON of a value; different values give different bytes.

    RFC 8785 cannot hold integers beyond ±(2^53-1): they are written as strings tagged
    `reelsweep-int:`, and a string that begins like a tag is tagged `reelsweep-text:`.
    Raises ValueError for what JSON cannot hold (NaN, infinities, lone surrogates, 200 levels).
    """
    try:
        if _is_plain(value):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return rfc8785.dumps(_tag(value))
    except (TypeError, RecursionError, UnicodeEncodeError, rfc8785.CanonicalizationError) as error:
        raise ValueError(f"no canonical JSON: {error}") from None


def _is_plain(value: Json) -> bool:
    """True where a plain serialiser writes exactly the canonical bytes (a law in the tests).

    It is 10 times faster. Keys beyond ASCII sort differently (UTF-16), and JavaScript writes whole, tiny
    and huge floats its own way. A chain of exact types: `match` takes three times as long, and this runs
    for every cell of a plan.
    """
    if type(value) is str:
        return not value.startswith(_TAGS)
    if type(value) is dict:
        for key, item in value.items():  # noqa: SIM110 - a generator in all() takes twice as long
            if not (key.isascii() and _is_plain(item)):
                return False
        return True
    if type(value) is list:
        for item in value:  # noqa: SIM110 - likewise
            if not _is_plain(item):
                return False
        return True
    if type(value) is int:
        return -_SAFE_INT <= value <= _SAFE_INT
    if type(value) is float:
        return 1e-3 <= abs(value) < 1e15 and not value.is_integer()
    return type(value) is bool or value is None


def _tag(value: Json) -> Json:
    match value:
        case str() if value.startswith(_TAGS):
            return _TEXT_TAG + value
        case int() if not -_SAFE_INT <= value <= _SAFE_INT:
            return f"{_INT_TAG}{value}"
        case list():
            return [_tag(item) for item in value]
        case dict():
            return {key: _tag(item) for key, item in value.items()}
        case _:
            return value


def gateway_name(url: str) -> str:
    """The gateway behind a base URL: normalised origin and path, without `/v1` or `/chat/completions`.

    `https://x`, `https://X:443/v1/` and `https://x/v1/chat/completions` are one gateway, `https://x`.
    Raises SettingsError for what is not the plain http(s) address of a gateway; credentials are not repeated.
    """
    parts = _split(url)
    segments = [segment for segment in parts.path.split("/") if segment]
    if segments[-2:] == ["chat", "completions"]:
        del segments[-2:]
    if segments[-1:] == ["v1"]:
        del segments[-1:]
    return "/".join([_origin(parts), *segments])


def base_url(url: str) -> str:
    """Where requests go: the gateway's name with its version path, `/v1` unless it has one of its own."""
    name = gateway_name(url)
    last = name.rsplit("/", 1)[-1]
    return name if last[:1] == "v" and last[1:].isdigit() else f"{name}/v1"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_ok = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_ok:
        raise SettingsError("a gateway's URL has the form https://host/v1.", "Check --gateway.")
    if "@" in parts.netloc:
        raise SettingsError(
            "a gateway's URL holds no user name or password.", "Name the key with --api-key-env."
        )
    if parts.query or parts.fragment:
        raise SettingsError(
            "a gateway's URL has no query or fragment.", "Put query parameters into a profile's url_query."
        )
    return parts


def _origin(parts: SplitResult) -> str:
    host = _ascii_host((parts.hostname or "").rstrip("."))
    default = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _ascii_host(host: str) -> str:
    if ":" in host:
        return f"[{host}]"
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise SettingsError(
            "a gateway's URL has the form https://host/v1.", "Check the host's name."
        ) from None
