"""A call as it goes through the relay: what the client wants, and what each model that may answer is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from dragoman.conversation import Reply, Request
from dragoman.dialects.contract import ClientDialect
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution
from dragoman.models.restore import Restore
from dragoman.relay.http1 import Connection
from dragoman.relay.opening import Opening
from dragoman.relay.stream import Stream
from dragoman.relay.upstreams import UpstreamServer
from dragoman.relay.usage_tap import Tap


class Way(Struct, frozen=True):
    """How a call is passed through to an upstream of the client's own dialect: where to, with which headers, and how
    the bytes of its body become those for a model.  `lost` is what had to be taken out of them: name → why.
    `takes` says of a model whether its server has that path; None: each that speaks `dialect` has it.  `instead` gives
    what is sent where that server refuses with these bytes, if anything is."""

    dialect: str
    path: str
    headers: Mapping[str, str]
    body: Callable[[str], bytes]
    lost: Mapping[str, str] = {}
    takes: Callable[[Card], bool] | None = None
    instead: Callable[[Card, bytes], bytes | None] | None = None

    def leads_to(self, card: Card) -> bool:
        """Whether the model's server can be called so."""
        return card.dialect == self.dialect if self.takes is None else self.takes(card)


class Plan(Struct, frozen=True):
    """Who may answer a call, best first.  `on_context` and `on_refusal` are asked in two cases of their own."""

    candidates: tuple[Resolution, ...]
    on_context: str = ""
    on_refusal: str = ""


class Sent(Struct, frozen=True, kw_only=True):
    """What one model is sent.

    With a `way` the client's own bytes are passed through, and the rest is empty.  `wanted` is the client's request
    with what is configured and remembered.  `betas` is what `body` needs in `anthropic-beta`.  `streamed`: the upstream
    streams, whatever the client asked for.
    `recalls`: its sealed thinking is to be remembered, and `recalled` is the last turn that was (`Recalled.last`);
    `resumes`: a turn it pauses is taken up again; `unproved`: it refused the proof of a thought in this call.
    `estimate`, `size` (the same, corrected by what the server counted before) and `num_ctx` are tokens, 0 where nobody
    needed to know.
    """

    resolution: Resolution
    body: bytes
    losses: Losses
    betas: str = ""
    way: Way | None = None
    wanted: Request | None = None
    restore: Restore | None = None
    streamed: bool = False
    recalls: bool = False
    recalled: bytes = b""
    resumes: bool = False
    unproved: bool = False
    estimate: int = 0
    size: int = 0
    num_ctx: int = 0

    @property
    def card(self) -> Card:
        return self.resolution.card

    @property
    def key(self) -> str:
        """See `Card.key`."""
        return self.card.key


class Call:
    """One client's call.  `sent` is what the model that answers was sent; it changes when another one takes over."""

    def __init__(
        self,
        client: ClientDialect,
        plan: Plan,
        decode: Callable[[], Request],
        *,
        strict: bool = False,
        way: Way | None = None,
        version: str = "",
    ) -> None:
        self.client = client
        self.plan = plan
        self.strict = strict
        self.way = way
        self.version = version
        """The client's `anthropic-version`."""
        self._decode = decode
        self._request: Request | None = None
        self.sent: Sent

    @property
    def request(self) -> Request:
        """The client's request, decoded when it is first needed.  Raises `GatewayError`."""
        if self._request is None:
            self._request = self._decode()
        return self._request

    def again(self) -> Call:
        """The same call once more, to be answered by itself."""
        twin = Call(self.client, self.plan, self._decode, strict=self.strict, way=self.way, version=self.version)
        twin._request, twin.sent = self._request, self.sent
        return twin

    @property
    def losses(self) -> Losses:
        return self.sent.losses


class Passage(Struct):
    """An answer that is passed through as it comes: `connection` has its head, whatever its status.

    `tap` wants to see its bytes; `streamed`: they come piece by piece.  `opening` holds what was read of them already,
    `body` the whole of an unstreamed answer where that was read.  `fault` is why the answer broke off, if it did.
    `wire` is the dialect it is in ("": its server's usual one).
    """

    server: UpstreamServer
    connection: Connection
    tap: Tap
    streamed: bool
    opening: Opening | None = None
    body: bytes | None = None
    fault: GatewayError | None = None
    wire: str = ""


Answer = Reply | Stream | Passage


class Answering:
    """An answer for as long as it is read.  Two plain methods: a generator in their place costs several times as much
    at every call."""

    def __init__(
        self,
        call: Call,
        begin: Callable[[Call], Awaitable[tuple[Answer, UpstreamServer, int]]],
        over: Callable[[Call, Answer, UpstreamServer, int], None],
    ) -> None:
        self._call = call
        self._begin = begin
        self._over = over

    async def __aenter__(self) -> Answer:
        self._won = await self._begin(self._call)
        return self._won[0]

    async def __aexit__(self, *_: object) -> None:
        self._over(self._call, *self._won)
