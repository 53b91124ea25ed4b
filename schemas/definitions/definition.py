"""What a definition of a figure is, and the SQL statement that computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 20
"""A share of fewer than this many says nothing and is not shown."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One figure: what it is in words, who answers for that, and the SQL expression that every board computes it by.

    ``unit``: of the value; ``formula``: in words; ``freshness``: how old a figure may be. ``value`` is computed from
    the rows of ``source`` (a view of ``schemas.tables``, joins included) for which ``where`` holds and whose ``at`` (a
    column of time; "": the present) lies in the time range, once per combination of ``per``. ``least``: with fewer
    ``exposed`` (an SQL expression) there is no value.
    """

    name: str
    title: str
    owner: str
    unit: str
    formula: str
    freshness: str
    value: str = ""
    source: str = ""
    at: str = ""
    where: str = ""
    per: tuple[str, ...] = ()
    exposed: str = "count()"
    least: int = 0

    @property
    def sql(self) -> str:
        """The statement for the whole time range, with the macros of Grafana's ClickHouse data source; "": none."""
        return self.by(self.per) if self.source else ""

    def by(
        self, dimensions: Sequence[str], conditions: Sequence[str] = (), source: str = "", weeks: int = 0
    ) -> str:
        """The statement per combination of ``dimensions`` (SQL expressions, best with AS), over rows that also keep
        ``conditions``.

        ``source``: read this instead, which has the same columns and more; ``weeks``: of the time range this many weeks
        earlier. Raises ValueError if there is no statement.

        >>> cases = Definition("cases", "Cases", "me", "cases", "All.", "now", "count()", "issue_overview",
        ...                    where="active")
        >>> cases.by(["line"], ["severity = 'high'"])
        "SELECT line, count() AS cases FROM issue_overview WHERE active AND severity = 'high' GROUP BY 1 ORDER BY 1"
        """
        if not self.source:
            raise ValueError(f"the definition {self.name} has no statement")
        kept = [self.where, self._timed(weeks), *conditions]
        where = " AND ".join(condition for condition in kept if condition)
        keys = ", ".join(str(number + 1) for number in range(len(dimensions)))
        parts = (
            ("SELECT ", ", ".join([*dimensions, f"{self.value} AS {self.name}"])),
            ("FROM ", source or self.source),
            ("WHERE ", where),
            ("GROUP BY ", keys),
            ("HAVING ", f"{self.exposed} >= {self.least}" if self.least else ""),
            ("ORDER BY ", keys),
        )
        return " ".join(word + text for word, text in parts if text)

    def _timed(self, weeks: int) -> str:
        if not self.at:
            return ""
        if not weeks:
            return f"$__timeFilter({self.at})"
        ago = f"toIntervalWeek({weeks})"
        return f"{self.at} >= $__fromTime - {ago} AND {self.at} <= toDateTime($__toTime_ms, 'UTC') - {ago}"
