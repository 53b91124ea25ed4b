"""Why no issue can come of what a mapping makes of a file, in words, judged by the rules of the join.

An issue is a share of failures that rises, so there must be events that fail and events that do not. A file may serve
otherwise (contacts join the issues of orders), so this refuses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.core.join.rules import SIGNALS, PromiseRule, SignalRule
from streams.sources.counts import MOST_CUSTOMERS, NounCounts, RowCounts
from streams.sources.identity import PERSONAL

_WORDS = {"telemetry": "telemetry", "order": "orders", "contact": "contacts"}
_RULES = {rule.signal: rule for rule in SIGNALS}


def remarks(tally: RowCounts, customers: int) -> list[str]:
    """Sentences about the events of a file; ``customers``: fewest failed customers of an issue that is shown."""
    found: list[str] = []
    for noun, counts in tally.nouns.items():
        if not tally.events.get(noun):
            continue
        why = _REASONS[noun](counts, tally.events[noun])
        few = len(counts.customers) < min(customers, MOST_CUSTOMERS)
        if not why and few and tally.events[noun] >= 2 * customers:  # a sample of three rows needs no such note
            why = (
                f"they belong to {counted(len(counts.customers), 'customer')}, and an issue needs {customers} that "
                "failed (CX_DETECT_CUSTOMERS): is customer one person's id?"
            )
        if why:
            found.append(f"No issue can come of the {_WORDS[noun]} of this file by themselves: {why}")
    return [*found, *_notes(tally)]


def _notes(tally: RowCounts) -> Iterable[str]:
    """What is not as it looks, though issues can come of it."""
    for noun, counts in tally.nouns.items():
        if any(map(PERSONAL.search, counts.customers)):
            yield (
                f"The customers of {_WORDS[noun]} are e-mail addresses or telephone numbers, and would be keys of "
                "topics and tables. Write customer as {pseudonym: ...} before you play this file."
            )
        if counts.repeated:
            yield (
                f"{counted(counts.repeated, 'event')} for {noun} with the id of an earlier one: each id counts once. "
                "Are the rows the same, or does id lack a field that tells them apart?"
            )
    orders, contacts = tally.nouns.get("order"), tally.nouns.get("contact")
    kept = PromiseRule().kept
    if orders is not None and orders.promised and not any(orders.values[status] for status in kept):
        yield (
            f"Orders have a promised time, but none has status {_any(kept)}: every promise counts as broken when it "
            "falls due. Map what keeps it."
        )
    if orders is not None and orders.unknown_currency:
        yield (
            f"{counted(orders.unknown_currency, 'order')} with a currency that ISO 4217 does not know: amounts of them "
            "count as XXX. Map currency to codes such as EUR, through a table if the file has signs."
        )
    if contacts is not None and contacts.no_product and contacts.no_product == tally.events["contact"]:
        yield (
            "No contact has a product: they are counted as one line without a name, beside the products of orders and "
            "telemetry. Map product to count them per line."
        )


def _telemetry(counts: NounCounts, events: int) -> str:
    rule = _RULES["app"]
    exposed, failed = _split(rule, {(value, value): count for value, count in counts.values.items()})
    if not exposed:
        return f"outcome is never {_any(rule.exposed.values)}, and those are counted."
    if not failed:
        return f"none of {events:,} has outcome {_any(rule.failed.values)}. Map outcome: failed where something failed."
    return _always(exposed, failed, "telemetry failed", "what went well (outcome ok)")


def _orders(counts: NounCounts, events: int) -> str:
    rule, promise = _RULES["payment"], PromiseRule()
    exposed, failed = _split(rule, {(value, value): count for value, count in counts.values.items()})
    if counts.promised:
        return ""
    if not failed:
        lacking = _any(promise.broken)
        return (
            f"none of {events:,} has status {_any(rule.failed.values)} or a promised time (promised_at_ms), without "
            f"which {lacking} and cancelled break nothing. Map the payments that failed, or what was promised."
        )
    return _always(exposed, failed, "payments failed", "the payments that went well (status paid)")


def _contacts(counts: NounCounts, _: int) -> str:
    rule = _RULES["contact"]
    exposed, failed = _split(rule, counts.values)
    wanted = ", ".join(sorted(rule.failed.values))
    if not exposed:
        return f"none has status {_any(rule.exposed.values)}, and contacts count when they are opened."
    if failed:
        more = "contacts that report none (with reason question, say)"
        return _always(exposed, failed, "contacts report a failure", more)
    opened = rule.exposed.values
    empty = sum(count for (status, reason), count in counts.values.items() if not reason and status in opened)
    if empty == exposed:
        return f"none of {exposed:,} has a reason. Map reason; these report a failure: {wanted}."
    return (
        f"none of {exposed:,} has a reason that reports a failure, only others ({exposed - empty:,}) or none "
        f"({empty:,}). Map reason through a table to one of {wanted}."
    )


_REASONS = {"telemetry": _telemetry, "order": _orders, "contact": _contacts}


def _split(rule: SignalRule, values: dict[tuple[str, str], int]) -> tuple[int, int]:
    """Events that count, and those of them that fail. Keys: what is asked of exposure, what is asked of failure."""
    exposed = sum(count for (value, _), count in values.items() if value in rule.exposed.values)
    failed = sum(
        count
        for (value, reason), count in values.items()
        if value in rule.exposed.values and reason in rule.failed.values
    )
    return exposed, failed


def _always(exposed: int, failed: int, what: str, more: str) -> str:
    if failed < exposed:
        return ""
    return f"all of the {exposed:,} {what}, so their share is always 100 % and cannot rise. Map {more} as well."


def _any(values: Iterable[str]) -> str:
    return " or ".join(sorted(values))


def counted(count: int, word: str) -> str:
    """A number of things.

    >>> counted(1, "row"), counted(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {word}" + "s" * (count != 1)
