"""Commands for those who have just installed it: demo, completion."""

from __future__ import annotations

import click

from sessionry.cli.invocation import Invocation, command


@command()
def demo(invocation: Invocation) -> int:
    """See the main job done in under a minute.

    Real agents, an approval, a crash and its recovery, in a store of its own that is removed afterwards.
    """
    from sessionry.cli.demo import run_demo

    invocation.stay_local()
    return run_demo(json=invocation.json)


@command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(invocation: Invocation, shell: str) -> None:
    """Print what makes your shell complete commands.

    \b
    bash:  eval "$(sessionry completion bash)"             in ~/.bashrc
    zsh:   eval "$(sessionry completion zsh)"              in ~/.zshrc
    fish:  sessionry completion fish | source              in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    from sessionry.cli.program import program

    kind = get_completion_class(shell)
    assert kind is not None, "the choices are the shells that click knows"
    script = kind(program, {}, "sessionry", "_SESSIONRY_COMPLETE").source()
    if invocation.json:
        invocation.output.object({"shell": shell, "script": script})
    else:
        invocation.output.line(script)
