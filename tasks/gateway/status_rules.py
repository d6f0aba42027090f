"""What an HTTP status means where neither code nor message says more.

Data only; `classify` asks it last. What is not listed is open and maybe billed.
"""

from __future__ import annotations

from collections.abc import Mapping

from reelsweep.tasks.gateway.rules import Rule

_BY_STATUS: Mapping[int, Rule] = {
    401: Rule(error_type="auth", status="stopped", retry="none", stop_scope="run"),
    402: Rule(error_type="quota", status="stopped", retry="none", stop_scope="run"),
    404: Rule(error_type="not_found", status="failed", retry="none"),
    408: Rule(error_type="gateway_timeout", status="incomplete", retry="resubmit_once"),
    409: Rule(error_type="busy", status="incomplete", retry="resubmit_once"),
    413: Rule(error_type="too_large", status="failed", retry="none"),
    429: Rule(error_type="rate_limit", status="failed", retry="backoff"),
    504: Rule(error_type="gateway_timeout", status="incomplete", retry="resubmit_once"),
    524: Rule(error_type="gateway_timeout", status="incomplete", retry="resubmit_once"),
}
_REDIRECT = Rule(error_type="redirect", status="failed", retry="none")
_OTHER_4XX = Rule(error_type="bad_request", status="failed", retry="none")
_OTHER_5XX = Rule(error_type="server_error", status="incomplete", retry="resubmit_once")
_FORBIDDEN = Rule(error_type="permission", status="stopped", retry="none", stop_scope="run")
_FORBIDDEN_PAGE = Rule(error_type="permission", status="failed", retry="none")


def rule_of_status(http_status: int, *, is_json: bool) -> Rule:
    """The verdict where only the HTTP status speaks; a 403 without JSON is some web server's."""
    if 300 <= http_status < 400:
        return _REDIRECT
    if http_status == 403:
        return _FORBIDDEN if is_json else _FORBIDDEN_PAGE
    return _BY_STATUS.get(http_status, _OTHER_4XX if 400 <= http_status < 500 else _OTHER_5XX)
