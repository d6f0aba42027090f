"""One gateway has one name, however its address is written."""

from __future__ import annotations

import pytest
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.fingerprint import base_url, gateway_name


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com/v1",
        "https://api.example.com/v1/",
        "https://api.example.com//v1",
        "https://api.example.com/v1/chat/completions",
        "https://api.example.com/v1/chat/completions/",
        "https://api.example.com:443/v1",
        "HTTPS://API.Example.COM/v1",
        "https://api.example.com./v1",
        " https://api.example.com/v1 ",
    ],
)
def test_every_spelling_of_an_address_is_one_gateway(url):
    """Case, default port, slashes and the standard paths do not make another gateway."""
    assert gateway_name(url) == "https://api.example.com"
    assert base_url(url) == "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("url", "name", "base"),
    [
        ("http://example.com:8080/v1", "http://example.com:8080", "http://example.com:8080/v1"),
        ("http://example.com:80", "http://example.com", "http://example.com/v1"),
        ("https://example.com:80", "https://example.com:80", "https://example.com:80/v1"),
        ("https://example.com/api/v1", "https://example.com/api", "https://example.com/api/v1"),
        ("https://example.com/paas/v4", "https://example.com/paas/v4", "https://example.com/paas/v4"),
        ("http://[::1]:9/v1", "http://[::1]:9", "http://[::1]:9/v1"),
        ("https://bücher.example", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example/v1"),
        ("https://example.com/Case", "https://example.com/Case", "https://example.com/Case/v1"),
    ],
)
def test_another_scheme_port_or_path_is_another_gateway(url, name, base):
    """What tells two servers apart stays in the name; a version path of its own is kept."""
    assert gateway_name(url) == name
    assert base_url(url) == base
    assert gateway_name(base) == name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/v1",
        "ftp://example.com",
        "https://",
        "https://example.com:0x/v1",
        "https://example.com:99999",
        "https://example.com/v1?key=sesame",
        "https://example.com/v1#sesame",
        "https://user:sesame@example.com/v1",
        "https://[::1",
    ],
)
def test_what_is_no_plain_address_is_refused_without_repeating_it(url):
    """Credentials and queries in an address are refused and never printed."""
    with pytest.raises(SettingsError) as caught:
        gateway_name(url)
    assert "sesame" not in repr(caught.value)
    assert caught.value.remedy
