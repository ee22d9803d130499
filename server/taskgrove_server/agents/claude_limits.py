"""The words in which Claude Code says that a usage limit is reached, and when it ends.

They are looked for only in what Claude Code writes in the model's stead: a model may speak of limits too.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

#: How it begins: what a person or a hook wrote may be quoted further on.
_REACHED = re.compile(
    r"(?:API Error: (?:\d{3} )?)?(?:"
    r"You(?:['\u2019]ve| have) (?:hit|reached|used(?: up)?) your (?:[^\n]{0,60} )?limit"
    r"|You(?:['\u2019]re| are) out of (?:extra )?usage"
    r"|(?:[\w.-]+ ){0,4}limit reached"
    r")",
    re.IGNORECASE,
)

#: What models are called in limits of their own, as in "seven_day_opus" and "You've hit your Opus limit".
_MODEL = re.compile(r"(?:^|[\W_])(?:opus|sonnet|haiku)(?:$|[\W_])", re.IGNORECASE)

#: Seconds since 1970, as older releases have it: "Claude AI usage limit reached|1749924000".
_SECONDS = re.compile(r"limit reached\|(\d{9,11})\b")

#: "You will regain access on 2027-01-01 at 00:00 UTC", as the API has it for limits that an organization sets itself.
_REGAINED = re.compile(r"regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) UTC")

#: "resets 3pm", "resets 3:30pm (Europe/Berlin)", "resets Oct 6, 1pm (UTC)", "resets Dec 31 at 2am"; older releases have
#: "Your limit will reset at 9am (America/Chicago)".
_RESETS = re.compile(
    r"resets? (?:at )?(?:(?P<month>[A-Z][a-z]{2})[a-z]* (?P<day>\d{1,2})(?:, (?P<year>\d{4}))?(?:,| at)? )?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))? ?(?P<half>am|pm)\b(?: \((?P<zone>[\w/+-]+)\))?"
)

_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}

#: A time of day is rounded, and may just have passed. What has passed for longer is meant for the next day.
_JUST_NOW = timedelta(hours=1)


def are_meant(words: str) -> bool:
    """Tells whether words of Claude Code's own say that a limit is reached."""
    return bool(_REACHED.match(words))


def are_of_model(words: str) -> bool:
    """Tells whether the limit of which words tell is that of one model."""
    reached = _REACHED.match(words)
    return bool(reached and is_of_model(reached[0]))


def is_of_model(limit: str) -> bool:
    """Tells whether a limit of this name is that of one model."""
    return bool(_MODEL.search(limit))


def end(words: str, now: datetime) -> datetime | None:
    """Returns when the limit ends of which words tell at the time `now`; None when they do not say."""
    try:
        if seconds := _SECONDS.search(words):
            return datetime.fromtimestamp(int(seconds[1]), UTC)
        if regained := _REGAINED.search(words):
            return datetime.fromisoformat(f"{regained[1]}T{regained[2]}+00:00")
        resets = _RESETS.search(words)
        return _time(resets, now).astimezone(UTC) if resets else None
    except (KeyError, ValueError, OverflowError, OSError):
        # A month, a day or a zone that there is not.
        return None


def _time(resets: re.Match[str], now: datetime) -> datetime:
    # Without a zone it is that of the machine, which is the server's.
    zone: tzinfo | None = ZoneInfo(resets["zone"]) if resets["zone"] else None
    today = now.astimezone(zone)
    hour = int(resets["hour"]) % 12 + (12 if resets["half"] == "pm" else 0)
    time = today.replace(hour=hour, minute=int(resets["minute"] or 0), second=0, microsecond=0)
    if not resets["month"]:
        return time if time >= today - _JUST_NOW else time + timedelta(days=1)
    time = time.replace(year=int(resets["year"] or today.year), month=_MONTHS[resets["month"]], day=int(resets["day"]))
    passed = not resets["year"] and time < today - timedelta(days=1)
    return time.replace(year=time.year + 1) if passed else time
