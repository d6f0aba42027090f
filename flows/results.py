"""How a run's end travels to who asked for it, by Prefect's result storage: as JSON, without pickles.

Beside `bulk`. Prefect's own coding of a model has a key `data`, for which it takes the file for one of an
older version and hands out a bare dict; and its coding of an exception keeps the text and loses the facts.
"""

from __future__ import annotations

from typing import Any

from prefect.serializers import JSONSerializer, prefect_json_object_decoder, prefect_json_object_encoder
from reelsweep.flows.reproduction.reproducing import Reproduction
from reelsweep.flows.summary import RunStopped, RunSummary
from reelsweep.prompts.errors import ReelsweepError, StopError, TroubleError, UsageError

SUMMARY, STOPPED, ERROR = "reelsweep_summary", "reelsweep_stopped", "reelsweep_error"
REPRODUCTION = "reelsweep_reproduction"
BRANCHES = (UsageError, StopError, TroubleError)
"""The errors a caller tells apart; others arrive as the branch they belong to."""


def encode(value: Any) -> Any:
    """A summary or an error of ours as JSON knows it; Prefect's way for everything else."""
    match value:
        case RunSummary():
            return {SUMMARY: value.model_dump()}
        case RunStopped(summary=summary):
            return {STOPPED: summary.model_dump()}
        case Reproduction():
            return {REPRODUCTION: value.model_dump()}
        case ReelsweepError():
            branch = next((kind for kind in BRANCHES if isinstance(value, kind)), ReelsweepError)
            return {ERROR: [branch.__name__, value.message, value.remedy]}
        case _:
            return prefect_json_object_encoder(value)


def decode(document: dict[str, Any]) -> Any:
    """What `encode` was given."""
    match document:
        case {"reelsweep_summary": fields}:
            return RunSummary.model_validate(fields)
        case {"reelsweep_stopped": fields}:
            return RunStopped(RunSummary.model_validate(fields))
        case {"reelsweep_reproduction": fields}:
            return Reproduction.model_validate(fields)
        case {"reelsweep_error": [name, message, remedy]}:
            return {kind.__name__: kind for kind in BRANCHES}.get(name, ReelsweepError)(message, remedy)
        case _:
            return prefect_json_object_decoder(document)


RESULTS = JSONSerializer(
    object_encoder=f"{__name__}.{encode.__name__}", object_decoder=f"{__name__}.{decode.__name__}"
)
"""For `result_serializer`; found by its names wherever Reelsweep is installed."""
