"""Every board, as a model: one module per board. Grafana's JSON and the live board's page are drawn from it."""

from dashboards.boards.operations import OPERATIONS
from dashboards.model import Board

__all__ = ["BOARDS", "OPERATIONS"]

BOARDS: tuple[Board, ...] = (OPERATIONS,)
"""Every board."""
