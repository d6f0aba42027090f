"""The flow `reproduce`: a sample of an OUT made again, compared with what came the first time.

found = await reproduce("runs/mine", sample="5%", price="0.80", budget="10")
found.verdicts
"""

# Annotations are not postponed here: a served flow is pickled without the names that only they use.
from collections.abc import Sequence
from typing import Literal

from prefect import flow
from reelsweep.flows.execution.run import in_one_line
from reelsweep.flows.options import Budget, RunOptions, parse_concurrency
from reelsweep.flows.reproduction.reproducing import Reproduction, reproduce_drawn
from reelsweep.flows.results import RESULTS
from reelsweep.prompts.pricing import Price


@flow(name="reproduce", persist_result=True, result_serializer=RESULTS, log_prints=False)
async def reproduce(
    out: str,
    *,
    sample: str | int = "5%",
    fresh: str | None = None,
    gateway: str | None = None,
    api_key_env: str = "REELSWEEP_API_KEY",
    price: str | float | None = None,
    budget: str | float | None = None,
    max_posts: int | None = None,
    concurrency: int | str = "auto",
    rpm: float | None = None,
    on_unknown: Literal["hold", "resubmit"] = "hold",
    allow_host: Sequence[str] = (),
    drain_s: float | None = None,
    ledger: str | None = None,
) -> Reproduction:
    """Make a sample of an output folder's requests again and compare: would I get this again?

    Args:
        out: the output folder of a run.
        sample: how many of its requests: a share such as `5%`, or a number such as `20`.
        fresh: repetitions older than this (`12h`, `6d`, `1w`) do not count and are made anew; without it
            every repetition counts, and a second call buys nothing.
        gateway: the base URL of the gateway, a profile or a block; when absent that of the latest run, as you
            have named it on this machine before (in a deployment it is named, except the sandbox).
        api_key_env: name of the environment variable that holds the key; never the key.
        price: US dollars per generation (`0.80`) or per second of video (`0.10/s`).
        budget: US dollars for all the ledger ever settles and reserves (`500`), or per day (`50/day`).
        max_posts: most POSTs of this run.
        concurrency: generations in flight, or `auto`.
        rpm: most POSTs a minute.
        on_unknown: `resubmit` buys repetitions again whose first purchase has an unknown fate.
        allow_host: hosts that may be reached though their address is not public.
        drain_s: seconds for open generations after SIGTERM.
        ledger: `sqlite:///path` or `postgresql://…`; OUT/ledger.db when absent.

    Returns a Reproduction; `OUT/reproduction.parquet` has a line per pair. Raises UsageError when nothing can
    be sent, RunStopped when the run was stopped before its sample was made.
    """
    options = RunOptions(
        gateway=gateway or "",
        api_key_env=api_key_env,
        price=None if price is None else Price.parse(str(price)),
        budget=None if budget is None else Budget.parse(str(budget)),
        max_posts=max_posts,
        concurrency=parse_concurrency(concurrency),
        rpm=rpm,
        on_unknown=on_unknown,
        allow_hosts=tuple(allow_host),
        drain_s=drain_s,
        ledger=ledger,
        rebuy=True,
    )
    return await in_one_line(lambda: reproduce_drawn(out, options, sample=str(sample), fresh=fresh))
