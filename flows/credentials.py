"""The Prefect block `GatewayCredentials`: a gateway and its key, kept together on the Prefect server.

Beside `access`, which turns `gateway="gateway-credentials/NAME"` into a profile and a key. Registered by

    prefect block register --module reelsweep.flows.credentials
"""

# Annotations are not postponed here: Prefect reads the fields' types when the class is made.
from contextlib import nullcontext
from typing import ClassVar, Protocol, cast

from prefect.blocks.core import Block
from prefect.settings import get_current_settings
from pydantic import ConfigDict, Field, SecretStr, model_validator
from reelsweep.flows.server import prefect_server
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.gateway.profiles import Profile, load_profile

BLOCK = "gateway-credentials/"


class GatewayCredentials(Block):
    """A Chat Completions gateway and the key it gets, chosen by name: `gateway="gateway-credentials/NAME"`.

    The gateway is an address or a profile; the key stands here, encrypted, or in a variable of the worker.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name: ClassVar[str | None] = "Gateway Credentials"
    _block_type_slug: ClassVar[str | None] = BLOCK.rstrip("/")
    _description: ClassVar[str | None] = "A Chat Completions gateway and the key it gets. For Reelsweep."

    # Empty, not None: Prefect's form then shows plain fields.
    base_url: str = Field(
        default="",
        title="Base URL",
        description="Where the gateway is, such as https://gateway.example/v1. Or a profile, below.",
    )
    profile: str = Field(
        default="",
        description="A profile's name, or the path of its file on the worker. Or a base URL, above.",
    )
    api_key: SecretStr = Field(
        default=SecretStr(""),
        title="API key",
        description="The key, encrypted by Prefect. Or a variable, below.",
    )
    api_key_env: str = Field(
        default="",
        title="API key variable",
        description="The environment variable of the worker that holds the key. Or the key itself, above.",
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> "GatewayCredentials":
        if bool(self.base_url) == bool(self.profile):
            raise ValueError("expected a base_url or a profile, and not both")
        if self.api_key.get_secret_value() and self.api_key_env:
            raise ValueError("expected an api_key or an api_key_env, not both")
        return self

    def profile_in_use(self) -> Profile:
        """The gateway's profile, with the key's variable where the block names one; raises SettingsError."""
        profile = load_profile(self.base_url or self.profile)
        if not self.api_key_env:
            return profile
        return profile.model_copy(update={"api_key_env": self.api_key_env})

    def held_key(self) -> str:
        """The key that stands in the block itself, or nothing."""
        return self.api_key.get_secret_value()


class Load(Protocol):
    """Prefect's `Block.load`, called without a loop."""

    def __call__(self, name: str, *, _sync: bool) -> GatewayCredentials: ...


def load_credentials(slug: str) -> GatewayCredentials:
    """The block that `gateway-credentials/NAME` names. Raises SettingsError where the server has none."""
    name = slug.removeprefix(BLOCK)
    try:
        with prefect_server() if get_current_settings().api.url is None else nullcontext():
            # Typed as if it could only be awaited; `prepare` has no loop of its own.
            return cast(Load, GatewayCredentials.load)(name, _sync=True)
    except ValueError as error:
        if "Unable to find" not in str(error):
            raise
        raise SettingsError(
            f"The Prefect server has no block gateway-credentials/{name}.",
            "Make it on the page Blocks, or as deployments/README.md shows.",
        ) from None
