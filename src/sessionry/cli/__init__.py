"""The command line. Nothing is loaded before it is needed, so that it starts fast."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn


def main() -> NoReturn:
    """Do what the words on the command line say, and exit with the code that tells how it went."""
    gc.disable()  # most commands end before there is anything to collect; those that stay turn it on again
    try:
        from sessionry.cli.program import perform

        code = perform(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):
            stream.flush()
    atexit._run_exitfuncs()
    os._exit(code)  # the interpreter would take itself apart for a tenth of the time that a short command takes
