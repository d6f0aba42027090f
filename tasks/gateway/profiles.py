"""Gateway profiles: what is particular about one gateway, as data.

A profile is a YAML file, shipped in `profiles/` here or written by the user; a plain URL gets the default
one. It never holds a key, only the name of the variable that holds it. Nothing in it describes a
dialect: the reader needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal, cast

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)
from reelsweep.prompts.duration import parse_duration
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.fingerprint import base_url as normal_base_url
from reelsweep.prompts.fingerprint import gateway_name
from reelsweep.prompts.pricing import Price
from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.spelling import BodyField, Spelling, respell
from reelsweep.tasks.gateway.times import Times

SHIPPED = Path(__file__).parent / "profiles"
_TEMPLATE_FIELDS = ("{base_url}", "{origin}", "{task_id}")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListedPrice(_Frozen):
    """A price as `--price` takes it, and the day it was read."""

    price: str
    date: date

    @field_validator("price")
    @classmethod
    def _is_a_price(cls, price: str) -> str:
        try:
            Price.parse(price)
        except SettingsError as error:
            raise ValueError(error.message) from None
        return price


class ModelFacts(_Frozen):
    """What is known of one model. After `end_of_life` the gateway no longer serves it."""

    end_of_life: date | None = None
    seed: Literal["honoured", "ignored"] | None = None
    """What `seedcheck` has found, for machines without its record."""


class Idempotency(_Frozen):
    """Whether a POST whose key was sent before gets the first one's job, and sells none; and how long."""

    honoured: bool = False
    ttl: float | None = None
    """Seconds from a key's first POST; written as `24h` too."""

    @field_validator("ttl", mode="before")
    @classmethod
    def _as_seconds(cls, ttl: object) -> float | None:
        if ttl is None:
            return None
        if isinstance(ttl, bool) or not isinstance(ttl, str | int | float):
            raise ValueError(f"got {ttl!r}, expected a time such as 24h")
        return parse_duration(ttl)

    @model_validator(mode="after")
    def _has_end(self) -> Idempotency:
        if self.honoured and self.ttl is None:
            raise ValueError("got honoured without ttl, expected how long a key is remembered, such as 24h")
        return self


class Profile(_Frozen):
    """One gateway. Only `base_url` is needed."""

    name: str = Field(min_length=1, max_length=100)
    base_url: str
    origins: tuple[str, ...] = ()
    """Present and past addresses; the first names the gateway in the ledger."""
    auth: Literal["bearer", "raw", "none"] = "bearer"
    """`Authorization: Bearer KEY`, `Authorization: KEY`, or no key at all."""
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    extra_body: Mapping[str, JsonValue] = {}
    """Added to every request's body; part of what was asked."""
    url_query: Mapping[str, str] = {}
    size: Spelling = BodyField()
    seconds: Spelling = BodyField()
    status_url: str | None = None
    """Where to ask after a task: `{origin}/tasks/{task_id}`; also `{base_url}`."""
    prices: Mapping[str, ListedPrice] = {}
    models: Mapping[str, ModelFacts] = {}
    concurrency: int | None = Field(default=None, ge=1, le=1000)
    """A safe number of jobs in flight, where `--concurrency auto` begins."""
    silence_s: float | None = Field(default=None, gt=0)
    """How long the gateway may be silent in a stream; 15 minutes where it is not said."""
    long_backoff_s: float = Field(default=120.0, gt=0)
    """The wait before another pass where no account was free."""
    stream_errors_free: bool = False
    """The gateway does not bill a request whose stream ends in an error."""
    idempotency: Idempotency = Idempotency()

    @model_validator(mode="before")
    @classmethod
    def _with_address(cls, values: object) -> object:
        """One normal form of the base URL; without origins, the gateway is named by it."""
        if not isinstance(values, dict):
            return values
        fields = cast(dict[str, object], values)
        address = fields.get("base_url")
        if not isinstance(address, str):
            return fields
        return {
            **fields,
            "base_url": _checked(normal_base_url, address),
            "origins": fields.get("origins") or (address,),
        }

    @field_validator("origins")
    @classmethod
    def _normal_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_checked(gateway_name, origin) for origin in origins))

    @field_validator("status_url")
    @classmethod
    def _known_template(cls, template: str | None) -> str | None:
        if template is None:
            return None
        rest = template
        for field in _TEMPLATE_FIELDS:
            rest = rest.replace(field, "")
        if "{task_id}" not in template or "{" in rest or "}" in rest:
            raise ValueError(
                f"got {template!r}, expected an address with {{task_id}}, as {{origin}}/tasks/{{task_id}}"
            )
        return template

    @property
    def key_ttl_s(self) -> float | None:
        """How long the gateway sells once for one idempotency key; None where it does not say so."""
        return self.idempotency.ttl if self.idempotency.honoured else None

    @property
    def replay_s(self) -> float | None:
        """How old a key may be when its POST is claimed, so that the gateway knows it when it arrives."""
        return None if self.key_ttl_s is None else self.key_ttl_s - Times().leaves_s

    def respell(self, payload: Mapping[str, Json]) -> dict[str, Json]:
        """The request as this gateway wants it said; without size and seconds, unchanged. Pure."""
        return respell(respell(payload, "seconds", self.seconds), "size", self.size)

    def model_warning(self, model: str, today: date) -> str | None:
        """A line about a model that is past its end of life, or None."""
        facts = self.models.get(model)
        if facts is None or facts.end_of_life is None or today <= facts.end_of_life:
            return None
        return f"{model} is past its end of life at {self.name} ({facts.end_of_life})"


def load_profile(name_or_url: str, folders: Sequence[Path] = ()) -> Profile:
    """The profile of this name, of this file, or of the gateway at this URL.

    A URL that some profile lists as an origin gets that profile, asked at the URL given; any other gets
    the default profile. Raises SettingsError for an unknown name or a profile that is not valid.
    """
    if "://" in name_or_url:
        return _of_url(name_or_url, folders)
    if name_or_url.endswith((".yaml", ".yml")):
        return read_profile(Path(name_or_url))
    files = {path.stem: path for path in _files(folders)}
    if name_or_url not in files:
        known = ", ".join(sorted(files)) or "none"
        raise SettingsError(
            f"got --gateway {name_or_url!r}, expected a URL or a profile ({known}).",
            "Give the gateway's base URL, or write a profile.",
        )
    return read_profile(files[name_or_url])


def read_profile(path: Path) -> Profile:
    """The profile in a file; its name is the file's. Raises SettingsError naming what is wrong."""
    try:
        loaded: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"profile {path}: {reason}", "Correct the file.") from None
    if not isinstance(loaded, dict):
        raise SettingsError(
            f"profile {path}: expected a mapping of fields.", "Start from profiles/example.yaml."
        )
    try:
        return Profile.model_validate({"name": path.stem, **cast(dict[str, object], loaded)})
    except ValidationError as error:
        raise SettingsError(f"profile {path}: {_problems(error)}", "Correct the file.") from None


def _of_url(url: str, folders: Sequence[Path]) -> Profile:
    gateway = gateway_name(url)
    for path in _files(folders):
        profile = read_profile(path)
        if gateway in profile.origins:
            return profile.model_copy(update={"base_url": normal_base_url(url)})
    return Profile(name=gateway.partition("://")[2][:100], base_url=url)


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    """The shipped profiles, then the user's, which win by name."""
    for folder in (SHIPPED, *folders):
        yield from sorted(folder.glob("*.yaml"))


def _checked(normalise: Callable[[str], str], url: str) -> str:
    try:
        return normalise(url)
    except SettingsError as error:
        raise ValueError(error.message) from None


def _problems(error: ValidationError) -> str:
    lines = [
        f"{'.'.join(map(str, item['loc'])) or 'profile'}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors()
    ]
    return f"{'; '.join(lines)}."
