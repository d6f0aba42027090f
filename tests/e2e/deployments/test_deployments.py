"""The deployments, asked for and stopped, by the commands of deployments/README.md."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.server.schemas.schedules import CronSchedule
from reelsweep.flows.summary import RunStopped, RunSummary
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

pytestmark = pytest.mark.xdist_group("prefect-server")

DECLARED = yaml.safe_load((Path(__file__).parents[3] / "deployments" / "prefect.yaml").read_text())


@pytest.mark.parametrize("name", ["bulk/nightly", "reproduce/weekly-reproduce"])
def test_what_repeats_has_its_schedule(worker: psutil.Process, name: str) -> None:
    """The schedule, its time zone and the limit of one run at a time are on the server."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(name)
    (schedule,) = deployment.schedules
    assert json.loads(schedule.schedule.model_dump_json())["timezone"] == "Europe/Lisbon"
    assert deployment.concurrency_options is not None
    assert deployment.concurrency_options.collision_strategy == "CANCEL_NEW"


@pytest.mark.parametrize("name", ["bulk/on-demand", "bulk/nightly", "reproduce/weekly-reproduce"])
def test_every_field_of_the_form_says_what_it_is_for(worker: psutil.Process, name: str) -> None:
    """Each parameter has a description, choices are choices, and a table is one line of text."""
    with get_client(sync_client=True) as client:
        schema: Any = client.read_deployment_by_name(name).parameter_openapi_schema
    assert [key for key, field in schema["properties"].items() if not field.get("description")] == []
    if name.startswith("bulk"):
        assert schema["properties"]["table"]["type"] == "string"
        assert schema["properties"]["on_unknown"]["enum"] == ["hold", "resubmit"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [("bulk/on-demand", {"price", "budget", "seeds"}), ("reproduce/weekly-reproduce", {"price", "sample"})],
)
def test_what_looks_like_a_number_may_be_one(worker: psutil.Process, name: str, fields: set[str]) -> None:
    """`--param price=0.80` and an unquoted value in a YAML file are numbers by the time they arrive."""
    with get_client(sync_client=True) as client:
        schema: Any = client.read_deployment_by_name(name).parameter_openapi_schema
    types = {field: {each["type"] for each in schema["properties"][field]["anyOf"]} for field in fields}
    assert all("string" in kinds and kinds & {"number", "integer"} for kinds in types.values()), types


async def test_every_day_has_one_night() -> None:
    """Also where clocks are put forward and back: no day of the year without its run, none with two."""
    (night,) = [each for each in DECLARED["deployments"] if each["name"] == "nightly"]
    (declared,) = night["schedules"]
    schedule = CronSchedule(cron=declared["cron"], timezone=declared["timezone"])
    fired = await schedule.get_dates(365, start=datetime(2027, 1, 1, tzinfo=UTC))
    days = [moment.date() for moment in fired]
    assert days == [date(2027, 1, 1) + timedelta(days=number) for number in range(365)]
    assert {(moment.hour, moment.minute) for moment in fired} == {(2, 30)}


def test_on_demand_gives_manifest_and_summary(worker: psutil.Process, site: Any) -> None:
    """The command of the page makes two clips below the checkout, and the summary can be had."""
    site.follow("ask")
    summary = last_run().state.result()
    assert isinstance(summary, RunSummary)
    assert summary.posts == 2
    assert Path(summary.manifest) == site.checkout / "runs" / "asked" / "manifest.parquet"
    assert pd.read_parquet(summary.manifest)["status"].value_counts()["success"] == 2


def last_run() -> FlowRun:
    """The youngest flow run."""
    with get_client(sync_client=True) as client:
        return max(client.read_flow_runs(), key=lambda each: each.created)


def test_sigterm_lets_the_paid_rows_finish(
    worker: psutil.Process, site: Any, sandbox: SandboxServer, until: Callable[..., None]
) -> None:
    """SIGTERM under a worker: what was sent is finished, nothing more is sent, the flow run has failed."""
    sandbox.control(Script(duration_s=3.0))
    before = len(sandbox.bill())
    arguments = {
        "out": "runs/ended",
        "gateway": sandbox.base_url,
        "canary": 0,
        "concurrency": 2,
        "seeds": "1-5",
    }
    parameters = [f"--param={name}={json.dumps(value)}" for name, value in arguments.items()]
    site.run(*shlex.split("prefect deployment run bulk/on-demand"), *parameters)
    until(lambda: len(sandbox.bill()) - before == 2)
    (flow_process,) = [each for each in worker.children() if "prefect" in " ".join(each.cmdline())]
    flow_process.send_signal(signal.SIGTERM)
    until(lambda: last_run().state.is_final())
    state = last_run().state
    assert state.is_failed(), state
    stopped = state.result(raise_on_failure=False)
    assert isinstance(stopped, RunStopped)
    assert stopped.summary.counts["success"] == stopped.summary.posts == 2
    assert len(sandbox.bill()) - before == 2
    manifest = pd.read_parquet(site.checkout / "runs" / "ended" / "manifest.parquet")
    assert manifest["status"].value_counts()["success"] == 2
