"""Read a posted form (small, URL-encoded, UTF-8) and the query that it holds."""

import json
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request

from p2d.model.errors import InvalidRequest

_LONGEST_QUERY: Final = 100_000
_LINE: Final = 90
_MOST_BYTES: Final = 512 * 1024
_MOST_FIELDS: Final = 20
_TYPE: Final = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of the form that *request* carries.

    Raises:
        InvalidRequest: of another type, too large, or not UTF-8.

    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise InvalidRequest("form", f"is not {_TYPE}", "send the page's own form")
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > _MOST_BYTES:
            raise InvalidRequest("form", f"is larger than {_MOST_BYTES // 1024} KiB", "shorten the query")
    try:
        text = body.decode("ascii")
        fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise InvalidRequest("form", "cannot be read", "send the page's own form") from None
    return dict(fields)


def read_query(text: str) -> dict[str, object]:
    """Return the JSON object that *text* states.

    Raises:
        InvalidRequest: too long, not JSON (with the line), or not an object.

    """
    if len(text) > _LONGEST_QUERY:
        raise InvalidRequest("query", f"is longer than {_LONGEST_QUERY:,} characters", "shorten it")
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise InvalidRequest("query", problem, "correct that line") from None
    except (ValueError, RecursionError):
        raise InvalidRequest(
            "query", "is not JSON that can be read", "use plain numbers, less depth"
        ) from None
    if not isinstance(found, dict):
        raise InvalidRequest("query", "is not a JSON object", "begin with { and end with }")
    return found


def write_query(query: object, indent: str = "") -> str:
    """Return *query* as JSON: what fits stands on one line, the rest is indented."""
    line = json.dumps(query, ensure_ascii=False)
    if len(indent) + len(line) <= _LINE or not isinstance(query, (dict, list)):
        return line
    deeper = indent + "  "
    if isinstance(query, dict):
        parts = [f"{json.dumps(k, ensure_ascii=False)}: {write_query(v, deeper)}" for k, v in query.items()]
        opening, closing = "{", "}"
    else:
        parts = [write_query(item, deeper) for item in query]
        opening, closing = "[", "]"
    inner = f",\n{deeper}".join(parts)
    return f"{opening}\n{deeper}{inner}\n{indent}{closing}"


def _no_constant(name: str) -> object:
    raise ValueError(name)
