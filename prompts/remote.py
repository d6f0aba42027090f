"""Files behind a URL such as `s3://bucket/key`: how one is called, and why it cannot be had.

Used for tables and for output folders. The words hold no key: of an error only its kind is told, since
the texts of file systems may hold anything. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

_NO_CREDENTIALS = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "NoAuthTokenError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "SSOTokenLoadError",
        "ProfileNotFound",
        "DefaultCredentialsError",
        "ClientAuthenticationError",
    }
)
_UNREACHABLE = frozenset(
    {
        "ConnectionError",
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "TimeoutError",
        "ServerTimeoutError",
        "HTTPClientError",
        "ClientConnectionError",
        "ClientPayloadError",
    }
)
_S3 = ("s3", "s3a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a file cannot be had, in half a sentence, and what to do."""

    why: str
    remedy: str
    may_pass: bool
    """Whether trying again may help."""


def is_remote(text: str) -> bool:
    """Whether `text` is a URL of another place than this machine's files."""
    return "://" in text and not text.startswith("file://")


def shown_url(url: str) -> str:
    """A URL without user, password and query; a chained one (`zip://…::s3://…`) part by part."""
    return "::".join(_shown_part(part) if "://" in part else part for part in url.split("::"))


def _shown_part(url: str) -> str:
    scheme, rest = url.split("://", 1)
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}".partition("?")[0]


def refusal(error: BaseException, url: str) -> Refusal:
    """What an error of a file system (fsspec and what is below it) means for a file at `url`."""
    scheme = url.partition("://")[0]
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "ImportError" in kinds:
        package = "reelsweep[s3]" if scheme in _S3 else f"fsspec[{scheme}]"
        return _final(f"nothing is installed that reads {scheme}://", f"Install it: pip install '{package}'.")
    if kinds & _NO_CREDENTIALS:
        names = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        return _final("no credentials were found", f"Set {names if scheme in _S3 else 'them'}.")
    if "PermissionError" in kinds:
        return _final("access is denied", "Check the credentials and what they may do there.")
    if "FileNotFoundError" in kinds:
        return _final("there is no such bucket or folder", "Check the address, or make it.")
    if "ParamValidationError" in kinds:
        return _final("this is no name of a bucket", "Check the address.")
    if "ValueError" in kinds:
        return _final(f"{scheme}:// is no file system that is known here", "Check the address.")
    if kinds & _UNREACHABLE:
        named = " and AWS_ENDPOINT_URL" if scheme in _S3 else ""
        return Refusal(
            why="it cannot be reached", remedy=f"Check the network{named}, then try again.", may_pass=True
        )
    return Refusal(
        why=f"its file system failed ({type(error).__name__})", remedy="Try again later.", may_pass=True
    )


def _final(why: str, remedy: str) -> Refusal:
    return Refusal(why=why, remedy=remedy, may_pass=False)
