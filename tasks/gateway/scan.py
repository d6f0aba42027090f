"""What a text says while it is still growing: percentages, the task's id, where to ask about it.

Used by `fold` on every piece of content and reasoning; each piece is looked at together with the
current line only, so a long stream does not slow down. Pure.

A percentage is a number with a percent sign, or one of a series after a label (`progress 36..44..`,
the numbers arriving bare); never one in a code fence, a tag, an address or an echoed prompt.
"""

from __future__ import annotations

import re

from reelsweep.tasks.gateway.links import last_segment, tidy_url

LINE_CHARS = 512
"""How far back the current line is looked at."""
_NEAR_CHARS = 48
_MAX_LINKS = 32

_TOKEN = re.compile(
    r"""
    (?P<fence>```+)
    | (?P<newline>\n)
    | !?\[(?P<label>[^\[\]\n]{0,120})\]\(\s*(?P<link>https?://[^\s()<>]+)\s*\)
    | (?P<tag><[A-Za-z/!][^<>]{0,1000}(?:>|\Z))
    | (?P<url>https?://[^\s<>"'`)\]|\ufffd]+)(?!\ufffd)
    | (?P<quote>(?:prompt|提示词)["'*_`]{0,3}\s{0,4}[:：]\s{0,4}"(?:[^"\\\n]|\\.)*(?:"|\Z))
    | (?P<echo>(?:(?<=\n)|(?<=\*)|(?<=[>-][ ])|\A)(?:prompt|提示词|描述)[*_`]{0,3}\s{0,2}[:：](?!\s{0,4}"))
    | (?:(?<![A-Za-z])(?:任务\s{0,2}(?:ID|编号|号)|(?:task|video|job|generation)[\s_-]?id)
         |(?:(?<=\n)|(?<=>)|\A)[ \t*>]{0,8}ID)
      [\s*_"']{0,4}[:：=]\s{0,4}["'`*]{0,3}(?P<task>[A-Za-z0-9][\w:.\-]{2,159})(?=[^\w:.\-\ufffd])
    | (?P<series>进度|progress)
    | (?P<percent>(?<![\w.])\d{1,3}(?:\.\d{1,3})?)\s?[%％](?![0-9A-Fa-f]{2})
    | (?P<dotted>(?<!\w)\d{1,3}(?:\.\d{1,3})?)(?=\.{2}|…|\]\()
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_ID_LABEL = re.compile(r"(?:id|号)[\s*_\"']{0,4}[:：=]", re.IGNORECASE)
_LETTERS = re.compile(r"[A-Za-z\u4e00-\u9fff]*")
_RAW_LABEL = re.compile(r"原始数据|状态|查询|raw|status|query|poll|json", re.IGNORECASE)
_PAGE_LABEL = re.compile(r"预览|preview|web", re.IGNORECASE)
_PAGE_PATH = re.compile(r"/(?:web|preview|view|page)/", re.IGNORECASE)
_NO_ID = re.compile(r"https?:|(?:pending|unknown|none|null|undefined)$", re.IGNORECASE)


class Scanner:
    """Feed pieces of one text; `task_id` and `status_url` are set the moment they can be known."""

    def __init__(self) -> None:
        self.task_id: str | None = None
        self._links: list[tuple[str, str]] = []
        self._line = ""
        self._seen = 0
        self._resume = 0
        self._in_fence = False
        self._in_series = False
        self._in_echo = False

    def feed(self, piece: str) -> list[float]:
        """The percentages that this piece completes, in order."""
        if _LETTERS.fullmatch(piece) and len(self._line) < LINE_CHARS:
            self._line += piece
            return []
        text = self._line + piece
        found: list[float] = []
        for match in _TOKEN.finditer(text, self._resume):
            if match.start() >= self._seen:
                self._token(match, found)
        self._keep_line(text)
        return found

    @property
    def status_url(self) -> str | None:
        """Where the job can be asked about: a link labelled so, or an address that ends in the task's id."""
        for label, url in self._links:
            if _PAGE_LABEL.search(label) or _PAGE_PATH.search(url):
                continue
            if _RAW_LABEL.search(label) or (self.task_id and last_segment(url) == self.task_id):
                return url
        return None

    def _token(self, match: re.Match[str], found: list[float]) -> None:
        kind = match.lastgroup
        is_open = match.end() == len(match.string)
        if kind == "fence":
            self._in_fence, self._in_echo = not self._in_fence, False
        elif kind == "newline":
            self._in_series = self._in_echo = False
        elif self._in_fence or (is_open and kind in ("tag", "url", "quote")):
            return
        elif kind == "echo":
            self._in_echo = True
        elif kind == "series":
            self._in_series = True
        elif not self._in_echo:
            self._finding(match, found)
        self._seen = match.end()

    def _finding(self, match: re.Match[str], found: list[float]) -> None:
        if match["task"]:
            self._note_task(match["task"].rstrip(".:-"))
        elif match["link"] or match["url"]:
            self._note_link(match["label"] or "", match["link"] or match["url"])
            if self._in_series and (match["label"] or "").isdigit():
                _note_percent(match["label"], found)
        elif match["percent"]:
            _note_percent(match["percent"], found)
        elif match["dotted"] and self._in_series:
            _note_percent(match["dotted"], found)

    def _note_task(self, task_id: str) -> None:
        if self.task_id is None and len(task_id) > 2 and not _NO_ID.match(task_id):
            self.task_id = task_id

    def _note_link(self, label: str, url: str) -> None:
        tidied = tidy_url(url)
        if tidied and len(self._links) < _MAX_LINKS:
            self._links.append((label, tidied))

    def _keep_line(self, text: str) -> None:
        start = text.rfind("\n") + 1
        if len(text) - start > LINE_CHARS:
            start = len(text) - LINE_CHARS
            text = f"{text[:start]}\0{text[start:]}"
            self._seen += self._seen > start
        self._line = text[start:]
        self._seen = max(0, self._seen - start)
        self._resume = self._open_start(self._line)

    def _open_start(self, line: str) -> int:
        """Where the next look begins: at what may still be open, else a few characters back."""
        start = max(0, len(line) - _NEAR_CHARS)
        tag, link, url = (line.rfind(opener, self._seen) for opener in ("<", "[", "http"))
        quote = max(line.rfind(word, self._seen) for word in ("prompt", "Prompt", "提示词"))
        if tag >= 0 and line[tag + 1 : tag + 2].strip() and ">" not in line[tag:]:
            start = min(start, tag)
        if link >= 0 and ")" not in line[link:] and ("](" in line[link:] or len(line) - link < 130):
            start = min(start, link)
        if url >= 0 and " " not in line[url:]:
            start = min(start, url)
        if quote >= 0 and '"' in line[quote : quote + 18]:
            start = min(start, quote)
        return start if self.task_id else min(start, self._open_label(line))

    def _open_label(self, line: str) -> int:
        """Where the label of an id stands whose value may not be whole yet."""
        for word in ("ID", "id", "Id", "号"):
            at = line.rfind(word, self._seen)
            if at >= 0 and len(line) - at < 200 and _ID_LABEL.match(line, at):
                return max(0, at - 24)
        return len(line)


def _note_percent(number: str, found: list[float]) -> None:
    value = float(number)
    if value <= 100 and value not in found:
        found.append(value)
