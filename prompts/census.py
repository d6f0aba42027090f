"""What is counted while a plan is made: fingerprints, rows, requests asked twice.

Used by `plan`. Pure. Keeps 52 bytes for each generation.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256

from reelsweep.prompts.errors import UsageError
from reelsweep.prompts.expand import Cell
from reelsweep.prompts.fingerprint import canonical_payload, fingerprint_digest
from reelsweep.prompts.messages import mention_json
from reelsweep.prompts.records import Record
from reelsweep.prompts.request import Json
from reelsweep.prompts.rows import Problems
from reelsweep.prompts.told import params_of, told_digest

DIGEST_BYTES = 32
MAX_CELLS = 10_000_000
"""More generations than this in one plan are taken for a slip."""


class Census:
    """Takes every cell of a plan once, in order."""

    def __init__(self, meta: Callable[[Record], Mapping[str, str | None]]) -> None:
        self.digests = bytearray()
        self.told = bytearray()
        """What the manifest tells of each, see `told_digest`."""
        self.models: set[str] = set()
        self.num_rows = 0
        self.rows = array("I")
        """The row of each cell."""
        self.firsts = array("Q")
        """Where the candidates of each row and combination begin."""
        self._outputs = bytearray()
        self._hash = sha256()
        self._payload: Mapping[str, Json] | None = None
        self._canonical = b""
        self._meta_of = meta
        self._record: Record | None = None
        self._meta: Mapping[str, str | None] = {}

    def add(self, cell: Cell, problems: Problems) -> None:
        """Counts one cell. Raises UsageError when there are more than can be meant."""
        row = cell.row
        if cell.payload is not self._payload:
            self._take_request(cell, problems)
        if not self.rows or self.rows[-1] != row.row_idx:
            self.num_rows += 1
        if cell.candidate_idx == 0:
            self.firsts.append(len(self.rows))
        self._name(cell)
        self.rows.append(row.row_idx)
        self._outputs.append(row.output == "text")
        self._hash.update(f"{row.prompt_id}\0{cell.sample_idx}\0{row.output}\n".encode())

    def _name(self, cell: Cell) -> None:
        row, digest = cell.row, fingerprint_digest(self._canonical, cell.sample_idx)
        self.digests += digest
        if cell.record is not self._record:
            self._record, self._meta = cell.record, self._meta_of(cell.record)
        self.told += told_digest(
            digest.hex(), row.prompt_id, row.output, params_of(cell), self._meta, cell.parent
        )

    def _take_request(self, cell: Cell, problems: Problems) -> None:
        row, self._payload = cell.row, cell.payload
        self.models.add(row.model)
        self._canonical = canonical_payload(cell.payload)
        too_many = len(self.rows) + (len(row.seeds) or 1) * (row.samples or 1) > MAX_CELLS
        if too_many and cell.sample_idx == 0:
            raise UsageError(
                f"row {problems.row_name(row.row_idx)} takes the plan beyond {MAX_CELLS:,} generations.",
                "Check seeds, samples and --grid, or split the table.",
            )
        match row.fields.get("response_format"):
            case {"type": "json_object"} if not _mentions_json(cell.payload):
                message = "json_object needs the word JSON in the messages: ask for JSON in the prompt"
                problems.add(row.row_idx, "response_format", message)
            case _:
                pass

    def find_repeated(self) -> tuple[int, frozenset[str]]:
        """How many cells have a fingerprint that came earlier, and the fingerprints that come again."""
        seen, again = set[bytes](), set[bytes]()
        for digest in self._each_digest():
            (again if digest in seen else seen).add(digest)
        return len(self.rows) - len(seen), frozenset(digest.hex() for digest in again)

    def plan_hash(self) -> str:
        """What is asked, in order, as one hash."""
        return sha256(self._hash.digest() + sha256(self.digests).digest()).hexdigest()

    def check_outputs(self, problems: Problems) -> None:
        """Notes rows that ask for the same request and want different outputs of it."""
        if len(set(self._outputs)) < 2:
            return
        first: dict[bytes, int] = {}
        for index, digest in enumerate(self._each_digest()):
            earlier = first.setdefault(digest, index)
            if self._outputs[earlier] != self._outputs[index]:
                rows = [problems.row_name(self.rows[each]) for each in (earlier, index)]
                message = (
                    f"rows {' and '.join(rows)} ask for the same request, one as video and one as text;"
                    " it is bought once"
                )
                problems.add(self.rows[index], "output", message)

    def _each_digest(self) -> Iterator[bytes]:
        digests = bytes(self.digests)
        return (digests[start : start + DIGEST_BYTES] for start in range(0, len(digests), DIGEST_BYTES))


def _mentions_json(payload: Mapping[str, Json]) -> bool:
    messages = payload["messages"]
    return isinstance(messages, list) and mention_json(messages)
