"""Where a ledger is: its URL read, its file checked before anything is opened."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from reelsweep.prompts.errors import OutError, SettingsError, TroubleError
from reelsweep.tasks.ledger.trouble import REBUILD, trouble

OWN = "ledger.db"
"""The name of an OUT's own ledger in it."""
HIDDEN = "PASSWORD"
"""What stands for a password in a URL that is shown."""
_NETWORK = (
    *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "gpfs"),
    *("glusterfs", "beegfs", "pvfs2", "orangefs", "davfs"),
)
_NETWORK_FUSE = (
    *("sshfs", "s3fs", "gcsfuse", "rclone", "goofys", "glusterfs", "juicefs", "ceph", "davfs"),
    *("blobfuse", "blobfuse2", "mountpoint-s3", "smbnetfs", "gvfsd-fuse"),
)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A SQLite file."""

    path: Path

    def if_lost(self, out: str) -> str:
        """What the owner of an OUT does where its ledger is not to be had."""
        name = self.path.name
        return (
            f"If it is lost: move {name} away, with {name}-wal and {name}-shm, and run"
            f" `{reconcile_command(out, self, '--rebuild')}`."
        )

    def option(self, out: str) -> str:
        """How a command on this OUT names it, for a shell; empty where it is the OUT's own."""
        url = f"sqlite:///{self.path}"
        return "" if self.path == Path(out).absolute() / OWN else f"--ledger {shlex.quote(url)}"

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """A PostgreSQL database; its text hides the password."""

    dsn: str

    def if_lost(self, out: str) -> str:
        """What the owner of an OUT does where its ledger is not to be had."""
        return (
            "If it is lost: make an empty database and run"
            f" `reelsweep reconcile {shlex.quote(out)} --rebuild --ledger URL` with its URL; go on with that."
        )

    def option(self, out: str, environ: Mapping[str, str] = os.environ) -> str:  # noqa: ARG002 - as a file's
        """How a command names it, for a shell.

        A secret in it is never repeated: the variable that holds the URL is named, else PASSWORD is there.
        """
        hidden = _without_secrets(self.dsn)
        if hidden == self.dsn:
            return f"--ledger {shlex.quote(self.dsn)}"
        held_by = next((name for name, value in sorted(environ.items()) if _is_url_of(self, value)), None)
        return f"--ledger {shlex.quote(hidden)}" if held_by is None else f'--ledger "${held_by}"'

    def __str__(self) -> str:
        parts = urlsplit(self.dsn)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))

    def __repr__(self) -> str:
        return f"ServerPlace({str(self)!r})"


def reconcile_command(out: str, place: FilePlace | ServerPlace | None, *words: str) -> str:
    """The command that reconciles an OUT with its ledger, as a shell takes it; None is the OUT's own."""
    option = "" if place is None else place.option(out)
    return " ".join(("reelsweep reconcile", shlex.quote(out), *words, *([option] if option else [])))


def about(error: TroubleError, out: str, place: FilePlace | ServerPlace) -> TroubleError:
    """An error of a ledger with the real OUT in its remedy; a ledger may hold many, and names none."""
    if REBUILD not in error.remedy:
        return error
    named = error.remedy.replace(REBUILD, reconcile_command(out, place, "--rebuild"))
    return type(error)(error.message, named).with_traceback(error.__traceback__)


def parse_place(url: str) -> FilePlace | ServerPlace:
    """The place a ledger URL names: `sqlite:///path` or `postgresql://…`.

    Raises SettingsError for any other scheme, and for a URL in which the password cannot be told apart.
    """
    scheme, _, rest = url.partition("://")
    match scheme:
        case "sqlite" if rest.startswith("/") and len(rest) > 1:
            return FilePlace(Path(rest[1:]).absolute())
        case "postgresql" | "postgres" | "postgresql+asyncpg":
            return ServerPlace(_checked(f"postgresql://{rest}"))
        case _:
            raise SettingsError(
                f"--ledger: got a URL of scheme {scheme[:30]!r}.",
                "Give sqlite:///PATH or postgresql://USER@HOST/DATABASE.",
            )


def _checked(dsn: str) -> str:
    """The URL. Raises SettingsError, in which nothing of it is repeated: a password may be anywhere in it."""
    if not _is_readable(dsn):
        raise SettingsError(
            "--ledger: the URL of the server cannot be read.",
            "Give postgresql://USER@HOST:PORT/DATABASE; / ? # @ and : in a password are written"
            " %2F %3F %23 %40 and %3A.",
        )
    return dsn


def _is_readable(dsn: str) -> bool:
    """Whether login, hosts and database can be told apart: ports are numbers, no login is in the rest."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return False
    hosts = parts.netloc.rpartition("@")[2].split(",")
    ports = [port for host in hosts if (port := host.rpartition("]")[2].partition(":")[2])]
    is_login_whole = "@" not in parts.path and ("@" in parts.netloc or "@" not in parts.query)
    return not parts.fragment and is_login_whole and all(map(str.isdigit, ports))


def _is_url_of(place: ServerPlace, value: str) -> bool:
    """Whether a variable's value is this URL; no other value is looked into."""
    return value.startswith("postgres") and value.partition("://")[2] == place.dsn.partition("://")[2]


def _without_secrets(dsn: str) -> str:
    """The URL with PASSWORD in the place of each password."""
    parts = urlsplit(dsn)
    login, at, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    netloc = f"{user}:{HIDDEN}{at}{host}" if password else parts.netloc
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    is_secret = any("password" in name.lower() for name, _ in pairs)
    told = [(name, HIDDEN if "password" in name.lower() else value) for name, value in pairs]
    query = urlencode(told, quote_via=quote) if is_secret else parts.query
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))


def prepare_file(path: Path, mounts: str | None = None) -> None:
    """Make sure of a ledger file that is ours alone (0600), on a disk of this machine.

    `mounts` stands in for the kernel's list in tests. Raises OutError for a network file system and for what
    another ledger left there, TroubleError where the file cannot be made.
    """
    kind = network_file_system(path, _read_mounts() if mounts is None else mounts)
    if kind is not None:
        raise OutError(
            f"Ledger {path}: SQLite is not safe on a network file system ({kind}).",
            "Name a local file or a PostgreSQL server with --ledger.",
        )
    _refuse_remains(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise trouble(error, str(path)) from error
    os.close(descriptor)
    _sync_folder(path.parent)


def _refuse_remains(path: Path) -> None:
    """A new file makes SQLite throw away the log beside it, with all that is only in that (tried).

    The log is looked for first: a ledger that is being made has its file before its log.
    """
    logs = [log for end in ("-wal", "-journal") if (log := path.with_name(path.name + end)).exists()]
    full = [log for log in logs if log.stat().st_size]
    if full and not path.exists():
        raise OutError(
            f"Ledger {path}: {full[0].name} is there without it, and holds the last of what it recorded.",
            f"Put {path.name} back beside it; if it is lost, move {full[0].name} away too.",
        )


def file_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one under its name: device and inode. None where none is to be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_on_network(path: Path) -> bool:
    """Whether a path lies on a network file system, where a lock of this machine's guards nothing."""
    return network_file_system(path, _read_mounts()) is not None


def network_file_system(path: Path, mounts: str) -> str | None:
    """The type of the network file system a path lies on, None for a local one.

    `mounts` has the form of /proc/self/mountinfo (proc(5)); empty where the system has none.
    """
    real = Path(os.path.realpath(path))
    best: tuple[int, str | None] = (-1, None)
    for line in mounts.splitlines():
        fields, _, tail = line.partition(" - ")
        point = fields.split(" ")[4].encode().decode("unicode_escape")
        if real.is_relative_to(point) and len(point) >= best[0]:
            best = (len(point), _network_kind(tail))
    return best[1]


def _network_kind(tail: str) -> str | None:
    kind, _, options = tail.partition(" ")
    over_network = kind in _NETWORK or kind.removeprefix("fuse.") in _NETWORK_FUSE
    windows_drive = kind == "9p" and "aname=drvfs" in options
    return kind if over_network or windows_drive else None


def _read_mounts() -> str:
    mounts = Path("/proc/self/mountinfo")
    return mounts.read_text(encoding="utf-8") if sys.platform == "linux" and mounts.exists() else ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
