"""Commands with more options than a function should have parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


def with_options(options: type[T], command: Callable[[T], None]) -> Callable[..., None]:
    """A command whose options are the fields of a dataclass."""

    def run_with(**given: Any) -> None:
        command(options(**given))

    update_wrapper(run_with, options, assigned=())  # whose signature is shown
    run_with.__annotations__ = get_type_hints(options, include_extras=True)
    return run_with
