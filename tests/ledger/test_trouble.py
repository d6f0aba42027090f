"""Disks, files and servers that fail: one clear message, nothing lost, nothing told to strangers."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from reelsweep.prompts.errors import OutError, ReelsweepError, SettingsError, TroubleError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.link import open_link
from reelsweep.tasks.ledger.place import ServerPlace, network_file_system, parse_place, prepare_file
from reelsweep.tasks.ledger.records import Claim
from sqlalchemy.exc import OperationalError

_SECRET = "hunter2"


async def test_a_full_disk_stops_the_buying_and_loses_nothing(sqlite: Any, make: Any) -> None:
    """No claim is granted that could not be written; with space again the ledger goes on as it was."""
    ledger = await make.start(sqlite.open(), rows=2_000)
    before = await make.buy(ledger, 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_largest_file(sqlite) + 20_000, limits[1]))
    try:
        granted = await _claim_until_trouble(ledger, make)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    states = {row.attempt_id for row in sqlite.sql("SELECT attempt_id FROM attempts")}
    assert states == {before.attempt_id, *granted}
    assert (await ledger.spend()).open_musd == 100 * len(states)
    assert sqlite.sql("PRAGMA integrity_check") == [("ok",)]
    await make.buy(ledger, 1_999)


def _path(sqlite: Any) -> Path:
    return Path(sqlite.url.removeprefix("sqlite:///"))


def _largest_file(sqlite: Any) -> int:
    return max(file.stat().st_size for file in _path(sqlite).parent.iterdir())


async def _claim_until_trouble(ledger: Ledger, make: Any) -> list[str]:
    granted: list[str] = []
    for number in range(1, 1_999):
        try:
            claim = await ledger.claim(make.gateway, make.request(number))
        except TroubleError as error:
            assert "run the same command again" in error.remedy
            return granted
        assert isinstance(claim, Claim)
        granted.append(claim.attempt_id)
    raise AssertionError("the disk never became full")


_OPEN_AS_NOBODY = """
import os, sys
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.prompts.errors import TroubleError
Ledger.open(sys.argv[2]).close()  # all that is imported late, before the privileges go
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    Ledger.open(sys.argv[1])
except TroubleError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["the folder", "the file"])
def test_what_cannot_be_written_to_is_said(what: str, tmp_path: Path) -> None:
    """A read-only folder or file ends in one sentence and its remedy."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        if what == "the file":
            Ledger.open(f"sqlite:///{path}").close()
            path.chmod(0o444)
        Path(folder).chmod(0o555)
        other = f"sqlite:///{tmp_path / 'ledger.db'}"
        command = [sys.executable, "-c", _OPEN_AS_NOBODY, f"sqlite:///{path}", other]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        Path(folder).chmod(0o755)
    assert str(path) in done.stdout
    assert "--out or --ledger" in done.stdout


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    """An OUT that cannot be a folder is trouble with a name, not a traceback."""
    (tmp_path / "out").write_text("")
    with pytest.raises(TroubleError, match=r"ledger\.db"):
        Ledger.open(f"sqlite:///{tmp_path / 'out' / 'ledger.db'}")


def test_a_file_that_is_no_database_is_said(sqlite: Any) -> None:
    """Damage names the way back."""
    _path(sqlite).write_bytes(b"not a database" * 1_000)
    with pytest.raises(TroubleError, match="damaged") as caught:
        sqlite.open()
    assert "reconcile OUT --rebuild" in caught.value.remedy
    assert "-wal and -shm" in caught.value.remedy


def test_a_broken_page_is_said(sqlite: Any, make: Any) -> None:
    """Damage behind the first page is found when it is read, and nothing is bought on it."""
    ledger = asyncio.run(make.start(sqlite.open(), rows=500))
    ledger.close()
    damaged = bytearray(_path(sqlite).read_bytes())
    damaged[4096:] = bytes(len(damaged) - 4096)
    _path(sqlite).write_bytes(damaged)
    with pytest.raises(TroubleError, match="damaged"):
        asyncio.run(make.start(sqlite.open(), run_id="later"))


async def test_lines_of_a_damaged_file_are_said(sqlite: Any, make: Any) -> None:
    """Also who only reads gets the sentence."""
    ledger = await make.start(sqlite.open(), rows=3)
    sqlite.sql("DROP TABLE results")
    sqlite.sql("DROP TABLE outs")
    with pytest.raises(TroubleError, match="outs"):
        await asyncio.to_thread(lambda: list(ledger.lines("out")))


@pytest.mark.parametrize("by", ["nothing", "another ledger"])
async def test_a_ledger_replaced_while_it_is_in_use_buys_nothing_and_tells_what_it_knows(
    by: str, sqlite: Any, make: Any
) -> None:
    """What is paid for is recorded and told to the end, and of the file in its place nothing."""
    ledger = await make.start(sqlite.open(), rows=3)
    claim = await make.buy(ledger)
    for path in _path(sqlite).parent.glob("ledger.db*"):
        path.unlink()
    if by == "another ledger":
        await asyncio.to_thread(lambda: Ledger.open(sqlite.url).close())
    with pytest.raises(TroubleError, match="removed or replaced") as caught:
        await ledger.claim(make.gateway, make.request(1))
    assert "--rebuild" in caught.value.remedy
    await ledger.answer(claim.attempt_id, make.success())
    await ledger.settle(claim.attempt_id, [make.stored()], "success")
    lines, posts = await asyncio.to_thread(
        lambda: (list(ledger.lines("out")), list(ledger.attempt_lines("out")))
    )
    assert [line.status for line in lines] == ["success", "planned", "planned"]
    assert [(post.attempt_id, post.state) for post in posts] == [(claim.attempt_id, "settled")]


async def test_a_ledger_removed_while_it_is_in_use_leaves_no_empty_one(sqlite: Any, make: Any) -> None:
    """It would stand in the way of the one that is put back or made anew."""
    ledger = await make.start(sqlite.open(), rows=3)
    for path in _path(sqlite).parent.glob("ledger.db*"):
        path.unlink()
    await asyncio.to_thread(lambda: list(ledger.lines("out")))
    await ledger.tally("out")
    await ledger.end_run("run", exit_code=1, summary={})
    with pytest.raises(OperationalError, match="unable to open"):
        await asyncio.to_thread(open_link, parse_place(sqlite.url), "read")
    await asyncio.to_thread(ledger.close)
    assert list(_path(sqlite).parent.glob("ledger.db*")) == []


@pytest.mark.parametrize("end", ["-wal", "-journal"])
async def test_a_log_without_its_ledger_is_not_thrown_away(end: str, sqlite: Any, make: Any) -> None:
    """A new file in its place would make SQLite do that, and with it would go what only the log knows."""
    ledger = await make.start(sqlite.open())
    await make.buy(ledger)
    path = _path(sqlite)
    log = path.with_name("ledger.db-wal").read_bytes()
    await asyncio.to_thread(ledger.close)
    moved = path.rename(path.with_name("moved.db"))
    path.with_name(f"ledger.db{end}").write_bytes(log)
    with pytest.raises(OutError, match=rf"ledger\.db{end} is there without it") as caught:
        sqlite.open()
    assert f"move ledger.db{end} away too" in caught.value.remedy
    assert path.with_name(f"ledger.db{end}").read_bytes() == log
    assert not path.exists()
    path.with_name(f"ledger.db{end}").unlink()
    moved.rename(path)
    assert (await sqlite.open().tally("out")).posts == 1


_MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/share rw,relatime shared:7 - nfs4 server.example.com:/x rw,vers=4.2
31 30 254:2 / /mnt/share/local\\040disk rw - ext4 /dev/vdb rw
32 22 0:41 / /mnt/c rw - 9p drvfs rw,aname=drvfs;path=C:\\
33 22 0:42 / /mnt/shared rw - 9p hostshare rw,trans=virtio
34 22 0:43 / /home/me/remote rw - fuse.sshfs me@host.example.com: rw
35 22 0:44 / /home/me/disk rw - fuseblk /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/out/ledger.db", None),
        ("/mnt/share/out/ledger.db", "nfs4"),
        ("/mnt/share/local disk/ledger.db", None),
        ("/mnt/sharedish/ledger.db", None),
        ("/mnt/c/out/ledger.db", "9p"),
        ("/mnt/shared/ledger.db", None),
        ("/home/me/remote/a/ledger.db", "fuse.sshfs"),
        ("/home/me/disk/ledger.db", None),
    ],
)
def test_network_file_systems_are_known(path: str, kind: str | None) -> None:
    """The innermost mount of a path decides whether SQLite is safe there."""
    assert network_file_system(Path(path), _MOUNTS) == kind


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    """Nothing is created there, and the remedy names --ledger."""
    mounts = f"30 22 0:40 / {tmp_path} rw - nfs4 server.example.com:/x rw\n"
    with pytest.raises(OutError, match="nfs4") as caught:
        prepare_file(tmp_path / "ledger.db", mounts)
    assert "--ledger" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["mysql://x/y", "ledger.db", "sqlite://", "sqlite:///", "", "https://x"])
def test_other_addresses_are_refused(url: str) -> None:
    """Only SQLite files and PostgreSQL servers are ledgers."""
    with pytest.raises(SettingsError, match="--ledger"):
        parse_place(url)


def test_a_relative_path_is_a_path() -> None:
    """`sqlite:///runs/ledger.db` lies below the working directory."""
    assert str(parse_place("sqlite:///runs/ledger.db")) == str(Path.cwd() / "runs" / "ledger.db")


def test_an_unreachable_server_is_said_without_its_password() -> None:
    """The message names the server, the password is nowhere in it or behind it."""
    with pytest.raises(ReelsweepError) as caught:
        Ledger.open(f"postgresql://me:{_SECRET}@127.0.0.1:1/db?password={_SECRET}")
    assert "127.0.0.1:1/db" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert _SECRET not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("host", ["127.0.0.1:1", ":1"])
def test_an_unreachable_server_is_not_spoken_of_as_a_folder(host: str, tmp_path: Path) -> None:
    """Also where its socket is a file that is not there: the remedy is the server's, or the URL."""
    more = f"?host={tmp_path}" if host == ":1" else ""
    with pytest.raises(TroubleError, match="its server cannot be reached") as caught:
        Ledger.open(f"postgresql://me@{host}/db{more}")
    assert "Check that it runs and that --ledger names it" in caught.value.remedy
    assert "folder" not in caught.value.remedy


def test_a_place_hides_its_password() -> None:
    """Neither its text nor its representation shows the login."""
    place = parse_place(f"postgresql://me:{_SECRET}@db.example.com/x?sslmode=require&password={_SECRET}")
    assert isinstance(place, ServerPlace)
    assert str(place) == "postgresql://db.example.com/x"
    assert _SECRET not in repr(place)


def test_a_database_that_does_not_exist_is_said(postgres: Any) -> None:
    """A mistyped database is the user's to mend."""
    url = postgres().replace("/postgres?", "/nowhere?")
    with pytest.raises(TroubleError, match="does not exist") as caught:
        Ledger.open(url)
    assert "--ledger" in caught.value.remedy


async def test_what_cannot_be_written_is_not_in_an_error(database: Any, make: Any) -> None:
    """An error of the database shows neither addresses nor other values of the statement."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    database.sql("DROP TABLE results")
    with pytest.raises(TroubleError) as caught:
        await ledger.answer(claim.attempt_id, make.success())
    error: BaseException | None = caught.value
    while error is not None:
        assert "signature=secret" not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    assert (await ledger.attempts_of(make.gateway, "nobody")) == []


def test_a_closed_ledger_says_so(database: Any, make: Any) -> None:
    """Verbs after `close` fail at once, instead of waiting for ever."""
    ledger = database.open()
    ledger.close()
    ledger.close()
    with pytest.raises(TroubleError, match="closed"):
        asyncio.run(ledger.spend())
    with pytest.raises(TroubleError, match="closed"):
        asyncio.run(ledger.skip(make.gateway, "f0", "cancelled"))
