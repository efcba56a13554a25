"""A language model for tests: it speaks the APIs that real agents speak, on loopback, and says what a script tells it."""

from sessionry.testing.fakellm.received import Received
from sessionry.testing.fakellm.script import BadScript, Step
from sessionry.testing.fakellm.server import ModelServer

__all__ = ["BadScript", "ModelServer", "Received", "Step"]
