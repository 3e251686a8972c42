"""Where AWS credentials come from: configuration, the environment, or the whole chain that AWS's own tools walk.

Owns: `Credentials`, reading them from an environment, and the chain (profiles, SSO, container and instance roles)
through botocore, which is imported and asked in a thread only, and only where the `bedrock` extra is installed.
Refuses: to show a secret (a repr shows the last four characters of the key's name), and to renew anything itself:
botocore knows when, it only has to be asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from laneway.failure import Failure, FailureError, Kind, fail

RECHECK_S = 60.0
"""How often botocore is asked again. It renews 10 to 15 minutes before an expiry, so that a minute is never late."""

RETRY_S = 5.0
"""How long a failed load answers for itself, so that a broken chain is not walked again by every request."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What proves to AWS who is calling: a key pair (with a token where it is temporary), or a Bedrock API key.

    `region` is where the source says calls go, "" when it does not say. Values that cannot be sent in a header, or
    that are half of a pair, raise FailureError CREDENTIALS.
    """

    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    bearer: str = ""
    region: str = ""
    source: str = "configuration"

    def __post_init__(self) -> None:
        if self.bearer and (self.access_key or self.secret_key):
            raise fail(Kind.CREDENTIALS, "AWS credentials are either a key pair or a Bedrock API key, not both.")
        if not self.bearer and not (self.access_key and self.secret_key):
            raise fail(Kind.CREDENTIALS, "AWS credentials need both an access key and a secret key.")
        for name in ("access_key", "secret_key", "session_token", "bearer"):
            value: str = getattr(self, name)
            if not value.isascii() or not value.isprintable() or " " in value:
                raise fail(
                    Kind.CREDENTIALS,
                    f"The AWS {name} from the {self.source} has a space, a line end or a character outside ASCII in "
                    "it; it was probably pasted with something around it.",
                )

    @property
    def ending(self) -> str:
        """Enough of the key to recognise it by, for what is printed at the start."""
        shown = self.bearer or self.access_key
        return f"...{shown[-4:]}" if len(shown) >= 12 else "..."

    def __repr__(self) -> str:
        kind = "bearer" if self.bearer else "temporary" if self.session_token else "key pair"
        return f"Credentials({kind} {self.ending} from {self.source}, region={self.region!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        # msgspec would list every field to pretty-printers.
        return [("ending", self.ending), ("source", self.source), ("region", self.region)]


class CredentialSource(Protocol):
    """Credentials that are good now."""

    async def current(self, now_s: float) -> Credentials:
        """Raises FailureError CREDENTIALS where there are none."""


class FixedCredentials:
    """Credentials that stay as they are for as long as the process runs."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def current(self, now_s: float) -> Credentials:
        return self._credentials


def region_of(env: Mapping[str, str]) -> str:
    """The region an environment names, "" when it names none; AWS_REGION goes first, as in AWS's own SDKs."""
    return _read(env, "AWS_REGION") or _read(env, "AWS_DEFAULT_REGION")


def from_environment(env: Mapping[str, str]) -> Credentials | None:
    """The credentials an environment holds, None when it holds none.

    A Bedrock API key goes before a key pair, as in AWS's own SDKs. Half a pair raises FailureError CREDENTIALS.
    """
    region = region_of(env)
    if bearer := _read(env, "AWS_BEARER_TOKEN_BEDROCK"):
        return Credentials(bearer=bearer, region=region, source="environment")
    access_key, secret_key = _read(env, "AWS_ACCESS_KEY_ID"), _read(env, "AWS_SECRET_ACCESS_KEY")
    if not access_key and not secret_key:
        return None
    if not access_key or not secret_key:
        there, missing = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")[:: 1 if access_key else -1]
        raise fail(Kind.CREDENTIALS, f"{there} is set but {missing} is not; set both, or neither.")
    return Credentials(
        access_key=access_key,
        secret_key=secret_key,
        session_token=_read(env, "AWS_SESSION_TOKEN"),
        region=region,
        source="environment",
    )


def source_of(explicit: Credentials | None, env: Mapping[str, str], profile: str = "") -> CredentialSource:
    """Where credentials are taken from: configuration, a named profile, the environment, then the whole chain."""
    if explicit is not None:
        return FixedCredentials(explicit)
    found = None if profile else from_environment(env)
    return CredentialChain(profile) if found is None else FixedCredentials(found)


class FrozenKeys(Protocol):
    """What botocore calls frozen credentials: three values that belong together."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    @property
    def token(self) -> str | None: ...


class RenewedKeys(Protocol):
    """What botocore calls credentials: asking for the frozen ones renews them where that is due."""

    def get_frozen_credentials(self) -> FrozenKeys: ...


class ChainSession(Protocol):
    """The two questions asked of a botocore session."""

    def get_credentials(self) -> RenewedKeys | None: ...

    def get_config_variable(self, logical_name: str) -> str | None: ...


class CredentialChain:
    """The chain of AWS's own tools, asked in a thread, once for all requests that wait.

    While a renewal runs, everybody but the one who found it due goes on with what is held, which is still good then.
    """

    def __init__(self, profile: str = "", open_session: Callable[[str], ChainSession] | None = None) -> None:
        self._profile = profile
        self._open_session = open_session or _open_session
        self._lock = asyncio.Lock()
        self._renewed: RenewedKeys | None = None
        self._region = ""
        self._answer: Credentials | Failure = _none_found().failure
        self._due_s = float("-inf")

    async def current(self, now_s: float) -> Credentials:
        held = self._answer
        if isinstance(held, Credentials) and (now_s < self._due_s or self._lock.locked()):
            return held
        async with self._lock:
            if now_s >= self._due_s:
                await self._ask(now_s)
            if isinstance(self._answer, Failure):
                raise FailureError(self._answer)
            return self._answer

    async def _ask(self, now_s: float) -> None:
        try:
            self._answer = await asyncio.to_thread(self._load)
        except FailureError as error:
            # botocore begins to renew long before the end: what is held is used up before a request has to fail.
            if isinstance(self._answer, Failure) or _expired(self._renewed):
                self._answer = error.failure
            self._due_s = now_s + RETRY_S
        else:
            self._due_s = now_s + RECHECK_S

    def _load(self) -> Credentials:
        try:
            if self._renewed is None:
                session = self._open_session(self._profile)
                self._region = session.get_config_variable("region") or ""
                self._renewed = session.get_credentials()
            keys = self._renewed.get_frozen_credentials() if self._renewed is not None else None
        except FailureError:
            raise
        except Exception as error:  # noqa: BLE001 - the chain runs plug-ins and programs of others: anything can come
            raise fail(
                Kind.CREDENTIALS,
                f"AWS credentials could not be loaded ({type(error).__name__}); "
                "`aws sts get-caller-identity` with the same profile shows why.",
                detail=str(error),
            ) from None
        if keys is None:
            raise _none_found()
        return Credentials(
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            session_token=keys.token or "",
            region=self._region,
            source=f"profile {self._profile}" if self._profile else "chain",
        )


def _read(env: Mapping[str, str], name: str) -> str:
    # A trailing line end is the usual harm done by a file of variables.
    return env.get(name, "").strip()


def _expired(renewed: RenewedKeys | None) -> bool:
    """Whether what botocore gave last is no longer good; a plain key pair never ends and has no such question."""
    refresh_needed: Callable[[int], bool] | None = getattr(renewed, "refresh_needed", None)
    return refresh_needed is not None and refresh_needed(0)


def _none_found() -> FailureError:
    return fail(
        Kind.CREDENTIALS,
        "No AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "AWS_BEARER_TOKEN_BEDROCK, or name a profile.",
    )


def _open_session(profile: str) -> ChainSession:
    try:
        from botocore.session import Session
    except ImportError:
        raise fail(
            Kind.CREDENTIALS,
            "AWS profiles, SSO and roles need botocore: install laneway[bedrock], or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_BEARER_TOKEN_BEDROCK.",
        ) from None
    session: ChainSession = Session(profile=profile or None)
    return session
