"""An owner says that it has heard an order only once the order is in force, and says so without other news."""

from __future__ import annotations

from streams.sender.partition import PartitionSender
from tests.sender.world import house, order


async def test_orders_are_said_to_be_heard_once_the_ledger_obeys_them_also_if_nothing_else_happens() -> None:
    seen: list[tuple[int, bool]] = []
    owners: list[PartitionSender] = []
    built = house()
    built.on_commit = lambda: seen.append((built.broker.heard, owners[0].ledger.knowledge.stopped))
    built.broker.reference.append(order("stop"))
    owners.append(process := built.process())
    await process.open()
    await process.turn()
    built.broker.reference.append(order("resume"))
    await process.turn()
    assert set(seen) == {(1, True), (2, False)}
    assert seen == sorted(seen)
