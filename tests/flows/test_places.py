"""Where an OUT is, whether it can be one, and who may write to it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from reelsweep.flows.out.places import demand_ledger, find_out, nothing_sent, only_writer
from reelsweep.prompts.errors import OutError, SettingsError, TroubleError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.storage.out import FolderOut
from reelsweep.tasks.storage.remote import RemoteOut


def test_a_name_is_a_folder_and_a_url_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket's desk is below the folder that REELSWEEP_HOME names."""
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_out("runs/a").desk == tmp_path / "runs/a"
    assert find_out(f"file://{tmp_path}/a").desk == tmp_path / "a"
    remote = find_out("s3://bucket/a")
    assert isinstance(remote, RemoteOut)
    assert remote.desk.parent == tmp_path / "staging"
    assert not remote.desk.exists(), "looking makes nothing"


def test_a_folder_without_a_name_in_unicode_is_refused(tmp_path: Path) -> None:
    """No table could say where it is: that is found out before a clip is bought for it."""
    with pytest.raises(OutError, match="no UTF-8 name"):
        find_out(f"{tmp_path}/out\udcff")


def test_a_bucket_needs_a_ledger_elsewhere(tmp_path: Path) -> None:
    """A folder has its own."""
    demand_ledger(FolderOut(tmp_path), None)
    demand_ledger(find_out("s3://bucket/a"), "sqlite:////ledger.db")
    with pytest.raises(SettingsError, match="cannot hold its ledger"):
        demand_ledger(find_out("s3://bucket/a"), None)


def test_before_money_a_failing_bucket_is_a_wrong_option(tmp_path: Path) -> None:
    """Exit 2, not 1; a failing disk stays what it is."""
    with pytest.raises(OutError, match="denied"), nothing_sent(find_out("s3://bucket/a")):
        raise TroubleError("access is denied.")
    with pytest.raises(TroubleError), nothing_sent(FolderOut(tmp_path)):
        raise TroubleError("the disk is full.")


class Mounted(FolderOut):
    """A folder as if on a network file system."""

    is_shared = True


@pytest.mark.parametrize("kind", [FolderOut, Mounted])
def test_one_at_a_time_writes_to_an_out(tmp_path: Path, kind: type[FolderOut]) -> None:
    """By a lock file in the folder, by a turn in the ledger where several machines may see the folder."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    out = kind(tmp_path)
    order: list[str] = []

    def second() -> None:
        with only_writer(out, ledger):
            order.append("second")

    thread = threading.Thread(target=second)
    with only_writer(out, ledger):
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    assert (tmp_path / ".manifest.lock").exists() == (kind is FolderOut)
    ledger.close()


@pytest.mark.parametrize("kind", [FolderOut, Mounted])
def test_a_run_that_begins_does_not_wait_for_a_publication(tmp_path: Path, kind: type[FolderOut]) -> None:
    """Its facts have a lock of their own; publishing a long table takes many seconds."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    out, order = kind(tmp_path), list[str]()

    def begin() -> None:
        with only_writer(out, ledger, of="facts"):
            order.append("begun")

    thread = threading.Thread(target=begin)
    with only_writer(out, ledger):
        thread.start()
        thread.join(30)
        order.append("published")
    thread.join(30)
    ledger.close()
    assert order == ["begun", "published"]
