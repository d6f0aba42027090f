"""The four promises, held through anything that two owners can do in any order.

Never pay twice, never lose what was paid for, never call a failure a success, never spend by surprise.
The model below knows nothing of the database: it keeps what the owners did and were told.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from reelsweep.tasks.ledger.records import Claim
from reelsweep.tasks.ledger.standing import Trace, derive

_PRICE, _CAP, _GENERATIONS, _PURCHASES = 100, 350, 2, 3
_NUMBERS = st.integers(0, _GENERATIONS - 1)
_OWNERS = st.integers(0, 1)
_NOTHING: frozenset[str] = frozenset()
_ALLOW = st.sampled_from(
    [_NOTHING, frozenset({"unknown"}), frozenset({"failed_billed"}), frozenset({"unknown", "failed_billed"})]
)
_ANSWERS = st.sampled_from(["success", "throttled", "cut", "refused", "no_video"])
_PICK = st.randoms(use_true_random=False)
_FOR_EVER_S = 1e9
_BILLED = {"success": "yes", "throttled": "no", "cut": "maybe", "refused": "maybe", "no_video": "yes"}


@dataclass
class Post:
    """One attempt as its owner knows it."""

    attempt_id: str
    number: int
    run_id: str
    key: str
    state: str = "open"
    sent: bool = False
    billed: str | None = None
    cost: int = 0
    charged: bool = False
    """A bill has named it, with its price."""
    unbilled: bool = False
    """A bill has said that it costs nothing."""

    @property
    def maybe_paid(self) -> bool:
        """Whether money may have been spent on it."""
        return self.state != "withdrawn" and self.billed != "no"

    @property
    def refunded(self) -> bool:
        """Surely unbilled, and by no answer that ends the row."""
        return self.billed == "no" and self.state in ("unknown", "cut", "throttled")

    @property
    def definite(self) -> bool:
        """Its answer is known, and it is none that asks for another POST."""
        return self.state not in ("open", "unknown", "cut", "throttled", "withdrawn")

    @property
    def used(self) -> int:
        """What it takes from the budget."""
        if not self.maybe_paid:
            return 0
        return self.cost if self.billed == "yes" else _PRICE


@dataclass
class Owner:
    """One process: its ledger and its run."""

    ledger: Any
    run_id: str
    dead: bool = False
    slept: bool = False
    """Longer than its lease."""


class Promises(RuleBasedStateMachine):
    """Two owners on one ledger; `key_ttl_s` is how long their gateway says that it remembers keys."""

    def __init__(self, make: Any, fresh_url: Callable[[], str], key_ttl_s: float | None) -> None:
        super().__init__()
        self.make, self.key_ttl_s = make, key_ttl_s
        self.loop = asyncio.new_event_loop()
        self.database = make.Database(fresh_url())
        self.posts: list[Post] = []
        self.won: set[int] = set()
        self.run_ids = (f"run-{number}" for number in itertools.count())
        self.owners = [Owner(self.database.open(), ""), Owner(self.database.open(), "")]

    def do(self, verb: Any) -> Any:
        """The value of a verb."""
        return self.loop.run_until_complete(verb)

    @initialize()
    def begin(self) -> None:
        """Both owners start."""
        rows = [self.make.row(number) for number in range(_GENERATIONS)]
        self.do(self.owners[0].ledger.record_plan("out", self.make.gateway, "plan", rows))
        for owner in self.owners:
            self._start(owner)

    def _start(self, owner: Owner) -> None:
        owner.run_id, owner.dead, owner.slept = next(self.run_ids), False, False
        self.do(owner.ledger.set_budget(_CAP))
        self._bury_sleepers()
        self.do(owner.ledger.start_run(self.make.run(owner.run_id)))

    def _of(self, number: int) -> list[Post]:
        return [post for post in self.posts if post.number == number and post.state != "withdrawn"]

    def _unsent(self, *states: str) -> list[Post]:
        return [post for post in self.posts if post.state in states and not post.sent]

    def _unanswered(self) -> list[Post]:
        return [post for post in self.posts if post.state in ("open", "unknown", "cut") and post.sent]

    def _doubtful(self) -> list[Post]:
        return [post for post in self.posts if post.billed == "maybe" and post.state != "withdrawn"]

    def _unfetched(self) -> list[Post]:
        return [post for post in self.posts if post.state in ("answered", "expired")]

    @rule(who=_OWNERS, number=_NUMBERS, allow=_ALLOW)
    def claim(self, who: int, number: int, allow: frozenset[str]) -> None:
        """A claim is granted exactly when the promises allow it."""
        owner = self.owners[who]
        wish = self.make.request(
            number, run_id=owner.run_id, allow=allow, price_max_musd=_PRICE, max_purchases=_PURCHASES
        )
        self._wake(owner)
        expected = self._expected(owner, number, allow)
        got = self.do(owner.ledger.claim(self.make.gateway, wish))
        assert (None if isinstance(got, Claim) else got.reason) == expected
        if isinstance(got, Claim):
            self._check_key(number, got)
            self.posts.append(Post(got.attempt_id, number, owner.run_id, got.idempotency_key))

    def _expected(self, owner: Owner, number: int, allow: frozenset[str]) -> str | None:
        if owner.dead:
            return "lease_lost"
        posts = self._of(number)
        states = {post.state for post in posts}
        lasting = [post for post in posts if post.state != "surplus" and not post.refunded]
        if number in self.won:
            return "final"
        if states & {"open", "answered"}:
            return "claimed"
        if lasting and lasting[-1].state == "refused":
            return "final"
        if lasting and (needed := self._needed(lasting[-1])) not in allow:
            return needed
        if sum(post.maybe_paid for post in posts) >= _PURCHASES:
            return "max_purchases"
        return self._over_budget()

    def _needed(self, last: Post) -> str:
        return "unknown" if last.state in ("unknown", "cut") else "failed_billed"

    def _over_budget(self) -> str | None:
        if sum(post.used for post in self.posts) + _PRICE <= _CAP:
            return None
        final = sum(post.used for post in self.posts if post.state != "open")
        return "skipped_budget" if final + _PRICE > _CAP else "budget_wait"

    def _check_key(self, number: int, claim: Claim) -> None:
        """An unknown fate keeps its key; any other earlier POST had another one."""
        posts = self._of(number)
        asked = [post for post in posts if post.state != "throttled"]
        if asked and asked[-1].state in ("unknown", "cut") and not self._ended(posts, asked[-1].key):
            assert claim.idempotency_key == asked[-1].key
        else:
            assert claim.idempotency_key not in {post.key for post in posts}

    def _ended(self, posts: list[Post], key: str) -> bool:
        """Whether a definite answer came under a key."""
        return any(post.key == key and post.state not in ("unknown", "cut", "throttled") for post in posts)

    @precondition(lambda self: self._unsent("open", "unknown"))
    @rule(pick=_PICK)
    def withdraw(self, pick: Any) -> None:
        """An owner knows that its POST never left, also after it was taken for dead."""
        post = pick.choice([p for p in self.posts if p.state in ("open", "unknown") and not p.sent])
        self.do(self.owners[0].ledger.withdraw(post.attempt_id, "never sent"))
        post.state = "withdrawn"

    @precondition(lambda self: self._unsent("open"))
    @rule(pick=_PICK)
    def send(self, pick: Any) -> None:
        """The POST leaves, if the owner still holds its lease."""
        post = pick.choice(self._unsent("open"))
        owner = next((o for o in self.owners if o.run_id == post.run_id), None)
        if owner is not None and owner.ledger.lease_held(owner.run_id):
            assert not owner.slept
            post.sent = not owner.dead

    @rule(who=_OWNERS, number=_NUMBERS, allow=_ALLOW, kind=_ANSWERS)
    def buy(self, who: int, number: int, allow: frozenset[str], kind: str) -> None:
        """Claim, POST and answer without a break."""
        before = len(self.posts)
        self.claim(who, number, allow)
        for post in self.posts[before:]:
            post.sent = True
            self._answer(who, post, kind)

    @precondition(lambda self: self._unanswered())
    @rule(who=_OWNERS, kind=_ANSWERS, pick=_PICK)
    def answer(self, who: int, kind: str, pick: Any) -> None:
        """An outcome comes, in time or late, and whoever hears of it records it."""
        self._answer(who, pick.choice(self._unanswered()), kind)

    @precondition(lambda self: self._over())
    @rule(who=_OWNERS, kind=_ANSWERS, pick=_PICK)
    def answer_again(self, who: int, kind: str, pick: Any) -> None:
        """What is said about a result afterwards changes nothing, nor does a cut after a definite answer."""
        post = pick.choice(self._over())
        late = kind if post.state in ("won", "surplus") or kind != "success" else "cut"
        late = late if post.state not in ("refused", "no_video", "throttled", "invalid") else "cut"
        self.do(self.owners[who].ledger.answer(post.attempt_id, self._says(late)))

    def _says(self, kind: str) -> Any:
        return replace(getattr(self.make, kind)(), key_ttl_s=self.key_ttl_s)

    def _over(self) -> list[Post]:
        open_states = ("open", "unknown", "cut", "withdrawn")
        return [post for post in self.posts if post.state not in open_states]

    @precondition(lambda self: self._doubtful())
    @rule(billed=st.sampled_from(["yes", "no"]), pick=_PICK)
    def bill(self, billed: str, pick: Any) -> None:
        """A provider's bill says what was charged of what was maybe billed; no later word undoes a charge."""
        post = pick.choice(self._doubtful())
        cost = 90 if billed == "yes" else None
        self.do(self.owners[0].ledger.decide(post.attempt_id, billed=billed, cost_musd=cost))
        post.billed, post.cost, post.charged = billed, cost or 0, billed == "yes"
        post.unbilled = billed == "no"

    def _answer(self, who: int, post: Post, kind: str) -> None:
        if post.unbilled and _BILLED[kind] == "yes":
            kind = "cut"  # a bill tells the truth
        answer = self._says(kind)
        self.do(self.owners[who].ledger.answer(post.attempt_id, answer))
        if not post.charged and not (post.billed == "no" and _BILLED[kind] == "maybe"):
            post.billed, post.cost = _BILLED[kind], answer.cost_musd or 0
        post.state = kind if kind != "success" else self._place_of_success(post)
        self._count_sale_once(post)

    def _same_sale(self, post: Post) -> list[Post]:
        """Other POSTs that were given the same job: a gateway that remembers the key sells once."""
        if self.key_ttl_s is None:
            return []
        return [other for other in self._of(post.number) if other is not post and other.key == post.key]

    def _count_sale_once(self, post: Post) -> None:
        rivals = self._same_sale(post)
        is_paid = any(other.billed == "yes" for other in rivals)
        is_held = any(other.billed == "maybe" and other.definite for other in rivals)
        if not post.charged and (is_paid or (is_held and post.billed == "maybe")):
            post.billed, post.cost = "no", 0
        for other in rivals if post.definite else []:
            if other.billed == "maybe" and (post.billed == "yes" or not other.definite):
                other.billed = "no"

    def _place_of_success(self, post: Post) -> str:
        rivals = [other for other in self._of(post.number) if other is not post]
        beaten = post.number in self.won or any(other.state in ("answered", "expired") for other in rivals)
        return "surplus" if beaten else "answered"

    @precondition(lambda self: self._unfetched())
    @rule(
        who=_OWNERS,
        status=st.sampled_from(["success", "invalid_output", "failed_to_download"]),
        pick=_PICK,
    )
    def settle(self, who: int, status: str, pick: Any) -> None:
        """What was fetched is settled, or could not be."""
        post = pick.choice(self._unfetched())
        self.do(self.owners[who].ledger.settle(post.attempt_id, [self.make.stored(status=status)], status))
        if status == "success":
            post.state = "surplus" if post.number in self.won else "won"
            self.won.add(post.number)
            return
        post.state = "expired" if status == "failed_to_download" else "invalid"
        for other in self._of(post.number):
            if other.state == "surplus" and post.number not in self.won:
                other.state = "answered"
                break

    @rule(who=_OWNERS)
    def crash(self, who: int) -> None:
        """The process dies and is started again."""
        owner = self.owners[who]
        owner.ledger.close()
        owner.ledger = self.database.open()
        self._cut(owner.run_id)
        self._start(owner)

    @rule(who=_OWNERS)
    def stall(self, who: int) -> None:
        """The process stops for so long that the other takes it for dead."""
        owner, other = self.owners[who], self.owners[1 - who]
        self.database.expire(owner.run_id)
        self.do(other.ledger.bury_dead())
        self._bury_sleepers()
        if not owner.dead:
            owner.dead = True
            self._cut(owner.run_id)

    @rule()
    def sleep(self) -> None:
        """The machine sleeps longer than a lease: who claims first goes on, and takes the other for dead."""
        self.database.clock.pass_time(61)
        for owner in self.owners:
            self.database.expire(owner.run_id)
            owner.slept = True

    def _wake(self, owner: Owner) -> None:
        """The owner renews its lease, if nobody has missed it."""
        if owner.slept and not owner.dead:
            owner.slept = False
            self._bury_sleepers()

    def _bury_sleepers(self) -> None:
        for owner in self.owners:
            if owner.slept and not owner.dead:
                owner.dead = True
                self._cut(owner.run_id)

    @rule(who=_OWNERS)
    def go_on(self, who: int) -> None:
        """A run that found out, or one that is done, is followed by another of the same process."""
        owner = self.owners[who]
        self.do(owner.ledger.end_run(owner.run_id, exit_code=1, summary={}))
        self._cut(owner.run_id)
        self._start(owner)

    def _cut(self, run_id: str) -> None:
        for post in self.posts:
            if post.run_id == run_id and post.state == "open":
                post.state, post.billed = "unknown", "maybe"

    @invariant()
    def nothing_is_spent_by_surprise(self) -> None:
        """Settled plus reserved is what the posts took, and never over the cap."""
        spend = self.do(self.owners[0].ledger.spend())
        assert spend.used_musd == sum(post.used for post in self.posts) <= _CAP

    @invariant()
    def one_sale_is_charged_once(self) -> None:
        """Of POSTs that were given one job one is charged, whatever was heard when; a bill may say more."""
        for post in self.posts:
            mine = [other for other in [post, *self._same_sale(post)] if other.billed == "yes"]
            assert sum(not other.charged for other in mine) <= 1

    @invariant()
    def nothing_paid_for_is_lost_and_no_failure_is_a_success(self) -> None:
        """A success stands for ever, one that is not fetched yet can be found, and nothing else is one."""
        standings = self.do(self.owners[1].ledger.standings(self.make.gateway, None, "out"))
        addresses = {row.attempt_id for row in self.database.read(_ADDRESSES)}
        for number in range(_GENERATIONS if standings else 0):
            standing = standings[f"f{number}"]
            assert (standing.status == "success") == (number in self.won)
            states = {post.state: post.attempt_id for post in self._of(number)}
            waiting = states.get("answered") or states.get("expired")
            if number not in self.won and waiting is not None:
                assert standing.next_step in ("fetch", "wait")
                assert standing.attempt_id in addresses
            if number in self.won:
                assert not addresses & {post.attempt_id for post in self._of(number)}

    @invariant()
    def what_is_kept_beside_the_attempts_follows_from_them(self) -> None:
        """Every aggregate in the database is what the attempts come to."""
        names = Trace.__slots__
        rows = self.database.sql(
            f"SELECT generation_id, {', '.join(names)} FROM attempts ORDER BY attempt_idx"
        )
        for kept in self.database.sql("SELECT * FROM generations"):
            mine = [row[1:] for row in rows if row.generation_id == kept.generation_id]
            traces = [Trace(**dict(zip(names, row, strict=True))) for row in mine]
            derived = derive(traces, kept.skipped)
            for name in derived.__slots__:
                assert getattr(kept, name) == getattr(derived, name), name

    def teardown(self) -> None:
        """End both owners."""
        self.database.close()
        self.loop.close()


_ADDRESSES = "SELECT attempt_id FROM results WHERE video_url IS NOT NULL"


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what is durable is tested elsewhere."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.parametrize("key_ttl_s", [None, _FOR_EVER_S], ids=["forgets", "honours"])
@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 40), ("postgresql", 8)])
def test_the_four_promises_hold(
    kind: str,
    examples: int,
    key_ttl_s: float | None,
    make: Any,
    quick_folder: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Claims, answers, crashes, stalls, late ends, resubmissions and bills in any order break none of them.

    Whether the gateway honours keys or not; where it does, POSTs under one key are one sale.
    """
    numbers = itertools.count()
    if kind == "sqlite":

        def fresh_url() -> str:
            return f"sqlite:///{quick_folder / str(next(numbers)) / 'ledger.db'}"
    else:
        fresh_url = request.getfixturevalue("postgres")
    run_state_machine_as_test(
        lambda: Promises(make, fresh_url, key_ttl_s),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
