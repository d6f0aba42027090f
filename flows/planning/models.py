"""Whether the gateway still serves the models of a plan: by its own list, and by the profile's dates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, cast

import httpx
from reelsweep.tasks.gateway.profiles import Profile

ASK_S = 10.0


def ask_models(profile: Profile, key: str | None) -> httpx.Response:
    """The answer to GET /models, which costs nothing. Raises httpx.HTTPError where there is none."""
    headers = {"Authorization": f"Bearer {key}" if profile.auth == "bearer" else key} if key else {}
    url = f"{str(profile.base_url).rstrip('/')}/models"
    return httpx.get(url, headers=headers, timeout=ASK_S, trust_env=False)


def listed_models(profile: Profile, key: str | None) -> frozenset[str] | None:
    """The models the gateway lists; None when it does not say."""
    try:
        answer: Any = ask_models(profile, key).json()
    except (httpx.HTTPError, ValueError):
        return None
    items = cast(dict[str, Any], answer).get("data") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        return None
    entries = [cast(dict[str, Any], item) for item in cast(list[Any], items) if isinstance(item, dict)]
    return frozenset(str(entry["id"]) for entry in entries if "id" in entry) or None


def model_warnings(
    profile: Profile, models: Iterable[str], listed: frozenset[str] | None, today: date
) -> Iterator[str]:
    """A line about every model that is past its date, or that the gateway does not list. Pure."""
    for model in sorted(set(models)):
        past = profile.model_warning(model, today)
        if past is not None:
            yield f"{past}."
        elif listed is not None and model not in listed:
            yield f"{model} is not among the {len(listed)} models that {profile.name} lists."
