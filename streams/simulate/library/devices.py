"""Worlds of devices in homes: what they report, and that they fall silent."""

from __future__ import annotations

from dataclasses import replace

from streams.simulate.library.declared import World
from streams.simulate.library.firm import Firm
from streams.simulate.library.happens import Fault, Missing

QUICK = frozenset({"quick"})
HOME = Firm(line="home", sessions=120.0, contacts=8.0, hubs=140, app_failing=0.01)

WORLDS = (
    World(
        "firmware_lot", "devices", "Devices of one lot fail after a night's firmware; the lot is an attribute of ours.",
        (replace(HOME, happens=(
            Fault(id="lot", trouble="report", starts=51.0, ends=70.0, share=0.35, code="SENSOR_LOST",
                  where={"lot": ("24-118",)}, contact_share=0.05),
        )),),
    ),
    World(
        "firmware_version", "devices", "One firmware in three homes fails for half a day.",
        (replace(HOME, happens=(
            Fault(id="firmware", trouble="report", starts=54.0, ends=66.0, share=0.25, code="BOOT_LOOP",
                  where={"firmware": ("11.3",)}),
        )),),
    ),
    World(
        "heartbeats_vanish_with_traffic", "devices",
        "All devices of a country stop reporting, while people go on using the app.",
        (replace(HOME, happens=(
            Missing(id="offline", stream="reports", starts=55.0, ends=61.0, where={"region": ("FR",)},
                    contact_share=0.3),
        )),),
    ),
    World(
        "heartbeats_vanish_without_traffic", "devices",
        "A country's gateway is down: neither devices nor apps there say anything; customers call.",
        (replace(HOME, happens=(
            Missing(id="offline", stream="reports", starts=55.0, ends=61.0, where={"region": ("FR",)},
                    contact_share=0.3),
            Missing(id="no app either", stream="sessions", starts=55.0, ends=61.0, where={"region": ("FR",)},
                    contact_share=0.3, part_of="offline"),
        )),),
    ),
)  # fmt: skip
