"""Agents that are a model and a loop: the model is asked over HTTP, host tools are called, until there is nothing to call.

`loop` is the agent; `chat`, `responses` and `messages` are the three protocols that it can speak; `tools` makes tools of
Python functions, and `calling` calls them; `asking` gets one answer through what networks and servers do; `resuming` reads
from the log what an earlier attempt did.
"""
