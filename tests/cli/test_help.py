"""Help, version and what shells complete."""

from __future__ import annotations

import subprocess

import click
import pytest

from sessionry.cli.program import COMMANDS, program

from .program import SESSIONRY, Cli

NAMES = [name for commands in COMMANDS.values() for name in commands]


def test_the_help_names_every_command_under_its_heading(cli: Cli) -> None:
    done = cli.ok("--help")
    for heading, commands in COMMANDS.items():
        assert f"\n{heading}:\n" in done.out
        for name, (_, line) in commands.items():
            assert any(row.split() == [name, *line.split()] for row in done.lines)
    assert max(map(len, done.lines)) <= 80
    assert cli.ok("-h").out == done.out


def test_no_command_at_all_gets_the_help_and_exit_code_2(cli: Cli) -> None:
    done = cli()
    assert (done.code, done.out) == (2, "")
    assert done.err == cli.ok("--help").out


@pytest.mark.parametrize("name", NAMES)
def test_each_command_says_what_it_does_and_what_it_takes(name: str) -> None:
    context = click.Context(program)
    command = program.get_command(context, name)
    assert command is not None
    line = next(lines[name][1] for lines in COMMANDS.values() if name in lines)
    assert (command.help or "").splitlines()[0] == line, "the table of commands and the command tell the same"
    text = command.get_help(
        click.Context(command, info_name=name, parent=click.Context(program, info_name="sessionry"))
    )
    assert text.startswith(f"Usage: sessionry {name}")
    assert "--json" in text


def test_every_option_explains_itself_or_its_neighbour_does() -> None:
    context = click.Context(program)
    commands = [command for name in NAMES if (command := program.get_command(context, name))]
    options = [(each.name, option) for each in commands for option in each.params if isinstance(option, click.Option)]
    silent = [(name, option.opts) for name, option in options if not option.help and option.type.name != "time"]
    assert silent == []


def test_the_help_of_a_command_is_printed_by_the_program(cli: Cli) -> None:
    done = cli.ok("run", "--help")
    assert done.out.startswith("Usage: sessionry run [OPTIONS] PROMPT...\n")
    assert "  sessionry run --agent shell -- git status\n" in done.out


def test_the_version(cli: Cli) -> None:
    import sessionry

    assert cli.ok("--version").out == f"sessionry {sessionry.__version__}\n"


def test_python_m_is_the_same_program(cli: Cli) -> None:
    import sys

    command = [sys.executable, "-m", "sessionry", "--help"]
    done = subprocess.run(command, env=cli.env, capture_output=True, text=True, check=True)
    assert done.stdout == cli.ok("--help").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(cli: Cli, shell: str) -> None:
    script = cli.ok("completion", shell).out
    assert f"_SESSIONRY_COMPLETE={shell}_complete" in script
    assert cli.ok("completion", shell, "--json").json == {"shell": shell, "script": script.removesuffix("\n")}


def completed(cli: Cli, words: str) -> list[str]:
    """What bash is offered for the last of the words."""
    env = {"_SESSIONRY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run([SESSIONRY], env=cli.env | env, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.split()]


def test_commands_options_and_ids_are_completed(cli: Cli) -> None:
    session = cli.echo("hello")
    run = cli.ok("--json", "runs").json["id"]
    assert completed(cli, "sessionry app") == ["approvals", "approve"]
    assert completed(cli, "sessionry ls --cou") == ["--counts"]
    assert completed(cli, f"sessionry pause {session[:9]}") == [session]
    assert completed(cli, "sessionry show ") == [session, run]
    assert completed(cli, "sessionry show run_") == [run]


def test_a_store_that_cannot_be_read_completes_nothing(cli: Cli) -> None:
    cli.env["SESSIONRY_STORE"] = "nonsense"
    assert completed(cli, "sessionry show ") == []


def test_the_script_works_in_a_real_bash(cli: Cli) -> None:
    session = cli.echo("hello")
    script = f"""
    eval "$({SESSIONRY} completion bash)"
    COMP_WORDS=({SESSIONRY} watch ses_) COMP_CWORD=2
    _sessionry_completion {SESSIONRY}
    echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], env=cli.env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == session
