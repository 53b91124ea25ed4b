"""Every board, as a model: one module per board. Grafana's JSON and the live board's page are drawn from it."""

from dashboards.boards.definitions import DEFINITIONS_BOARD
from dashboards.boards.experience import EXPERIENCE
from dashboards.boards.issue import ISSUE
from dashboards.boards.operations import OPERATIONS
from dashboards.boards.outreach import OUTREACH
from dashboards.boards.pipeline import PIPELINE
from dashboards.boards.replay import REPLAY
from dashboards.model import Board

__all__ = ["BOARDS", "DEFINITIONS_BOARD", "EXPERIENCE", "ISSUE", "OPERATIONS", "OUTREACH", "PIPELINE", "REPLAY"]

BOARDS: tuple[Board, ...] = (OPERATIONS, ISSUE, EXPERIENCE, OUTREACH, PIPELINE, REPLAY, DEFINITIONS_BOARD)
"""Every board."""
