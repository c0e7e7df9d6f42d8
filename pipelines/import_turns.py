"""Messages of other tools as turns: a role and a text.

In: a list of messages, or one: role and content, or ShareGPT's from and value. Out: turns; keys
that a turn has no place for. Shown by: `gristmill import chats/mine sharegpt.json --kind chat`.
Limit: a turn is text; calls of tools, and pictures, are refused.
"""

from __future__ import annotations

from typing import Any

Turn = dict[str, str]
ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "function_call": "assistant",  # its text is the call
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
_CALLS = ("tool_calls", "function_call")


class BadRow(Exception):
    """Why a row cannot be taken, and what would help."""


def turns_of(value: Any, role: str, lost: set[str]) -> list[Turn]:
    """Messages, one message, or a text, which `role` says; keys that are left out go to `lost`."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    messages = [value] if isinstance(value, dict) else value
    if messages is not None and not isinstance(messages, list):
        raise BadRow(f"{value!r:.60} is neither a text nor messages")
    if not messages:
        raise BadRow("it has no messages; leave the row out")
    return [_turn(number, message, lost) for number, message in enumerate(messages, 1)]


def _turn(number: int, message: Any, lost: set[str]) -> Turn:
    if message is not None and not isinstance(message, dict):
        raise BadRow(f"message {number} is {message!r:.60}; it needs 'role' and 'content'")
    given = {key: value for key, value in (message or {}).items() if value is not None}
    for key in _CALLS:
        if given.get(key):
            raise BadRow(
                f"message {number} has {key!r}, and a turn is text alone; write the call into "
                "`content` as the model is to say it, or leave the row out"
            )
    who, what = ("role", "content") if "role" in given else ("from", "value")
    if who not in given or what not in given:
        raise BadRow(
            f"message {number} has {', '.join(map(repr, given)) or 'no values'}; it needs 'role' "
            "and 'content' (or 'from' and 'value'), neither of them null: rename the keys "
            "(`jq -c '.messages |= map({role: .NAME, content: .NAME})'`), or leave the row out"
        )
    name, text = given[who], _plain(given[what])
    if not isinstance(name, str) or not isinstance(text, str):
        raise BadRow(
            f"message {number}: {who} is {name!r:.40} and {what} {text!r:.80}; both are texts, or "
            "the second parts of type 'text'"
        )
    if who == "from" and name not in ROLES:
        raise BadRow(
            f"message {number} is from {name!r}; known are {', '.join(ROLES)}. Rename it, or write "
            "'role' and 'content' instead of 'from' and 'value', where any role goes"
        )
    lost |= {k for k, v in given.items() if k not in (who, what) and v not in ("", [], {})}
    return {"role": ROLES[name] if who == "from" else name, "content": text}


def _plain(content: Any) -> Any:
    """The text of parts where each is text: `[{"type": "text", "text": …}]`."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text":
            return content
        text = part["text"] if part.get("text") is not None else part.get("value")
        if not isinstance(text, str):
            return content
        texts.append(text)
    return "".join(texts)


def common(first: list[Turn], second: list[Turn]) -> list[Turn]:
    """The turns with which both begin; the last one of either is an answer and no part of them."""
    most = min(len(first), len(second)) - 1
    same = next((n for n in range(most) if first[n] != second[n]), most)
    return first[:same]
