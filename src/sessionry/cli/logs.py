"""What is logged goes to stderr, a line each; where an error came from shows only in a log of everything."""

from __future__ import annotations

import logging


class _OneLine(logging.Formatter):
    """Names the exception instead of printing how it came about."""

    def format(self, record: logging.LogRecord) -> str:
        text = " ".join(f"{record.levelname} {record.name}: {record.getMessage()}".split())
        error = record.exc_info[1] if record.exc_info else None
        return f"{text} ({type(error).__name__}: {error})" if error is not None else text


def log_to_stderr(level: str) -> None:
    """Log this level and above."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s") if level == "debug" else _OneLine())
    logging.basicConfig(level=level.upper(), handlers=[handler])
