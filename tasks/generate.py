"""The Prefect task `generate`: one generation, start to stored.

A shell: it opens the run's context, calls `purchase.make` and turns the end into a Prefect state.
Results go by the ledger; Prefect's states are for people to watch.

    states = generate.map(specs, run_id=unmapped(run.run_id), return_state=True)
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.runtime import task_run
from prefect.states import Completed, Failed
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.purchase.context import CONTEXTS, RunContext
from reelsweep.tasks.purchase.ends import RowEnd
from reelsweep.tasks.purchase.make import make

_RETRIES_MAX = 100
_LONGEST_BACKOFF_FACTOR = 16
_waiting: dict[UUID, tuple[RunContext, str, float]] = {}
"""Task runs whose generation asked for another pass: (context, request_fingerprint, first wait in s)."""


async def _retry_after_minutes(_task: Any, run: TaskRun, _state: State[Any]) -> bool:
    """Whether Prefect runs the generation again; sleeps the verdict's delay first.

    Counts in the ledger, so that attempts of an earlier, killed run count too.
    """
    asked = _waiting.pop(run.id, None)
    if asked is None:
        return False
    context, fingerprint, first_wait_s = asked
    standing = (await context.ledger.standings(context.gateway, [fingerprint], context.out_id)).get(
        fingerprint
    )
    failures = 1 if standing is None else max(1, standing.num_failures)
    if failures >= context.policy.max_attempts or context.stopped is not None:
        return False
    wait_s = first_wait_s * min(2 ** (failures - 1), _LONGEST_BACKOFF_FACTOR)
    return not await context.stopped_within(wait_s)


def _name() -> str:
    spec: GenerationSpec = task_run.parameters["spec"]
    return f"{spec.prompt_id}-{'none' if spec.seed is None else spec.seed}"


@task(
    name="generate",
    task_run_name=_name,
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=_RETRIES_MAX,
    retry_delay_seconds=0,
    retry_condition_fn=_retry_after_minutes,
)
async def generate(spec: GenerationSpec, run_id: str) -> State[Any]:
    """Make one generation of an open run and settle it in the ledger.

    Returns Completed for a stored result, a refusal or a row that this run leaves alone, and a named
    Failed state for a row that ended without what it asked for. Raises KeyError for a run that is not
    open in this process.
    """
    context = CONTEXTS[run_id]
    engine = TaskRunContext.get()
    ids = (None, None) if engine is None else (str(engine.task_run.flow_run_id), str(engine.task_run.id))
    end = await make(spec, context, ids)
    if end.retry_in_s is not None and engine is not None:
        _waiting[engine.task_run.id] = (context, spec.request_fingerprint, end.retry_in_s)
    return _state(end)


def _state(end: RowEnd) -> State[Any]:
    match end.status:
        case "success" | "planned":
            return Completed(message=end.line)
        case "refused":
            return Completed(name="Refused", message=end.line)
        case _:
            return Failed(name=end.status.title().replace("_", ""), message=end.line)
