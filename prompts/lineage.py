"""Which generation each follower edits: parents by prompt id, same axes, same seed, same sample.

Between `rows` and `expand`, for tables with `follows`. Pure. A parent's finished turn is not known yet:
its fingerprint stands for it, so that the whole plan is known before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reelsweep.prompts.fingerprint import request_fingerprint
from reelsweep.prompts.messages import followed_turn
from reelsweep.prompts.payload import Additions, build_payload, opening, own_turn
from reelsweep.prompts.request import Json
from reelsweep.prompts.rows import Problems, PromptRow


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of one generation and, where it follows one, its parent's fingerprint."""

    messages: list[Json]
    parent: str | None


class Lineage:
    """The parents of every follower under one combination of the axes."""

    def __init__(
        self, rows: Iterable[PromptRow], faulty_ids: frozenset[str], additions: Additions, problems: Problems
    ) -> None:
        self._additions = additions
        self._problems = problems
        self._faulty_ids = faulty_ids
        self._rows = {row.row_idx: row for row in rows}
        self._by_id: dict[str, list[int]] = {}
        for row in self._rows.values():
            self._by_id.setdefault(row.prompt_id, []).append(row.row_idx)
        self._has_circle = False
        self._known: dict[tuple[int, int | None, int], Conversation] = {}
        self._settle(problems)

    def row(self, row: PromptRow) -> PromptRow | None:
        """The row with the seeds and samples it takes from its parents; None where it has no sound parent."""
        return None if self._has_circle else self._rows.get(row.row_idx)

    def conversation(self, row: PromptRow, seed: int | None, sample_idx: int) -> Conversation:
        """What is said up to and with this row's turn.

        Raises ValueError where not exactly one parent has this seed and sample.
        """
        line: list[PromptRow] = []
        link: PromptRow | None = row
        while link is not None and (link.row_idx, seed, sample_idx) not in self._known:
            line.append(link)
            link = self._parent(link, seed, sample_idx)
        for member in reversed(line):
            self._known[member.row_idx, seed, sample_idx] = self._next(link, member, seed, sample_idx)
            link = member
        return self._known[row.row_idx, seed, sample_idx]

    def _next(
        self, parent: PromptRow | None, row: PromptRow, seed: int | None, sample_idx: int
    ) -> Conversation:
        if parent is None:
            return Conversation(opening(row, seed), None)
        before = self._known[parent.row_idx, seed, sample_idx].messages
        asked = request_fingerprint(build_payload(parent, seed, before, self._additions), sample_idx)
        return Conversation([*before, followed_turn(asked), own_turn(row, seed)], asked)

    def _parent(self, row: PromptRow, seed: int | None, sample_idx: int) -> PromptRow | None:
        if row.follows is None:
            return None
        named = [self._rows[index] for index in self._by_id.get(row.follows, ())]
        fitting = [parent for parent in named if _makes(parent, seed, sample_idx)]
        if len(fitting) == 1:
            return fitting[0]
        what = f"{'no seed' if seed is None else f'seed {seed}'}, sample {sample_idx}"
        if not fitting:
            raise ValueError(
                f"{row.follows!r} has no generation of {what}; seeds and samples must be the parent's"
            )
        rows = " and ".join(self._problems.row_name(parent.row_idx) for parent in fitting)
        raise ValueError(f"{row.follows!r} is ambiguous: rows {rows} both make {what}")

    def _settle(self, problems: Problems) -> None:
        """Gives followers the seeds and samples they do not name, parents first; takes out unsound ones."""
        for index in list(self._parents_first(problems)):
            row = self._rows[index]
            if row.follows is None:
                continue
            named = self._by_id.get(row.follows, [])
            parents = [self._rows[parent] for parent in named if parent in self._rows]
            if parents:
                self._rows[index] = _heir(row, parents)
            else:
                del self._rows[index]
            if not named and row.follows not in self._faulty_ids:
                problems.add(index, "follows", f"got {row.follows!r}, which is no prompt_id of this table")

    def _parents_first(self, problems: Problems) -> Iterator[int]:
        """Every row after the rows it follows: depth first, on a stack, since chains may be long."""
        begun: set[int] = set()
        done: set[int] = set()
        for start in self._rows:
            stack = [start]
            while stack:
                index = stack[-1]
                if index in begun:
                    stack.pop()
                    if index not in done:
                        done.add(index)
                        yield index
                    continue
                begun.add(index)
                parents = self._by_id.get(self._rows[index].follows or "", [])
                stack += [parent for parent in parents if parent not in begun]
                if circle := [parent for parent in parents if parent in begun and parent not in done]:
                    back = f"row {problems.row_name(circle[0])}" if circle[0] != index else "this row itself"
                    self._has_circle = True
                    problems.add(
                        index, "follows", f"goes in a circle: {self._rows[index].follows!r} is {back}"
                    )


def _makes(row: PromptRow, seed: int | None, sample_idx: int) -> bool:
    has_seed = seed in row.seeds if seed is not None else not row.seeds
    return has_seed and sample_idx < (row.samples or 1)


def _heir(row: PromptRow, parents: Sequence[PromptRow]) -> PromptRow:
    """A follower with what it does not say itself."""
    return replace(
        row,
        seeds=row.seeds or tuple(dict.fromkeys(seed for parent in parents for seed in parent.seeds)),
        samples=row.samples or max(parent.samples or 1 for parent in parents),
    )
