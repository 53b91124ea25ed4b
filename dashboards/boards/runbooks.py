"""What to do first about an issue, by its signal: the short form that stands on its board.

The long form is ``docs/runbooks/<signal>.md``; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.signals import SIGNALS


@dataclass(frozen=True, slots=True)
class Runbook:
    """What the signal means, what to look at first, and who can mend it."""

    means: str
    first: str
    whom: str


_OF: dict[str, Runbook] = {
    "app": Runbook(
        "Customers use the product and what they do fails, more often than usual.",
        "Compare the releases and platforms named by the cause; look whether a change came just before the onset.",
        "The team that owns the release or the component; they can roll back.",
    ),
    "payment": Runbook(
        "Customers order and the payment fails, more often than usual.",
        "Look at the status page of the payment provider named by the cause; see whether a method or region is spared.",
        "Whoever is on call for payments; then the provider, with the onset and the error codes.",
    ),
    "delivery": Runbook(
        "Orders are not done by the time that was promised, more often than usual.",
        "Ask the carrier or warehouse named by the cause what stands still; see whether new orders still promise the "
        "old time.",
        "Logistics; then the carrier. The shop can change what it promises.",
    ),
    "contact": Runbook(
        "More of those who contact the company report a failure than usual.",
        "Read the reasons of the latest contacts; no stream says where it fails, so look for what they have in common.",
        "The head of the contact centre, and the owner of the product most of them name.",
    ),
}
RUNBOOKS: dict[str, Runbook] = {signal.name: _OF[signal.name] for signal in SIGNALS}
"""One per signal that this build finds."""


def runbook_sql(this: str) -> str:
    """Rows (item, text, issue_id) for the issue for which the condition ``this`` holds."""
    cases = ",\n        ".join(
        f"signal = {_quoted(name)}, [{_quoted(one.means)}, {_quoted(one.first)}, {_quoted(one.whom)}, "
        f"'docs/runbooks/{name}.md']"
        for name, one in RUNBOOKS.items()
    )
    return """
WITH
    multiIf(
        <cases>,
        ['Nobody has written down yet what this signal means.', 'Look at the evidence and at the changes below.',
        'Whoever owns the service line.', 'There is none for this signal.']) AS words
SELECT item, text, issue_id
FROM
(
    SELECT issue_id,
        arrayJoin([
            (1, 'what it means', words[1]), (2, 'look first', words[2]), (3, 'whom to call', words[3]),
            (4, 'stop telling people', concat('cxwatch mute ', issue_id, ' (this issue), cxwatch stop (all)')),
            (5, 'end it by hand', concat('cxwatch resolve ', issue_id, ' (if it is over and nobody noticed)')),
            (6, 'more', words[4])
        ]) AS row, row.1 AS place, row.2 AS item, row.3 AS text
    FROM issue_latest
    WHERE <this>
)
ORDER BY place
""".replace("<cases>", cases).replace("<this>", this)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
