"""The adapters with the real programs of the agents, whose model is the scripted one."""
