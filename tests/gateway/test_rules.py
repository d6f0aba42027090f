"""The table of causes: code before message before status, in English and in Chinese."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from reelsweep.tasks.gateway import rules
from reelsweep.tasks.gateway.error_types import ErrorTypeName
from reelsweep.tasks.gateway.explain import explain, manifest_status_of
from reelsweep.tasks.gateway.fold import read_body
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.gateway.rules import ERROR_TYPES, GENERIC_RULES, RULES, WEAK_RULES

GATEWAY = Path(rules.__file__).parent
EVERY_RULE = (*RULES, *GENERIC_RULES, *WEAK_RULES)


def error(message: str, code: object = None, kind: str | None = None, http_status: int = 400) -> Outcome:
    """The Outcome of an error object under an HTTP status."""
    body = json.dumps({"error": {"message": message, "type": kind, "code": code}}).encode()
    return read_body(body, http_status=http_status)


@pytest.mark.parametrize(
    ("message", "error_type", "refused_at"),
    [
        ("Your prompt may contain text that is not allowed", "content_policy", "input"),
        ("sensitive words detected", "content_policy", "input"),
        ("提示词违规，请修改", "content_policy", "input"),
        ("The generated video was blocked by moderation", "content_policy", "output"),
        ("生成的视频未通过审核", "content_policy", "output"),
        ("similarity to third-party content", "content_policy", "likeness"),
        ("photorealistic people are not supported", "content_policy", "likeness"),
        ("涉及真人肖像", "content_policy", "likeness"),
        ("may violate our content policies", "content_policy", "unspecified"),
        ("审核未通过", "content_policy", "unspecified"),
        ("内容违规", "content_policy", "unspecified"),
        ("No available tokens for video generation. Sora2 quota exhausted", "no_capacity", None),
        ("无可用的账号", "no_capacity", None),
        ("用户额度不足, 剩余额度: 0", "quota", None),
        ("You exceeded your current quota", "quota", None),
        ("余额不足，请充值", "quota", None),
        ("Quota exceeded for requests per minute", "rate_limit", None),
        ("We're under heavy load, please try again later.", "rate_limit", None),
        ("请求过于频繁", "rate_limit", None),
        ("You can only generate 3 videos at a time", "concurrency", None),
        ("并发数已达上限", "concurrency", None),
        ("无效的令牌", "auth", None),
        ("Incorrect API key provided", "auth", None),
        ("unsupported_country_code", "region", None),
        ("This token is not allowed to use model x", "permission", None),
        ("该令牌无权使用模型：x", "permission", None),
        ("The model `x` does not exist", "invalid_model", None),
        ("当前分组 default 下对于模型 x 无可用渠道", "invalid_model", None),
        ("模型 x 不存在", "invalid_model", None),
        ("角色创建已独立为 avatar-create 模型", "bad_request", None),
        ("参数错误", "bad_request", None),
    ],
)
def test_messages_are_understood(message: str, error_type: str, refused_at: str | None) -> None:
    """A sentence alone, under a status that says little, names its cause."""
    outcome = error(message, http_status=500)
    assert (outcome.error_type, outcome.refused_at) == (error_type, refused_at)


@pytest.mark.parametrize(
    ("http_status", "status", "retry", "billed", "manifest"),
    [
        (301, "failed", "none", "no", "failed"),
        (400, "failed", "none", "no", "failed"),
        (401, "stopped", "none", "no", "planned"),
        (402, "stopped", "none", "no", "planned"),
        (403, "stopped", "none", "no", "planned"),
        (404, "failed", "none", "no", "failed"),
        (408, "incomplete", "resubmit_once", "maybe", "unknown"),
        (409, "incomplete", "resubmit_once", "maybe", "unknown"),
        (413, "failed", "none", "no", "failed"),
        (418, "failed", "none", "no", "failed"),
        (422, "failed", "none", "no", "failed"),
        (429, "failed", "backoff", "no", "failed"),
        (500, "incomplete", "resubmit_once", "maybe", "unknown"),
        (502, "incomplete", "resubmit_once", "maybe", "unknown"),
        (503, "incomplete", "resubmit_once", "maybe", "unknown"),
        (504, "incomplete", "resubmit_once", "maybe", "unknown"),
        (524, "incomplete", "resubmit_once", "maybe", "unknown"),
        (599, "incomplete", "resubmit_once", "maybe", "unknown"),
    ],
)
def test_statuses_speak_where_nothing_else_does(
    http_status: int, status: str, retry: str, billed: str, manifest: str
) -> None:
    """An unknown JSON error falls to its HTTP status; the unforeseen is open and maybe billed."""
    outcome = error("boom", http_status=http_status)
    assert (outcome.status, outcome.retry, outcome.billed) == (status, retry, billed)
    assert manifest_status_of(outcome) == manifest


def test_a_web_servers_403_is_not_the_gateways() -> None:
    """A 403 without JSON fails its row; with JSON it stops the run, or the model it names."""
    assert read_body(b"<html>403</html>", http_status=403).status == "failed"
    assert error("forbidden", http_status=403).stop_scope == "run"
    assert error("no rights for this model", http_status=403).stop_scope == "model"


@pytest.mark.parametrize(
    ("code", "message", "http_status", "error_type"),
    [
        ("insufficient_user_quota", "请稍后再试", 429, "quota"),
        ("rate_limit_exceeded", "No available accounts", 429, "rate_limit"),
        ("model_not_found", "rate limit", 503, "invalid_model"),
        (None, "Invalid model: x", 500, "invalid_model"),
        (None, "400: something odd", 500, "bad_request"),
        ("bad_response_status_code", "odd", 500, "gateway_trouble"),
        ("bad_response_status_code", "odd", 504, "gateway_timeout"),
        ("channel:no_available_key", "odd", 503, "no_capacity"),
        (None, "429 Too Many Requests", 502, "rate_limit"),
    ],
)
def test_code_outweighs_message_outweighs_status(
    code: str | None, message: str, http_status: int, error_type: str
) -> None:
    """The most exact word decides."""
    assert error(message, code, http_status=http_status).error_type == error_type


def test_the_type_counts_like_a_weaker_code() -> None:
    """Some gateways put the code into the type."""
    assert error("slow", kind="rate_limit_exceeded", http_status=500).error_type == "rate_limit"
    assert (
        error("You didn't say who you are", kind="invalid_request_error", http_status=401).error_type
        == "auth"
    )


def test_an_upstreams_key_and_quota_are_not_ours() -> None:
    """A nested 401 or an empty account upstream does not stop the run."""
    nested = (
        'API request failed: 401 - {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}'
    )
    assert error(nested, http_status=500).error_type == "no_capacity"
    assert error("Incorrect API key", "invalid_api_key", http_status=500).error_type == "auth"


@pytest.mark.parametrize(
    ("message", "wait_s"),
    [
        ("1分钟内最多请求60次", 60),
        ("请 30 秒后再试", 30),
        ("rate limit: try again in 20s", 20),
        ("rate limit: please retry after 2 minutes", 120),
        ("rate limit: try again in 250ms", 0.25),
        ("rate limit: try again in 99999 hours", 7200),
        ("rate limit", None),
    ],
)
def test_stated_waits_are_kept(message: str, wait_s: float | None) -> None:
    """A window or a wait in the message is the wait, two hours at most; the header outweighs it."""
    assert error(message, "rate_limit", http_status=429).retry_after_s == wait_s
    body = json.dumps({"error": {"message": message, "code": "rate_limit"}}).encode()
    assert read_body(body, http_status=429, headers={"retry-after": "9"}).retry_after_s == 9


def test_every_cause_has_a_meaning_and_a_remedy() -> None:
    """The vocabulary is closed: the names, the texts and what rules use are one set."""
    assert set(ERROR_TYPES) == set(get_args(ErrorTypeName))
    assert {rule.error_type for rule in EVERY_RULE} <= set(ERROR_TYPES)
    for name, cause in ERROR_TYPES.items():
        assert cause.meaning.endswith(".") and cause.remedy.endswith("."), name
        assert "\n" not in cause.meaning + cause.remedy, name


def test_every_cause_is_used() -> None:
    """A word that nothing says would mislead in the troubleshooting."""
    vocabulary = GATEWAY / "error_types.py"
    code = "".join(path.read_text() for path in GATEWAY.glob("*.py") if path != vocabulary)
    assert [name for name in ERROR_TYPES if f'"{name}"' not in code] == []


@pytest.mark.parametrize("empty", [None, {}, "", False, {"message": None, "code": None}])
def test_an_empty_error_is_none(empty: object) -> None:
    """Many gateways send an error field with nothing in it beside a result."""
    body = json.dumps({"error": empty, "status": "succeeded", "video_url": "https://c.example.com/v.mp4"})
    assert read_body(body.encode()).status == "succeeded"
    told = json.dumps({"error": True, "message": "No available tokens"})
    assert read_body(told.encode()).error_type == "no_capacity"


def test_the_law_of_the_table() -> None:
    """Refused is maybe billed and final; stopped says what stops; every rule can be recognised."""
    for rule in EVERY_RULE:
        assert (rule.refused_at is not None) == (rule.status == "refused")
        assert (rule.stop_scope is not None) == (rule.status == "stopped")
        assert rule.retry == "none" or rule.status == "failed"
        assert rule.code or rule.message


def test_explain_is_one_object_with_fixed_names() -> None:
    """The JSON object of `explain` has these names in this order."""
    shown = explain(read_body(b"data: [DONE]\n\n"))
    names = "status video_url task_id status_url progress retry error_code error_message text"
    assert list(shown) == [*names.split(), "manifest_status", "notes"]
    assert json.loads(json.dumps(shown)) == shown
    assert explain(read_body(b""), "cancelled")["manifest_status"] == "cancelled"


def test_no_gateways_host_stands_in_the_code() -> None:
    """Nothing that looks like a host name is in the reader but reserved examples."""
    host = re.compile(r"\b(?:[a-z0-9-]+\.)+(?:com|net|org|ai|cn|io|site|vip|app|dev|xyz|top|cc|me)\b")
    found = {
        match[0]
        for path in [*GATEWAY.glob("*.py"), *GATEWAY.glob("profiles/*.yaml")]
        for match in host.finditer(path.read_text())
    }
    assert {
        name for name in found if not name.endswith(("example.com", "example.net", "example.org"))
    } == set()


def test_no_recorded_host_stands_in_the_code() -> None:
    """Where recorded bodies lie beside the project, none of their hosts is in the reader."""
    recorded = Path(__file__).parents[2].parent / "shared" / "wire-samples"
    own = Path(__file__).parents[1] / "contract" / "transcripts"
    bodies = "".join(
        path.read_text("utf-8", "replace") for folder in (recorded, own) for path in folder.glob("*.sse")
    )
    hosts = set(re.findall(r"https?://([a-z0-9.-]+\.[a-z]+)", bodies))
    code = "".join(path.read_text() for path in GATEWAY.glob("*.py"))
    assert len(hosts) > 5
    assert {host for host in hosts if host in code} == set()
