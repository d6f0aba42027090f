"""Three nights over a table that grows: what is new is bought, the budget is kept, somebody is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from reelsweep.flows.summary import Changes, RunStopped, RunSummary
from reelsweep.tasks.sandbox.server import SandboxServer

pytestmark = pytest.mark.xdist_group("prefect-server")

KEY = "sk-Night5Hc8Tq1Vx3"
EVERY = timedelta(seconds=4)
FIRST = {"fox": "a fox at dusk", "owl": "an owl at dawn"}
SECOND = {"owl": "an owl at noon", "fox": "a fox at dusk", "elk": "an elk in fog", "hare": "a hare in snow"}
THIRD = {"hare": "a hare in snow", "crab": "a crab at sea", **SECOND, "wren": "a wren in rain"}


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A webhook: its address, and what it was told."""
    heard: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", heard
    server.shutdown()
    server.server_close()


def nights() -> list[FlowRun]:
    """The runs of `nightly` that did something, in the order they began."""
    with get_client(sync_client=True) as client:
        night = client.read_deployment_by_name("bulk/nightly")
        runs = [run for run in client.read_flow_runs(limit=200) if run.deployment_id == night.id]
    ended = [run for run in runs if run.state and (run.state.is_completed() or run.state.is_failed())]
    return sorted(ended, key=lambda run: run.start_time)


def summary_of(run: FlowRun) -> RunSummary:
    """What a night came to, stopped or not."""
    result = run.state.result(raise_on_failure=False)
    if isinstance(result, RunStopped):
        return result.summary
    assert isinstance(result, RunSummary), result
    return result


def is_news(summary: RunSummary) -> bool:
    """Whether something was new in the table, or the table itself was: more runs may have fitted in."""
    return summary.changes is None or str(summary.changes) != "unchanged since the last run"


def write(path: Path, rows: Mapping[str, str]) -> None:
    """Put a table in the place of the last one, at once."""
    beside = path.with_suffix(".part")
    pd.DataFrame(list(rows.items()), columns=["prompt_id", "prompt"]).to_csv(beside, index=False)
    beside.replace(path)


@pytest.fixture
def repeated(worker: psutil.Process) -> Iterator[Callable[..., None]]:
    """Makes `nightly` run every few seconds until the test ends, with parameters of the test's own."""
    with get_client(sync_client=True) as client:
        night = client.read_deployment_by_name("bulk/nightly")

        def repeat(**parameters: str) -> None:
            often = [(IntervalSchedule(interval=EVERY), True)]
            client.create_deployment_schedules(night.id, often, parameters=parameters, slug="often")

        yield repeat
        for schedule in client.read_deployment_schedules(night.id):
            if schedule.slug == "often":
                client.delete_deployment_schedule(night.id, schedule.id)


@pytest.mark.timeout(600)  # three processes, one after the other, on a machine that may be busy
def test_three_nights_over_a_growing_table(
    site: Any,
    sandbox: SandboxServer,
    told: tuple[str, list[dict[str, str]]],
    repeated: Callable[..., None],
    until: Callable[..., None],
) -> None:
    """New and edited rows are bought once, the day's budget holds, somebody is told, no file has the key."""
    address, heard = told
    site.follow("register")
    site.follow("block", KEY=KEY, **{"https://gateway.example/v1": sandbox.base_url})
    table, before = site.checkout / "growing.csv", len(sandbox.bill())
    write(table, FIRST)
    repeated(
        table="growing.csv",
        out="runs/nights",
        gateway="gateway-credentials/nightly",
        price="0.10",
        budget="0.50/day",
    )
    site.follow("automations", **{"https://chat.example/hook": address})
    for posts, grown in ((2, SECOND), (5, THIRD)):
        until(lambda posts=posts: len(sandbox.bill()) - before == posts)
        write(table, grown)
    until(lambda: any("the budget is used up, 2 rows were not sent" in each["text"] for each in heard))
    until(lambda: any(run.state.is_failed() for run in nights()))

    runs = nights()
    first, second, third = filter(is_news, map(summary_of, runs))
    assert (first.posts, first.changes, first.counts) == (2, None, {"success": 2})
    assert (second.posts, second.changes) == (3, Changes(new=2, edited=1, removed=0))
    assert (second.counts, second.cost_usd) == ({"success": 4}, pytest.approx(0.5))
    assert (third.posts, third.changes) == (0, Changes(new=2, edited=0, removed=0))
    assert third.counts == {"skipped_budget": 2, "success": 4}
    assert sum(summary_of(run).posts for run in runs) == len(sandbox.bill()) - before == 5
    assert all(one.end_time <= other.start_time for one, other in pairwise(runs))
    log = (site.checkout / "worker.log").read_text()
    assert "table: 2 new, 1 edited since the last run" in log
    assert "Failed('stopped: the budget is used up, 2 rows were not sent" in log
    assert "raise RunStopped" not in log
    assert files_with("nightly", site.home)
    assert files_with(KEY, site.home, site.checkout) == []


def files_with(text: str, *folders: Path) -> list[Path]:
    """Files that hold a text: databases and their journals, logs, results, everything of an OUT."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if text.encode() in path.read_bytes()]


def test_a_table_that_has_arrived_is_run(
    worker: psutil.Process, site: Any, until: Callable[..., None]
) -> None:
    """The event names it; the trigger that comes with `on-demand` runs it."""
    write(site.checkout / "arrived.csv", FIRST)
    site.follow("arrived", **{"tables/new.csv": "arrived.csv"})
    manifest = site.checkout / "runs" / "sandbox" / "arrived" / "manifest.parquet"
    until(lambda: manifest.exists() and (pd.read_parquet(manifest)["status"] == "success").sum() == 2)
