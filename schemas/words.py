"""What codes mean, in words, per language: reasons, states, outcomes, attributes; each said once.

The words themselves are in ``schemas.wordlists``. A code that has none is shown as it is, with blanks for underscores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from schemas.signals import signal_spec
from schemas.wordlists import KINDS, Words

LANGUAGES = Words._fields
"""Languages that every code has words in; the first is the default."""
_HTTP = re.compile(r"http_(\d{3})")


def words_of(kind: str, code: str, language: str = "en") -> str:
    """The words for a code of a kind of code. Raises KeyError for an unknown kind, AttributeError for a language.

    >>> words_of("reason", "quiet_hours"), words_of("reason", "http_503", "de"), words_of("attribute", "app_version")
    ('it is night there', 'der Empfänger antwortete mit 503', 'app version')
    >>> words_of("reason", "no_pigeon")
    'no pigeon'
    """
    answered = _HTTP.fullmatch(code) if kind == "reason" else None
    if answered:
        return str(getattr(KINDS[kind]["http"], language)).format(answered[1])
    found = KINDS[kind].get(code)
    return str(getattr(found, language)) if found else code.replace("_", " ")


def words_sql(kind: str, expression: str, language: str = "en") -> str:
    """SQL of the words for the code that an expression gives, as :func:`words_of` says them.

    >>> words_sql("stage", "o.stage")[:42]
    "transform(toString(o.stage), ['notice', 'a"
    """
    codes = ", ".join(_quoted(code) for code in KINDS[kind])
    meanings = ", ".join(_quoted(getattr(words, language)) for words in KINDS[kind].values())
    text = f"toString({expression})"
    plain = f"replaceAll({text}, '_', ' ')"
    if kind == "reason":
        answered = _quoted(getattr(KINDS[kind]["http"], language))
        plain = f"if(match({text}, '^http_[0-9]{{3}}$'), format({answered}, substring({text}, 6)), {plain})"
    return f"transform({text}, [{codes}], [{meanings}], {plain})"


def cause_words(cause: Mapping[str, str], line: str = "", language: str = "en") -> str:
    """Where an issue is, for people of the company: the attributes of its cause in words.

    >>> cause_words({"app_version": "5.2.0", "platform": "android"}), cause_words({"shop": "web"})
    ('in app version 5.2.0 on android', 'where shop is web')
    >>> cause_words({}, "shop")
    'everywhere in shop'
    """
    locations = KINDS["place"]
    if not cause:
        return str(getattr(locations[""], language)).format(line)
    return " ".join(_location(name, value, language) for name, value in sorted(cause.items(), key=_turn))


def title_words(signal: str, cause: Mapping[str, str], line: str = "", language: str = "en") -> str:
    """The title of an issue for people of the company.

    >>> title_words("payment", {"payment_provider": "Acme"})
    'Payments fail at payment provider Acme'
    """
    return f"{words_of('signal', signal, language)} {cause_words(cause, line, language)}"


def owner_of(signal: str) -> str:
    """Who usually has to act on an issue of a signal, empty if the catalogue of signals does not say."""
    return signal_spec(signal).owner


def _turn(pair: tuple[str, str]) -> tuple[int, str]:
    """Attributes in the order in which people say them."""
    order = list(KINDS["place"])
    return (order.index(pair[0]) if pair[0] in order else len(order), pair[0])


def _location(name: str, value: str, language: str) -> str:
    known = KINDS["place"].get(name)
    if known:
        return str(getattr(known, language)).format(value)
    return str(getattr(KINDS["place"]["*"], language)).format(words_of("attribute", name, language), value)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def codes_without_words(kind: str, codes: Iterable[str]) -> list[str]:
    """Those of the codes that a kind has no words for, sorted; one with a number in it is known by its form."""
    return sorted(code for code in codes if code not in KINDS[kind] and not _HTTP.fullmatch(code))
