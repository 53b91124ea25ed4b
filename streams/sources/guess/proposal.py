"""The text of a proposed mapping: what the columns seem to be, with the reason beside each line, and what to decide."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streams.sources.guess.kinds import Contents, look_at
from streams.sources.guess.names import (
    BEGUN,
    CHANGED,
    CHANNEL_WORDS,
    CUSTOMER,
    EVENT_ID,
    PROMISED,
    REASON_WORDS,
    STATUS,
    STATUS_WORDS,
    STEPS,
    TEXTS,
    assigned,
    noun_of,
    words_of,
)
from streams.sources.guess.sample import Sample, SampledColumn
from streams.sources.remarks import counted
from streams.sources.unread import MARK

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*[A-Za-z0-9_]|[A-Za-z]")
_RESERVED = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_BEGINS = {"order": "placed", "contact": "opened", "telemetry": ""}
_HEAD = """\
# Proposed by `cxwatch guess` from {rows} of {file}. No value of a row is in it.
# Read every line before you use it: what says TODO is yours to decide, and nothing loads before it is decided.
# Then: cxwatch play THIS_FILE {file} --check
"""


def quoted(text: str) -> str:
    """A text as YAML: bare where that is the same text, else in quotes."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED else json.dumps(text, ensure_ascii=False)


def todo(question: str) -> str:
    """A text that stops the mapping from being loaded until a person replaces it."""
    return json.dumps(f"{MARK} {question}", ensure_ascii=False)


@dataclass
class Roles:
    """What each column is taken for."""

    noun: str
    findings: Mapping[str, Contents]
    begun: str = ""
    changed: str = ""
    """Column with the time of the row's last change, if it also has the time of its beginning and a status."""
    promised: str = ""
    steps: dict[str, str] = field(default_factory=dict)
    """Status -> the column with its time."""
    customers: list[str] = field(default_factory=list)
    """Columns with an opaque id of the customer, the best first."""
    addresses: list[str] = field(default_factory=list)
    """Columns with e-mail addresses or telephone numbers."""
    status: str = ""
    event_id: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    """Field of the event -> column."""

    @property
    def used(self) -> set[str]:
        """Columns that the proposal uses."""
        own = {self.begun, self.changed, self.promised, self.event_id, "" if self.steps else self.status}
        customer = self.customers or self.addresses
        return {*own, *customer, *self.steps.values(), *self.fields.values()} - {""}


def write_proposal(sample: Sample, file: str, noun: str, finished: str = "") -> str:
    """The mapping as YAML; it does not load before a person has decided what says TODO.

    ``finished``: a mapping that comes along and seems to be for this file.
    """
    named = {name: column for name, column in sample.columns.items() if name.isprintable()}
    columns = {name: column for name, column in named.items() if not set("{}|") & set(name)}
    file = file if file.isprintable() else "the file"
    findings = {name: look_at(column, words_of(name)) for name, column in columns.items()}
    guessed, sure = noun_of(map(words_of, columns))
    filled = {name: len(column.values) for name, column in columns.items()}
    roles = roles_of(noun or guessed, findings, filled)
    kind = "" if noun or sure else "  # unsure: the names of the columns fit other kinds, too (--to)"
    lines = [
        _HEAD.format(rows=counted(sample.rows, "row"), file=file),
        *([f"# It has the columns of an export that is known: see `cxwatch mappings show {finished}` first.", ""]
          if finished else []),
        f"name: {todo('a short name of your own; it is part of the ids of events')}",
        *_input(sample),
        *_zone(roles),
        f"source: {quoted(re.sub(r'[^A-Za-z0-9_.-]', '-', file.partition('.')[0]) or 'file')}  # shown on the boards",
        *_customer(roles, sample, filled),
        "",
        *_tables(roles, columns),
        *_times(roles),
        "events:",
        *_events(roles, kind)[1:],
        *_unused(roles, findings, sample),
    ]
    return "\n".join(lines) + "\n"


def roles_of(noun: str, findings: Mapping[str, Contents], filled: Mapping[str, int]) -> Roles:
    """What each column is taken for, by its name and by what it holds. ``filled``: number of rows with a value."""
    roles = Roles(noun, findings)
    words = {name: words_of(name) for name in findings}
    _take_times(roles, words)
    roles.addresses = [name for name, finding in findings.items() if finding.kind in ("email", "phone")]
    opaque = (*TEXTS, "number")
    candidates = dict.fromkeys(name for pattern in CUSTOMER for name in findings
                               if pattern.search(words[name]) and findings[name].kind in opaque)  # fmt: skip
    for name in candidates:
        roles.customers.append(name)
        if filled[name] == max(filled.values()):
            break
    taken = {*roles.used, *roles.addresses}
    free = [name for name in findings if name not in taken and findings[name].kind in (*TEXTS, "number")]
    roles.event_id = next((name for name in free if EVENT_ID.search(words[name])), "")
    roles.status = next((name for name in free if STATUS.search(words[name]) and name != roles.event_id), "")
    if not roles.status or roles.steps or noun == "telemetry":
        roles.changed = ""
    roles.fields = assigned(noun, findings, {*taken, *roles.used, roles.status})
    return roles


def _take_times(roles: Roles, words: Mapping[str, str]) -> None:
    times = [name for name, finding in roles.findings.items() if finding.kind == "time"]
    times.sort(key=lambda name: roles.findings[name].day_only)  # a time of day says more
    for name in times:
        step = next((status for status, pattern in STEPS[roles.noun] if pattern.search(words[name])), "")
        if PROMISED.search(words[name]):
            roles.promised = roles.promised or (name if roles.noun == "order" else "")
        elif step:
            roles.steps.setdefault(step, name)
        elif CHANGED.search(words[name]):
            roles.changed = roles.changed or name
        elif BEGUN.search(words[name]):
            roles.begun = roles.begun or name
    if not roles.begun:
        roles.begun, roles.changed = next((name for name in times if name not in roles.used), roles.changed), ""


def _input(sample: Sample) -> list[str]:
    shape = sample.shape
    keys = [f"format: {shape.format}"]
    if shape.format == "csv":
        keys.append(f"delimiter: {json.dumps(shape.delimiter)}")
    if shape.items:
        keys.append(f"items: {quoted('.'.join(shape.items))}")
    if shape.encoding != "utf-8":
        keys.append(f"encoding: {shape.encoding}")
    if len(sample.absent) > 1:
        keys.append(f"absent: {json.dumps(sample.absent)}")
    notes = [f"# unsure: {text}" for text in sample.unsure]
    if sample.broken:
        notes.append(f"# {sample.broken:,} of {sample.rows:,} rows could not be read like this")
    if shape.items:
        notes.append("# the rows are the members of the list named by items")
    return [*notes, f"input: {{{', '.join(keys)}}}"]


def _zone(roles: Roles) -> list[str]:
    local = sorted(name for name in roles.used if roles.findings[name].local)
    if not local:
        return []
    asked = f"the zone of local times, such as Europe/Berlin or UTC; no zone stands in {', '.join(local)}"
    return [f"zone: {todo(asked)}"]


def _customer(roles: Roles, sample: Sample, filled: Mapping[str, int]) -> list[str]:
    names = roles.customers or roles.addresses
    if not names:
        return [f"customer: {todo('which column says whose row it is? No name of a column does')}"]
    one = quoted("{" + names[0] + "}") if len(names) == 1 else _first_of(names)
    missing = sample.rows - max(filled[name] for name in names)
    lines = [f"# up to {missing:,} of {sample.rows:,} rows have none of these and would be rejected"] if missing else []
    if roles.customers:
        return [*lines, f"customer: {one}  # an opaque id, it seems; if it names a person: {{pseudonym: ...}}"]
    return [*lines, "# names a person, so only its pseudonym goes out: set CX_PSEUDONYM_KEY",
            f"customer: {{pseudonym: {one}, case: lower}}"]  # fmt: skip


def _first_of(names: Sequence[str]) -> str:
    return f"{{first_of: [{', '.join(map(quoted, names))}]}}"


def _tables(roles: Roles, columns: Mapping[str, SampledColumn]) -> list[str]:
    tables: list[str] = []
    if _by_status(roles):
        tables += _table("status", STATUS_WORDS[roles.noun], columns[roles.status])
    if roles.noun == "contact":
        for name, words in (("channel", CHANNEL_WORDS), ("reason", REASON_WORDS)):
            if name in roles.fields:
                tables += _table(name, words, columns[roles.fields[name]], default=True)
    return ["tables:", *tables, ""] if tables else []


def _by_status(roles: Roles) -> bool:
    """True if each row tells of one status; columns with the times of steps tell more than a status."""
    return bool(roles.status) and not roles.steps


def _table(name: str, words: Mapping[str, Iterable[str]], column: SampledColumn, *, default: bool = False) -> list[str]:
    known = {text for texts in words.values() for text in texts}
    different = {str(value).strip().lower() for value in column.values}
    unknown = len(different - known)
    lines = [f"  {name}:  # your words (in lower case) and ours"]
    if unknown:
        many = f"{unknown} of {len(different)} different texts in {column.name} are not in this table"
        if default:
            lines.append(f"    # {many}; until you add them, they count as the default")
        else:
            lines.append(f"    your word: {todo(f'{many}: add each, with one of our words')}")
    for ours, texts in words.items():
        lines.append(f"    # {ours}")
        lines += [f"    {json.dumps(text, ensure_ascii=False)}: {quoted(ours)}" for text in texts]
    return lines


def _times(roles: Roles) -> list[str]:
    named = {"begun": roles.begun, **roles.steps, **({"changed": roles.changed} if roles.changed else {})}
    lines = ["times:"]
    for label, name in named.items():
        if name:
            lines.append(f"  {label}: {_time(roles.findings[name], name)}{_remark(roles.findings[name])}")
        else:
            lines.append(f"  {label}: {todo('which column says when it happened? None of them holds times')}")
    return [*lines, ""]


def _time(finding: Contents, name: str) -> str:
    keys = [f"field: {quoted(name)}"]
    for key, value in finding.declared:
        keys.append(f"{key}: {todo(finding.unsure) if finding.unsure else quoted(value)}")
    return f"{{{', '.join(keys)}}}"


def _remark(finding: Contents, day: str = "a day without a time of day: its start") -> str:
    """What to know of the times in a column, as a comment."""
    notes = [day] if finding.day_only else []
    if finding.misfits:
        notes.append(f"{finding.misfits:,} of the values looked at are no such time; their rows would be rejected")
    return f"  # {'; '.join(notes)}" if notes else ""


def _events(roles: Roles, kind: str) -> list[str]:
    if roles.noun == "telemetry" and not roles.status and "error_code" in roles.fields:
        return _by_error(roles, kind)
    lines = ["", f"  - to: {roles.noun}{kind}", "    time: begun", *_id(roles, _BEGINS[roles.noun]), *_fields(roles)]
    for status, name in roles.steps.items():
        lines += ["", f"  - to: {roles.noun}", f"    when: {{field: {quoted(name)}, present: true}}",
                  f"    time: {status}", *_id(roles, status),
                  "    fields:", "      <<: *row", f"      status: {status}"]  # fmt: skip
    if roles.changed:
        begins = json.dumps(STATUS_WORDS[roles.noun][_BEGINS[roles.noun]], ensure_ascii=False)
        lines += ["", f"  - to: {roles.noun}  # unsure: the last change is when this status was reached",
                  f"    when: {{not: {{field: {quoted(roles.status)}, in: {begins}, ignore_case: true}}}}",
                  "    time: changed", "    fields:", "      <<: *row", f"      status: {_status(roles)}"]  # fmt: skip
    return lines


def _id(roles: Roles, status: str) -> list[str]:
    """An id that stays the same when the file is exported again, with more of its columns filled."""
    if roles.event_id:
        return [f"    id: {quoted('{' + roles.event_id + '}' + (f'-{status}' if roles.steps else ''))}"]
    own = roles.fields.get({"order": "order_id", "contact": "contact_id"}.get(roles.noun, ""))
    if own is None or not (roles.steps or roles.changed):
        return ["    # no id: a hash of the row; the same row counts once"]
    return [f"    id: {quoted('{' + own + '}-' + status)}"]


def _status(roles: Roles) -> str:
    return f"{{field: {quoted(roles.status)}, case: lower, table: status}}"


def _by_error(roles: Roles, kind: str) -> list[str]:
    name = quoted(roles.fields["error_code"])
    return [
        "", f"  - to: telemetry{kind}",
        f"    when: {{field: {name}, present: true}}  # unsure: an error means that it failed",
        "    time: begun", *_fields(roles, outcome="failed"),
        "", "  - to: telemetry", f"    when: {{field: {name}, present: false}}", "    time: begun",
        "    fields:", "      <<: *row", "      outcome: ok",
    ]  # fmt: skip


def _fields(roles: Roles, outcome: str = "") -> list[str]:
    lines = ["    fields: &row"]
    if roles.noun == "telemetry":
        asked = todo("what counts as a failure? ok, failed or abandoned, by a column or a condition (when)")
        lines.append(f"      outcome: {outcome or (_status(roles) if roles.status else asked)}")
    else:
        by_row = _by_status(roles) and not roles.changed
        lines.append(f"      status: {_status(roles) if by_row else _BEGINS[roles.noun]}")
    lines.append("      product: shop  # name of your service line")
    required = {"order": ("order_id",), "contact": ("contact_id", "channel"), "telemetry": ("event_name",)}[roles.noun]
    for name in required:
        if name not in roles.fields:
            lines.append(f"      {name}: {todo('which column is it? No name of a column says so')}")
    lines += [f"      {name}: {_value(name, column, roles)}" for name, column in roles.fields.items()]
    if roles.promised:
        finding = roles.findings[roles.promised]
        note = _remark(finding, "a day lasts to its end")
        lines.append(f"      promised_at_ms: {_time(finding, roles.promised)}{note}")
    if roles.noun == "contact" and "reason" not in roles.fields:
        lines.append("      reason: unspecific  # counts as no failure by itself: the guide names the reasons that do")
    return lines


def _value(name: str, column: str, roles: Roles) -> str:
    finding = roles.findings[column]
    if name in ("channel", "reason"):
        default = "other" if name == "channel" else "unspecific"
        return f"{{field: {quoted(column)}, case: lower, table: {name}, default: {default}}}"
    if finding.kind != "number" or name not in ("amount_cents", "latency_ms", "csat"):
        return quoted("{" + column + "}") if name != "currency" else f"{{field: {quoted(column)}, case: upper}}"
    keys = [f"field: {quoted(column)}"]
    if name == "amount_cents":
        asked = todo("100 if the amounts are in units of the currency, 1 if they are in cents; all are whole numbers")
        keys.append(f"scale: {asked if finding.whole else 100}")
    for key, value in finding.declared:
        keys.append(f"{key}: {todo(finding.unsure) if finding.unsure and key == 'decimal' else json.dumps(value)}")
    return f"{{{', '.join(keys)}}}"


def _unused(roles: Roles, findings: Mapping[str, Contents], sample: Sample) -> list[str]:
    kinds = {"empty": "empty in the sample", "time": "a time", "number": "a number", "truth": "true or false",
             "email": "e-mail addresses", "phone": "telephone numbers"}  # fmt: skip
    rest = {name: kinds.get(finding.kind, "text") for name, finding in findings.items() if name not in roles.used}
    note = "a list of names and values; take one by its name, see `where` in the guide"
    rest |= dict.fromkeys(filter(str.isprintable, sample.pairs), note)
    return ["", "# Not used:", *(f"#   {name}: {kind}" for name, kind in rest.items())] if rest else []
