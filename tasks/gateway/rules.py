"""What a fault means: one table from code and message to a verdict; `status_rules` has the statuses.

Data only; `classify` walks it. Gateways' own words are matched in English and Chinese. The order of
the rows matters within one column: a sentence about accounts that are cooling down also says "quota".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reelsweep.tasks.gateway.error_types import ERROR_TYPES as ERROR_TYPES
from reelsweep.tasks.gateway.error_types import ErrorTypeName
from reelsweep.tasks.gateway.outcome import RefusedAt, Retry, Status, StopScope


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: where its code or its message is recognised, this is the verdict.

    `code` must match whole, `message` anywhere, both without regard to case.
    """

    error_type: ErrorTypeName
    status: Status
    retry: Retry
    code: re.Pattern[str] | None = None
    message: re.Pattern[str] | None = None
    refused_at: RefusedAt | None = None
    stop_scope: StopScope | None = None


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


RULES: tuple[Rule, ...] = (
    # Moderation, the most telling first.
    Rule(
        error_type="content_policy",
        status="refused",
        retry="none",
        refused_at="likeness",
        code=_any(r"\w*(?:likeness|copyright|third_party|celebrity|cameo_permission)\w*"),
        message=_any(
            r"third[- ]party (?:content|likeness|right|ip)",
            r"copyright|trademark|likeness|intellectual property",
            r"photorealistic (?:people|person)|real (?:people|persons?)\b|public figure|celebrit",
            r"版权|侵权|肖像|真人|名人|公众人物|知识产权",
        ),
    ),
    Rule(
        error_type="content_policy",
        status="refused",
        retry="none",
        refused_at="input",
        code=_any(
            r"input_moderation\w*|prompt_(?:blocked|rejected|violation|moderat\w*)",
            r"sensitive_words?(?:_detected)?|moderation_blocked|image_moderation\w*",
        ),
        message=_any(
            r"input_moderation|prompt_blocked|sensitive[ _]words?",
            r"\b(?:prompt|input|uploaded (?:image|file))\b[^.\n]{0,60}"
            r"(?:violat|flagged|blocked|not allowed|disallowed|sensitive|moderat)",
            r"(?:提示词|输入|上传的?图片)[^。\n]{0,20}(?:违规|敏感|审核|不合规|违反)|敏感词",
        ),
    ),
    Rule(
        error_type="content_policy",
        status="refused",
        retry="none",
        refused_at="output",
        code=_any(r"output_moderation\w*|(?:video|result)_moderat\w*"),
        message=_any(
            r"output_moderation",
            r"\b(?:generated|output|resulting) (?:video|content|image|result|clip)s?\b[^.\n]{0,60}"
            r"(?:violat|flagged|rejected|blocked|moderat|filtered)",
            r"(?:生成的?|输出的?)(?:视频|内容|结果)[^。\n]{0,20}(?:违规|敏感|审核|违反)",
        ),
    ),
    Rule(
        error_type="content_policy",
        status="refused",
        retry="none",
        refused_at="unspecified",
        code=_any(r"\w*(?:content_violation|content_policy|content_filter|moderation|guardrail|safety)\w*"),
        message=_any(
            r"content[ _](?:policy|policies|violation|filter)|may violate|guardrails?\b|usage polic",
            r"safety (?:system|filter|polic|check|guideline)|\bmoderat(?:ion|ed)\b|\bviolat(?:es?|ion|ing)\b",
            r"审核未通过|未通过[^。\n]{0,6}审核|违规|敏感内容|内容安全|违反[^。\n]{0,12}(?:政策|规定|规范|法)",
            r"\bI(?:'m| am)? (?:sorry,? (?:but )?I )?(?:can(?:'|’)?t|cannot|am unable to|won(?:'|’)t) "
            r"(?:help|assist|create|generate|produce|make)",
        ),
    ),
    # The gateway's own accounts; before quota, for their sentences name it.
    Rule(
        error_type="invalid_model",
        status="failed",
        retry="none",
        message=_any(r"no available (?:pro|plus|ultra)\b[\w ]{0,20}tokens?"),
    ),
    Rule(
        error_type="no_capacity",
        status="failed",
        retry="backoff_long",
        code=_any(
            r"channel:no_available_key|no_(?:available|free)_(?:accounts?|tokens?|keys?|workers?|capacity)"
        ),
        message=_any(
            r"no (?:available|free) (?:\w+ )?(?:tokens?|accounts?|keys?|workers?|servers?|gpus?)\b",
            r"no (?:accounts?|tokens?|workers?) (?:are |is )?(?:currently )?(?:available|free)",
            r"all (?:tokens|accounts) are|cooling down",
            r"(?:无|没有)可用的?(?:账号|账户|令牌|token)|账号池?已?(?:用尽|耗尽|不足)",
        ),
    ),
    # Windows of a rate; before quota, for some say "quota exceeded ... per minute".
    Rule(
        error_type="rate_limit",
        status="failed",
        retry="backoff",
        code=_any(
            r"\w*rate_?limit\w*|too_many_requests|\w*throttl\w*|\w*overloaded\w*|resource_exhausted|busy"
        ),
        message=_any(r"\bper[ _-]?(?:minute|second|hour)\b|分钟内最多|秒内最多|小时内最多"),
    ),
    Rule(
        error_type="quota",
        status="stopped",
        retry="none",
        stop_scope="run",
        code=_any(
            r"\w*insufficient_?(?:user_?|account_?)?(?:quota|balance|credits?|funds)\w*",
            r"pre_consume_token_quota_failed|quota_(?:exceeded|exhausted)|payment_required|out_of_credits?",
            r"billing_(?:hard_limit_reached|not_active)|arrearage",
        ),
        message=_any(
            r"insufficient (?:\w+ )?(?:quota|balance|credits?|funds)",
            r"not enough (?:\w+ )?(?:credits?|balance|quota)",
            r"(?:quota|balance|credits?) (?:is |are |has been |have been |was )?"
            r"(?:exhausted|exceeded|insufficient|used up|too low)",
            r"exceeded your (?:current )?quota|out of credits?|payment required|billing hard limit",
            r"预扣费额度失败|(?:额度|余额|积分|点数|配额)已?(?:不足|用尽|耗尽|不够|用完)|欠费|请充值",
        ),
    ),
    Rule(
        error_type="concurrency",
        status="failed",
        retry="backoff_long",
        code=_any(r"too_many_concurrent\w*|\w*concurren(?:cy|t)_\w*(?:limit|exceeded)\w*"),
        message=_any(
            r"already have \d+ \w+|only generate \d+ \w+ at a time|too many concurrent",
            r"concurren(?:t|cy)[^.\n]{0,40}(?:limit|exceed|maximum)",
            r"并发[^。\n]{0,10}(?:超|达|上限|限制)|同时(?:进行|生成)[^。\n]{0,10}(?:上限|最多)",
        ),
    ),
    Rule(
        error_type="rate_limit",
        status="failed",
        retry="backoff",
        message=_any(
            r"rate[ -]?limit|too many requests|slow down|heavy load|overloaded|at capacity|system is busy",
            r"cloudflare|concurrency slot",
            r"负载已?(?:饱和|过高)|请求(?:总?数|次数|频率)?(?:过多|过于频繁|超限|受限|限制)|频繁|限流|(?:系统|服务器|服务)繁忙",
        ),
    ),
    # The key, the place, the model.
    Rule(
        error_type="auth",
        status="stopped",
        retry="none",
        stop_scope="run",
        code=_any(
            r"(?:invalid|incorrect|missing|expired)_?(?:api_?key|token|credentials?|authentication)",
            r"authentication_error|unauthori[sz]ed|unauthenticated|token_expired|account_(?:deactivated|disabled)",
        ),
        message=_any(
            r"(?:invalid|incorrect|missing|expired|wrong) (?:\w+ )?(?:api[ _-]?key|tokens?\b|credentials?)",
            r"api[ _-]?key (?:is )?(?:invalid|expired|missing|not valid|required|disabled)",
            r"not authenticated|unauthori[sz]ed|authentication (?:failed|required|error)",
            r"无效的(?:令牌|密钥|token|api ?key)|(?:令牌|密钥)[^。\n]{0,6}(?:过期|失效|禁用|不可用|无效)",
            r"未提供(?:令牌|密钥)|(?:认证|鉴权)失败",
        ),
    ),
    Rule(
        error_type="region",
        status="stopped",
        retry="none",
        stop_scope="model",
        code=_any(r"unsupported_(?:country|region)\w*|(?:country|region)_not_supported"),
        message=_any(
            r"unsupported_country|(?:available|supported|offered) in your (?:country|region|location)",
            r"country, region,? or territory",
            r"(?:国家|地区)[^。\n]{0,8}(?:不支持|受限)|不支持[^。\n]{0,8}(?:国家|地区)",
        ),
    ),
    Rule(
        error_type="permission",
        status="stopped",
        retry="none",
        stop_scope="model",
        code=_any(r"model_(?:access_denied|forbidden|not_allowed)"),
        message=_any(
            r"(?:no|without|not have|lacks?) (?:access|permission)s?\b[^.\n]{0,40}\bmodel",
            r"not (?:allowed|authori[sz]ed|permitted) to (?:use|access)[^.\n]{0,30}\bmodel",
            r"\bmodel\b[^.\n]{0,60}(?:not allowed|forbidden|access denied|no access)",
            r"无权(?:限)?(?:访问|使用)?[^。\n]{0,20}模型|模型[^。\n]{0,40}(?:无权|未授权|禁止)",
        ),
    ),
    Rule(
        error_type="invalid_model",
        status="failed",
        retry="none",
        code=_any(r"model_not_(?:found|supported|available|exist)|(?:invalid|unknown|unsupported)_model"),
        message=_any(
            r"(?:invalid|unknown|unsupported|unrecognized) model|no available channel",
            r"\bmodel\b[^.\n]{0,80}(?:not exist|not found|not supported|not available|unavailable)",
            r"无可用渠道|模型[^。\n]{0,60}(?:不存在|不支持|未找到|不可用|已下线)|不支持的?该?模型",
        ),
    ),
    Rule(
        error_type="bad_request",
        status="failed",
        retry="none",
        code=_any(
            r"(?:invalid|missing|unsupported)_(?:parameter|value|size|seconds|duration|prompt|image|type|json)\w*",
            r"sentinel_block|validation_error|unprocessable\w*|context_length_exceeded|string_above_max_length",
        ),
        message=_any(
            r"(?:invalid|missing|unsupported|unknown) (?:param|argument|value|field|size|seconds|image)",
            r"field required|must be (?:one of|an? |at (?:least|most)|between|less|greater)",
            r"avatar-create|generation_id",
            r"参数(?:错误|无效|不合法|缺失|有误)|不能为空",
        ),
    ),
)
"""Asked before any status: first the code, then the type as a code, then the message."""

GENERIC_RULES: tuple[Rule, ...] = (
    Rule(
        error_type="bad_request",
        status="failed",
        retry="none",
        code=_any(r"invalid_request(?:_error)?|bad_request(?:_error)?|not_found_error"),
    ),
    Rule(
        error_type="gateway_trouble",
        status="failed",
        retry="backoff_long",
        code=_any(
            r"bad_response\w*|do_request_failed|empty_response|upstream_error|get_channel_failed",
            r"service_unavailable\w*|channel:\w+",
        ),
    ),
)
"""Codes that say only where it broke: asked after the messages, where no 4xx says more."""

WEAK_RULES: tuple[Rule, ...] = (
    Rule(
        error_type="gateway_timeout",
        status="failed",
        retry="resubmit_once",
        code=_any(r"\w*time_?out\w*"),
        message=_any(r"time[d]?[ -]?out|超时|exceeded \d+ seconds|deadline exceeded"),
    ),
    Rule(
        error_type="gateway_failed",
        status="failed",
        retry="resubmit_once",
        code=_any(r"\w*(?:failed|failure|error)\w*"),
        message=_any(
            r"\bfail(?:ed|ure|s)?\b|\berror\b|disconnect|unexpected|went wrong|cancell?ed|aborted|terminated",
            r"失败|错误|异常|❌",
        ),
    ),
)
"""Asked last: words that many a message holds."""
