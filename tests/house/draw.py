"""Draw rooms and their imports: layers as text, and as SVG with an arrow from each room to what it imports."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from tests.house.measure import Edges, House, circles

WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, LETTER, MARGIN = 1400, 26, 14, 64, 7, 10
"""Pixels: the drawing, a box, the space between boxes, a letter, the edge."""
STYLE = (
    "text{font:12px sans-serif;text-anchor:middle;fill:#1b1f24}"
    "rect{fill:#eef3f8;stroke:#57606a}rect.loose{fill:#fff1d6}rect.core{fill:#e3f4e6}"
    "path{fill:none;stroke:#57606a;stroke-opacity:.45}path.circle{stroke:#cf222e;stroke-opacity:1}"
)


def layers(edges: Edges) -> list[list[str]]:
    """Rooms from top to bottom: each above all that it imports; rooms in a circle share a layer."""
    group = {name: name for name in edges}
    for circle in circles(edges):
        group |= dict.fromkeys(circle, circle[0])
    depth: dict[str, int] = {}

    def measure(head: str) -> int:
        if head not in depth:
            below = {group[other] for name in edges if group[name] == head for other in edges[name]} - {head}
            depth[head] = max((measure(other) + 1 for other in below), default=0)
        return depth[head]

    rows: dict[int, list[str]] = {}
    for name in sorted(edges):
        rows.setdefault(measure(group[name]), []).append(name)
    return [rows[level] for level in sorted(rows, reverse=True)]


def nearest(edges: Edges) -> Edges:
    """Without the arrows that a longer way says already; arrows inside a circle stay."""
    return {
        name: frozenset(
            other
            for other in imported
            if not any(step != other and other in _reached(edges, step, {name}) for step in imported)
        )
        for name, imported in edges.items()
    }


def _reached(edges: Edges, start: str, without: set[str]) -> set[str]:
    seen, ahead = set(without), [start]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += edges.get(name, ())
    return seen - without - {start}


def text(house: House) -> str:
    """The plan for a terminal: layers with arrows, then what the house is held to."""
    edges, lines = house.rooms, ["rooms, each above all that it imports:"]
    shown = nearest(edges)
    for level, row in enumerate(layers(edges), start=1):
        for name in row:
            arrows = ", ".join(short(other) for other in sorted(shown[name]))
            lines.append(f"  {level:2d}  {short(name):24}" + (f" -> {arrows}" if arrows else ""))
    lines += ["", *facts(house)]
    return "\n".join(lines)


def facts(house: House) -> Iterator[str]:
    """One line per number that ``tests/stack/test_house_plan.py`` holds."""
    for what, found in (("files", house.circles), ("rooms", circles(house.rooms))):
        yield f"circles of {what}: {len(found)}" + "".join(f"\n  {' <-> '.join(circle)}" for circle in found)
    yield f"loose modules in streams/: {len(house.loose)} ({', '.join(house.loose)})"
    rooms = [room.rpartition(".")[2] for room in house.core_rooms]
    yield f"independent rooms in the core: {len(rooms)} ({', '.join(rooms)})" if rooms else "rooms in the core: 0"
    for what, sized in (("module", house.files[0]), ("function", house.functions[0])):
        yield f"largest {what}: {sized.lines} lines ({sized.name})"
    yield f"class names with two meanings: {len(house.shared_names)}"


def short(room: str) -> str:
    """A room's name without the package that all have."""
    return room.removeprefix("streams.")


def svg(house: House) -> str:
    """The drawing: green rooms of the core, yellow loose modules, red arrows inside a circle."""
    edges = house.rooms
    boxes, height = _boxes(layers(edges))
    circle_of = {name: number for number, circle in enumerate(circles(edges)) for name in circle}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="a" markerWidth="7" markerHeight="7" refX="6" refY="3" orient="auto">',
        '<path d="M0,0L6,3L0,6z" style="fill:#57606a;stroke:none"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" style="fill:#fff;stroke:none"/>',
    ]
    for name, imported in nearest(edges).items():
        for other in sorted(imported):
            circle = name in circle_of and circle_of[name] == circle_of.get(other)
            lines.append(_arrow(boxes[name], boxes[other], "circle" if circle else ""))
    loose = {f"streams.{name}" for name in house.loose}
    for name, (x, y, width) in boxes.items():
        kind = "core" if name.startswith("streams.core") else "loose" if name in loose else ""
        lines.append(
            f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{BOX_HEIGHT}" rx="4"/>'
            f'<text x="{x + width // 2}" y="{y + 17}">{escape(short(name))}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _boxes(rows: list[list[str]]) -> tuple[dict[str, tuple[int, int, int]], int]:
    """Room -> (left, top, width) in pixels, and the height of the drawing; a long layer takes several lines."""
    boxes: dict[str, tuple[int, int, int]] = {}
    top = MARGIN
    for row in rows:
        for line in _lines(row):
            widths = [len(short(name)) * LETTER + 2 * GAP_X for name in line]
            left = (WIDTH - sum(widths) - GAP_X * (len(line) - 1)) // 2
            for name, width in zip(line, widths, strict=True):
                boxes[name] = (left, top, width)
                left += width + GAP_X
            top += BOX_HEIGHT + GAP_X
        top += GAP_Y - GAP_X
    return boxes, top - GAP_Y + MARGIN


def _lines(row: list[str]) -> Iterator[list[str]]:
    line: list[str] = []
    used = 2 * MARGIN
    for name in row:
        width = len(short(name)) * LETTER + 3 * GAP_X
        if line and used + width > WIDTH:
            yield line
            line, used = [], 2 * MARGIN
        line.append(name)
        used += width
    yield line


def _arrow(start: tuple[int, int, int], end: tuple[int, int, int], kind: str) -> str:
    (x1, y1, w1), (x2, y2, w2) = start, end
    x1, x2 = x1 + w1 // 2, x2 + w2 // 2
    down = y2 >= y1
    y1, y2 = (y1 + BOX_HEIGHT, y2) if down else (y1, y2 + BOX_HEIGHT)
    bend = GAP_Y // 2 if down else -GAP_Y // 2
    return f'<path class="{kind}" marker-end="url(#a)" d="M{x1},{y1}C{x1},{y1 + bend} {x2},{y2 - bend} {x2},{y2}"/>'
