"""Print the plan of a checkout and write its drawing: ``python -m tests.house [--root FOLDER] [--svg FILE]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.house.draw import svg, text
from tests.house.measure import House


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="tests.house", description="what imports what in a checkout")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2], help="folder of the checkout")
    parser.add_argument("--svg", type=Path, help="file for the drawing")
    given = parser.parse_args()
    house = House(given.root.resolve())
    print(text(house))
    if given.svg:
        given.svg.write_text(svg(house), encoding="utf-8")


if __name__ == "__main__":
    main()
