"""Where a URL leads, and where a key may go."""

from __future__ import annotations

import pytest
from reelsweep.tasks.artifacts.origin import AllowedHost, Origin, key_may_go_to, origin_of

BASE = "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.COM/a?b=c", Origin("https", "example.com", 443)),
        ("http://example.com:8080", Origin("http", "example.com", 8080)),
        ("https://[2606:4700::1]:444/x", Origin("https", "2606:4700::1", 444)),
        ("https://bücher.example/x", Origin("https", "xn--bcher-kva.example", 443)),
    ],
)
def test_an_origin_is_scheme_host_and_port_as_connected_to(url: str, expected: Origin) -> None:
    """Case, default ports and international names are spelled one way."""
    assert origin_of(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/x",
        "gopher://example.com",
        "//example.com/x",
        "/files/video",
        "https://",
        "https://user:pw@example.com/",
        "https://api.example.com@evil.example/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_plain_http_url_has_no_origin(url: str) -> None:
    """Other schemes, relative addresses, user names and impossible ports are refused."""
    with pytest.raises(ValueError, match=r".+"):
        origin_of(url)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://api.example.com/v1/videos/1", True),
        ("https://API.example.com:443/anything", True),
        ("http://api.example.com/v1", False),
        ("https://api.example.com:8443/v1", False),
        ("https://example.com/v1", False),
        ("https://api.example.com.evil.example/v1", False),
        ("https://api.example.com@evil.example/v1", False),
        ("https://evil.example/?https://api.example.com/v1", False),
        ("https://api.example.com\\@evil.example/", False),
        ("not a url", False),
    ],
)
def test_the_key_goes_to_the_origin_of_the_base_url_only(url: str, may: bool) -> None:
    """Same scheme, host and port, or no key."""
    assert key_may_go_to(url, BASE) is may


def test_the_key_goes_over_http_on_this_machine_only() -> None:
    """Plain http carries a key to loopback and nowhere else."""
    assert key_may_go_to("http://127.0.0.1:8000/v1/x", "http://127.0.0.1:8000/v1")
    assert key_may_go_to("http://localhost:8000/v1/x", "http://localhost:8000/v1")
    assert not key_may_go_to("http://10.0.0.5:8000/v1/x", "http://10.0.0.5:8000/v1")


@pytest.mark.parametrize(
    ("text", "covered", "not_covered"),
    [
        ("media.example.com", ("media.example.com", 8080), ("x.media.example.com", 80)),
        ("Media.Example.com:8080", ("media.example.com", 8080), ("media.example.com", 80)),
        ("10.0.0.5", ("10.0.0.5", 443), ("10.0.0.6", 443)),
        ("[::1]:9000", ("::1", 9000), ("::1", 9001)),
        ("::1", ("::1", 9001), ("::2", 9001)),
    ],
)
def test_an_allowed_host_covers_its_host_and_port(
    text: str, covered: tuple[str, int], not_covered: tuple[str, int]
) -> None:
    """An entry without a port covers all ports of exactly that host."""
    allowed = AllowedHost.parse(text)
    assert allowed.covers(*covered)
    assert not allowed.covers(*not_covered)


@pytest.mark.parametrize("text", ["", "http://x.example", "x.example/path", "me@x.example", "x.example:port"])
def test_an_allowed_host_is_a_host_and_nothing_more(text: str) -> None:
    """URLs, paths and user names are not hosts."""
    with pytest.raises(ValueError, match="expected HOST"):
        AllowedHost.parse(text)
