"""What the door lets out, to where, and what it lets back in. No packet leaves the machine."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from reelsweep.tasks.artifacts.client import DownloadClient
from reelsweep.tasks.artifacts.door import AddressError, AnswerError, Door, DoorError, RedirectError
from reelsweep.tasks.artifacts.origin import Origin, origin_of

URL = "http://clips.example.com/a.mp4?sig=SECRET"
KEY = {"Authorization": "Bearer SECRET"}


async def got(door: Door, url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """The status and body of a URL through a door."""
    async with DownloadClient(door) as client:
        response = await client.get(url, headers=headers or {}, idle_s=20)
        try:
            return response.status_code, b"".join([chunk async for chunk in response.aiter_raw()])
        finally:
            await response.aclose()


async def test_a_public_name_is_fetched_from_the_address_that_was_judged(net, server, answer) -> None:
    """The name is resolved once, the connection goes to its address, the Host header keeps the name."""
    server.handler = lambda request: answer(body=b"clip")
    assert await got(net.door(), URL) == (200, b"clip")
    assert (net.asked, net.connected) == (["clips.example.com"], [("93.184.215.14", 80)])
    assert server.requests[0].target == "/a.mp4?sig=SECRET"
    assert server.requests[0].headers["host"] == "clips.example.com"
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:10.0.0.1"],
        ["93.184.215.14", "10.0.0.1"],
    ],
)
async def test_a_name_with_a_private_address_is_refused_unconnected(net, addresses: list[str]) -> None:
    """One answer that is not public refuses the name, whatever the others are; nothing is sent."""
    net.names["clips.example.com"] = addresses
    with pytest.raises(AddressError) as refused:
        await got(net.door(), URL)
    assert net.connected == []
    assert "SECRET" not in str(refused.value)
    assert "--allow-host clips.example.com:80" in refused.value.remedy


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "2130706433", "0x7f.1", "localhost"]
)
async def test_this_machine_is_refused_however_it_is_spelled(net, host: str) -> None:
    """Literal addresses, old spellings and names of loopback go through the same judgement."""
    net.names |= {name: ["127.0.0.1"] for name in ("127.0.0.1", "2130706433", "0x7f.1", "localhost")}
    net.names |= {"::1": ["::1"], "::ffff:7f00:1": ["::ffff:127.0.0.1"]}
    with pytest.raises(AddressError):
        await got(net.door(), f"http://{host}/x")
    assert net.connected == []


async def test_the_systems_resolver_is_judged_too() -> None:
    """Without a resolver of the test's own, localhost leads to loopback and is refused."""
    with pytest.raises(AddressError, match="not on the public internet"):
        await got(Door(), "http://localhost:9/x")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://clips.example.com/x", "http://me:pw@clips.example.com/x", "/x", "http://"],
)
async def test_only_plain_http_urls_pass(net, url: str) -> None:
    """Other schemes, user names and relative addresses are refused before any name is resolved."""
    with pytest.raises(AddressError):
        await got(net.door(), url)
    assert net.asked == []


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://inside.example.com/",
        "file:///etc/passwd",
        "//[::1]/x",
    ],
)
async def test_a_redirect_leads_through_the_door(net, server, answer, location: str) -> None:
    """A public server cannot send us to a private address, a private name or another scheme."""
    net.names |= {"169.254.169.254": ["169.254.169.254"], "inside.example.com": ["10.0.0.1"], "::1": ["::1"]}
    server.handler = lambda request: answer(302, headers={"Location": location})
    with pytest.raises(AddressError):
        await got(net.door(), URL)
    assert net.connected == [("93.184.215.14", 80)]


async def test_a_name_that_changes_its_address_is_judged_at_each_connection(net, server, answer) -> None:
    """A name that was public for the first request and is private for the next gets only the first."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    closing = {"Connection": "close", "Location": "/again"}
    server.handler = lambda request: answer(302, headers=closing, cut_after=0)
    with pytest.raises(AddressError):
        await got(Door(resolve=rebinding, connect=net.connect), URL)
    assert net.connected == [("93.184.215.14", 80)]


async def test_the_gateways_own_host_and_port_are_exempt_and_nothing_beside_them(net, server, answer) -> None:
    """A gateway on loopback may serve files itself, but cannot point at other ports."""
    net.host("127.0.0.1", "127.0.0.1", server)
    server.handler = lambda request: answer(body=b"own")
    door = net.door(own_origins={Origin("http", "127.0.0.1", 8000)})
    assert await got(door, "http://127.0.0.1:8000/file") == (200, b"own")
    with pytest.raises(AddressError):
        await got(door, "http://127.0.0.1:8001/file")


@pytest.mark.parametrize(
    ("entry", "passes"), [("inside.example.com", True), ("inside.example.com:81", False)]
)
async def test_an_allowed_host_is_exempt(net, server, answer, entry: str, passes: bool) -> None:
    """`--allow-host` opens the door for its host, and for its port only where it names one."""
    net.host("inside.example.com", "10.0.0.1", server)
    server.handler = lambda request: answer(body=b"inside")
    fetched = got(net.door(allow_hosts=[entry]), "http://inside.example.com/x")
    if passes:
        assert await fetched == (200, b"inside")
    else:
        with pytest.raises(AddressError):
            await fetched


@pytest.mark.parametrize(("hops", "passes"), [(5, True), (6, False)])
async def test_five_redirects_are_followed_and_no_more(net, server, answer, hops: int, passes: bool) -> None:
    """The sixth redirect is an error that names no path."""

    def handler(request):
        done = int(request.target.rpartition("/")[2])
        return answer(body=b"end") if done == hops else answer(307, headers={"Location": f"{done + 1}"})

    server.handler = handler
    if passes:
        assert await got(net.door(), "http://clips.example.com/hop/0") == (200, b"end")
    else:
        with pytest.raises(RedirectError, match="more than 5"):
            await got(net.door(), "http://clips.example.com/hop/0")


async def test_a_redirect_to_nowhere_is_an_error(net, server, answer) -> None:
    """A redirect without a Location is no answer."""
    server.handler = lambda request: answer(302)
    with pytest.raises(RedirectError, match="nowhere"):
        await got(net.door(), URL)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "zstd"])
async def test_an_encoded_answer_is_refused_unread(net, server, answer, encoding: str) -> None:
    """A bomb of zeros is not unpacked: identity was asked for."""
    bomb = gzip.compress(bytes(1 << 20))
    server.handler = lambda request: answer(body=bomb, headers={"Content-Encoding": encoding})
    with pytest.raises(AnswerError):
        await got(net.door(), URL)


async def test_the_key_goes_to_the_gateways_origin_when_asked(net, server, answer) -> None:
    """Headers given by the caller reach the own origin; over http only because it is this machine."""
    net.host("127.0.0.1", "127.0.0.1", server)
    server.handler = lambda request: answer(body=b"x")
    door = net.door(own_origins={origin_of("http://127.0.0.1:8000/v1")})
    await got(door, "http://127.0.0.1:8000/v1/videos/1/content", KEY)
    assert server.requests[0].headers["authorization"] == "Bearer SECRET"


async def test_the_key_does_not_follow_a_redirect_off_the_origin(net, server, answer) -> None:
    """The gateway redirects to its file server: the file is fetched, the key stays."""
    net.host("127.0.0.1", "127.0.0.1", server)
    pages = {"127.0.0.1:8000": answer(302, headers={"Location": "http://clips.example.com/a"})}
    server.handler = lambda request: pages.get(request.headers["host"], answer(body=b"clip"))
    door = net.door(own_origins={origin_of("http://127.0.0.1:8000/v1")})
    assert await got(door, "http://127.0.0.1:8000/v1/x", KEY) == (200, b"clip")
    assert ["authorization" in request.headers for request in server.requests] == [True, False]


@pytest.mark.parametrize("own", [None, "http://clips.example.com/v1", "https://clips.example.com/v1"])
async def test_the_key_goes_nowhere_else(net, server, answer, own: str | None) -> None:
    """Neither to a foreign origin, nor over plain http, nor to http where the gateway is https."""
    server.handler = lambda request: answer(body=b"x")
    await got(net.door(own_origins={origin_of(own)} if own else set()), URL, KEY)
    assert "authorization" not in server.requests[0].headers


async def test_the_transport_itself_refuses_a_key_that_is_about_to_leave(net) -> None:
    """Whoever uses the transport with a client of his own cannot leak a key through it."""
    async with httpx.AsyncClient(transport=net.door().transport(1), trust_env=False) as client:
        with pytest.raises(AddressError, match="a key was about to be sent"):
            await client.get(URL, headers=KEY)
    assert net.connected == []


async def test_proxies_and_netrc_of_the_environment_are_not_read(
    net, server, answer, monkeypatch, tmp_path
) -> None:
    """Variables that other programs obey change nothing."""
    (tmp_path / "netrc").write_text("machine clips.example.com login me password SECRET\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.handler = lambda request: answer(body=b"clip")
    assert await got(net.door(), URL) == (200, b"clip")
    assert net.connected == [("93.184.215.14", 80)]
    assert "authorization" not in server.requests[0].headers


async def test_cookies_are_not_kept(net, server, answer) -> None:
    """What one answer sets, the next request does not carry."""
    server.handler = lambda request: answer(body=b"x", headers={"Set-Cookie": "id=1"})
    async with DownloadClient(net.door()) as client:
        for _ in range(2):
            await (await client.get(URL, headers={}, idle_s=20)).aread()
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]


async def test_the_next_address_is_tried_when_one_does_not_answer(net, server, answer) -> None:
    """A name with several public addresses is reached by the first that answers."""
    net.names["clips.example.com"] = ["2606:4700::1", "93.184.215.14"]
    server.handler = lambda request: answer(body=b"clip")
    assert await got(net.door(), URL) == (200, b"clip")
    assert net.connected == [("2606:4700::1", 80), ("93.184.215.14", 80)]


async def test_an_address_that_hangs_leaves_time_for_the_next(net) -> None:
    """The time to connect is shared among the addresses that are left."""
    shares: list[float] = []

    async def hangs(address: str, port: int, timeout_s: float) -> httpcore.AsyncNetworkStream:
        shares.append(timeout_s)
        raise httpcore.ConnectTimeout

    net.names["clips.example.com"] = ["1.1.1.1", "8.8.8.8"]
    door = Door(resolve=net.resolve, connect=hangs)
    with pytest.raises(httpx.ConnectTimeout):
        await door.get(door.transport(1), URL, headers={}, idle_s=1, connect_s=100)
    assert shares == pytest.approx([50, 100], rel=0.1)


@pytest.mark.parametrize("name", ["unknown.example.com", "empty.example.com"])
async def test_a_name_that_does_not_resolve_is_a_network_error(net, name: str) -> None:
    """An unknown name says nothing about the address: asking later may help, so it is no DoorError."""
    net.names["empty.example.com"] = []
    with pytest.raises(httpx.ConnectError):
        await got(net.door(), f"http://{name}/x")


async def test_a_resolver_that_hangs_is_a_time_out() -> None:
    """The time to connect covers the resolver."""

    async def hangs(host: str, port: int) -> list[str]:
        return await asyncio.Event().wait() or []

    door = Door(resolve=hangs)
    transport = door.transport(1)
    with pytest.raises(httpx.ConnectTimeout):
        await door.get(transport, URL, headers={}, idle_s=1, connect_s=0.01)


@pytest.mark.parametrize("kind", DoorError.__subclasses__())
def test_each_error_of_the_door_is_told_apart(kind: type[DoorError]) -> None:
    """The tree in the module's docstring is the tree."""
    from reelsweep.tasks.artifacts import door

    assert kind.__name__ in (door.__doc__ or "")


@pytest.fixture
async def tls(net, tmp_path: Path) -> AsyncIterator[tuple[Door, list[str | None]]]:
    """A TLS server for clips.example.com, a door that trusts it, and the server names it was asked for."""
    certificate = tmp_path / "server.pem"
    certificate.write_bytes(_self_signed("clips.example.com"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=context)
    net.at["93.184.215.14"].port = listening.sockets[0].getsockname()[1]
    yield net.door(ssl_context=ssl.create_default_context(cafile=certificate)), names
    listening.close()


def _self_signed(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


async def test_tls_is_spoken_with_the_name_though_the_address_is_dialled(tls, net) -> None:
    """The server name in TLS is the host of the URL, and its certificate is checked against that."""
    door, names = tls
    assert await got(door, "https://clips.example.com/a") == (200, b"ok")
    assert names == ["clips.example.com"]
    assert net.connected == [("93.184.215.14", 443)]


async def test_a_certificate_for_another_name_is_refused(tls, net) -> None:
    """An address that answers for somebody else is not believed."""
    door, _ = tls
    net.names["other.example.com"] = ["93.184.215.14"]
    with pytest.raises(httpx.ConnectError):
        await got(door, "https://other.example.com/a")
