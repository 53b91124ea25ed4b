"""What trouble costs: money at risk and the price of one more minute of inaction.

First version of the market damage model (customers with the problem x loyalty drop x margin per customer, published at
http://ctmaworld.com/Tools-RAR.htm; cost of inaction at http://ctmaworld.com/Tools-COI.htm). The outcome of each contact
is not known to the stream, so one loyalty drop is used for everybody affected. Every parameter says where its value
comes from and whether it is assumed; nothing is multiplied by word of mouth, for which no published conversion exists.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import ConfigError
from schemas.findings import Assumption

RAR = "ctmaworld.com/Tools-RAR.htm"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of the model with its plausible range; ``assumed`` is True for a default."""

    value: float
    low: float
    high: float
    unit: str
    source: str
    assumed: bool = True

    def __post_init__(self) -> None:
        """Refuse a negative value or a range that does not contain it."""
        if not 0 <= self.low <= self.value <= self.high:
            raise ConfigError("a money parameter needs 0 <= low <= value <= high")


def configured(value: float, unit: str) -> Parameter:
    """A parameter that the operator set: taken as exact."""
    return Parameter(value, value, value, unit, "configured", assumed=False)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The model's parameters. Money in hundredths of the company's currency, margins over 12 months."""

    loyalty_drop: Parameter = Parameter(0.25, 0.10, 0.40, "ratio", f"flat drop if the outcome is unknown, {RAR}")
    margin: Parameter = Parameter(5_000, 2_500, 10_000, "cents per customer and year", "default; no profile value")
    contact_cost: Parameter = Parameter(500, 300, 1_200, "cents per contact", "default cost of one handled contact")


DEFAULTS = Parameters()


@dataclass(frozen=True, slots=True)
class Exposure:
    """Who is hit: ``valued`` of the ``affected`` have a known margin, together ``value_cents`` (each at least 0)."""

    affected: int
    contacted: int
    recent: int
    valued: int
    value_cents: int
    open: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """Hundredths of the company's currency: at risk with its range, cost of contacts so far, and of one more minute."""

    at_risk: int
    low: int
    high: int
    service: int
    per_minute: int


def damage(exposure: Exposure, parameters: Parameters = DEFAULTS, recent_minutes: float = 15.0) -> Damage:
    """The model. At risk = loyalty drop x (known margins + assumed margin of the others).

    A further minute brings ``recent / recent_minutes`` new affected customers, each as dear as those so far, contacts
    included; a resolved issue costs nothing more. The range takes every parameter at its low, then at its high end.
    At risk and service cost are 0 for nobody, monotone in customers and margins, and additive over disjoint groups
    (each to the rounding of one cent).

    >>> damage(Exposure(100, 10, 15, 100, 1_000_000, open=True))
    Damage(at_risk=250000, low=100000, high=400000, service=5000, per_minute=2550)
    """
    unknown = exposure.affected - exposure.valued

    def at_risk(drop: float, margin: float) -> float:
        return drop * (exposure.value_cents + unknown * margin)

    drop, margin, contact = parameters.loyalty_drop, parameters.margin, parameters.contact_cost
    middle = at_risk(drop.value, margin.value)
    service = exposure.contacted * contact.value
    rate = exposure.recent / recent_minutes if exposure.open else 0.0
    each = (middle + service) / exposure.affected if exposure.affected else 0.0
    return Damage(
        at_risk=round(middle),
        low=round(at_risk(drop.low, margin.low)),
        high=round(at_risk(drop.high, margin.high)),
        service=round(service),
        per_minute=round(rate * each),
    )


def assumptions(exposure: Exposure, parameters: Parameters = DEFAULTS) -> tuple[Assumption, ...]:
    """Everything the figures rest on, with source; a margin that no customer needed is left out."""
    rows = [_row("loyalty_drop", parameters.loyalty_drop), _row("contact_cost", parameters.contact_cost)]
    if exposure.valued:
        mean = exposure.value_cents / exposure.valued
        source = f"profiles of {exposure.valued} of {exposure.affected} affected"
        unit = "cents per customer and year"
        rows.append(Assumption(name="margin_known", value=mean, unit=unit, source=source, assumed=False))
    if exposure.valued < exposure.affected or not exposure.affected:
        rows.append(_row("margin_unknown", parameters.margin))
    rows.append(Assumption(
        name="word_of_mouth", value=0.0, unit="lost customers per customer told", source="off: no published value",
        assumed=True,
    ))  # fmt: skip
    return tuple(rows)


def _row(name: str, parameter: Parameter) -> Assumption:
    return Assumption(
        name=name, value=parameter.value, unit=parameter.unit, source=parameter.source, assumed=parameter.assumed
    )
