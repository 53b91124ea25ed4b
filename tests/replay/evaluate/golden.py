"""The figures of the quick subset as they were agreed to, and why each change of them was accepted.

    python -P -m tests.replay.evaluate.golden "why they change"

plays the subset and writes them anew. The file holds the figures, and a list of reasons, the newest last, each with the
hash of the figures that it was given for: figures that nobody gave a reason for do not pass the test.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from streams.replay.evaluate.cases import choose
from streams.replay.evaluate.matching import grade
from streams.replay.evaluate.results import OURS, WorldResult
from streams.replay.evaluate.rivals import NEED_RIVER, RIVALS
from streams.replay.evaluate.runner import run
from streams.settings import Settings

FILE = Path(__file__).parents[2] / "golden" / "evaluation_quick.json"
Worlds = dict[str, dict[str, Any]]


def play() -> list[WorldResult]:
    """The quick subset with the settings that everybody gets."""
    return run(choose(None, [], quick=True), Settings())


def figures(results: Iterable[WorldResult]) -> Worlds:
    """World -> detector -> what it found; detectors that need not be installed are left out."""
    names = [name for name in (OURS, *RIVALS) if name not in NEED_RIVER]
    return {result.world: {name: _of(result, name) for name in names} for result in results}


def _of(result: WorldResult, detector: str) -> dict[str, Any]:
    found = {one.incident.id: one for one in result.matching(detector).incidents}
    judged = result.score(detector)
    return {
        "incidents": {
            name: "missed" if one.first is None
            else f"after {(one.first.at_ms - one.incident.starts_ms) // 1_000} s, cause "
            f"{grade(one.first.shown_cause, one.incident).name.lower()}"
            for name, one in found.items()
        },
        "false alarms": dict(sorted(judged.false_alarms.items())),
        "duplicates": judged.duplicates,
        "affected": f"{judged.named.hits} of {judged.named.of} named, {judged.reached.hits} of {judged.reached.of} hit",
    }  # fmt: skip


def differences(agreed: Worlds, found: Worlds) -> Iterator[str]:
    """One line for each figure that differs: world, detector, figure, then and now."""
    for world in sorted(agreed.keys() | found.keys()):
        if world not in agreed or world not in found:
            yield f"{world}: {'new' if world in found else 'gone'}"
            continue
        for detector in agreed[world].keys() | found[world].keys():
            was, now = agreed[world].get(detector, {}), found[world].get(detector, {})
            for name in sorted(was.keys() | now.keys()):
                if was.get(name) != now.get(name):
                    yield f"{world}, {detector}, {name}: {was.get(name)} -> {now.get(name)}"


def digest(worlds: Worlds) -> str:
    """Hash of figures."""
    return hashlib.sha256(json.dumps(worlds, sort_keys=True).encode()).hexdigest()


def read() -> dict[str, Any]:
    """What was agreed to; nothing at first."""
    if not FILE.exists():
        return {"worlds": {}, "reasons": []}
    body: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return body


def main(arguments: Sequence[str]) -> int:
    """Write the figures anew with a reason."""
    reason = " ".join(arguments).strip()
    if len(reason.split()) < 3:
        print("say in a sentence why the figures change", file=sys.stderr)
        return 2
    body, worlds = read(), figures(play())
    changed = list(differences(body["worlds"], worlds))
    print("\n".join(changed) or "nothing changed")
    if changed:
        reasons = [*body["reasons"], {"why": reason, "digest": digest(worlds)}]
        text = json.dumps({"reasons": reasons, "worlds": worlds}, indent=1, ensure_ascii=False)
        FILE.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
