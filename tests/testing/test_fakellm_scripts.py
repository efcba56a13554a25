"""Which script a prompt asks for, and which of its steps is due."""

from __future__ import annotations

import json

import pytest

from sessionry.agents.handover import FINISHED, GO_ON, IF_FINISHED
from sessionry.testing.fakellm import BadScript
from sessionry.testing.fakellm.answer import answer, smallest
from sessionry.testing.fakellm.asked import Asked, Said, due
from sessionry.testing.fakellm.script import Script, Step, parsed, prompt_in

SCENARIOS: dict[str, Script] = {"default": [Step(text="echo: {last_user}")], "hello": [Step(text="Hello.")]}


def script(*steps: object) -> str:
    return f"<<<SCRIPT {json.dumps(steps)} >>>"


def asked(*said: tuple[str, str], tools: tuple[str, ...] = ("Bash", "Write")) -> Asked:
    return Asked(model="m", stream=True, said=[Said(*each) for each in said], tools=list(tools))


def text(*said: tuple[str, str]) -> str:
    return answer(request := asked(*said), due(request, SCENARIOS)).text


def test_a_script_is_named_or_stands_in_the_prompt_or_is_the_default_one() -> None:
    assert text(("user", "do #script:hello now")) == "Hello."
    assert text(("user", "do " + script({"text": "this"}))) == "this"
    assert text(("user", "do something")) == "echo: do something"


def test_the_newest_prompt_counts() -> None:
    first = ("user", script({"text": "old"}))
    assert text(first, ("assistant", "old"), ("user", script({"text": "new"}))) == "new"
    assert text(first, ("assistant", "old"), ("user", "and now?")) == "echo: and now?"


def test_the_last_script_of_a_prompt_counts() -> None:
    assert text(("user", script({"text": "old"}) + " was interrupted; go on: " + script({"text": "new"}))) == "new"


def test_a_script_may_hold_another_one_and_any_text() -> None:
    inner = script({"text": "by the sub-agent"})
    outer = script({"tools": [{"name": "Task", "input": {"prompt": inner}}]}, {"text": "<b>]>>> done</b>"})
    request = asked(("user", outer))
    [call] = answer(request, due(request, SCENARIOS)).calls
    assert call.input == {"prompt": inner}
    assert text(("user", outer), ("call", "Task"), ("tool", "ok")) == "<b>]>>> done</b>"


def test_what_agents_put_around_a_prompt_is_not_the_prompt() -> None:
    earlier = f"<earlier_conversation>\n[user]\n{script({'text': 'old'})}\n</earlier_conversation>\n\n"
    assert (
        text(("user", f"{earlier}<user_query>hi</user_query><system-reminder>be nice</system-reminder>")) == "echo: hi"
    )
    assert prompt_in("[Request interrupted by user]") == ""
    assert prompt_in("if a < b and b > c, say <unclosed> tags") == "if a < b and b > c, say <unclosed> tags"


def test_reminders_and_notes_do_not_begin_anew() -> None:
    said = [("user", script({"shell": "a"}, {"text": "second"})), ("call", "Bash"), ("tool", "x")]
    assert text(*said, ("user", "<system-reminder>hm</system-reminder>")) == "second"
    assert text(*said, ("user", "<note>1</note>"), ("tool", "y")) == "second"


def test_parallel_results_are_one_round() -> None:
    steps = script({}, {"text": "second"}, {"text": "third"})
    first = [("user", steps), ("call", "a"), ("call", "b"), ("tool", "1"), ("tool", "2")]
    assert text(*first) == "second"
    assert text(*first, ("assistant", "second"), ("call", "a"), ("tool", "3")) == "third"


GOES_ON = ("user", f"{GO_ON}\n\n<interrupted_work>\nsome\n</interrupted_work>")


def test_interrupted_work_goes_on_where_it_was() -> None:
    steps = script({"text": "first", "shell": "a"}, {"text": "second"})
    said = [("user", steps), ("assistant", "first"), ("call", "Bash"), ("tool", "x")]
    assert text(*said, GOES_ON) == "second"
    assert text(*said, ("user", f"{GO_ON}\n\nand hurry")) == "echo: and hurry"


@pytest.mark.parametrize(
    "result",
    [
        "aborted",
        "Wall time: 0.1 seconds\naborted by user",
        "[Tool call interrupted: the session ended]",
        "Tool permission request failed: AbortError",
        "The user doesn't want to proceed with this tool use.",
        "Exit code 137",
        "[Tool execution was interrupted]",
        "Tool execution was interrupted before a result was recorded.",
        "(no output)\n\n<shell_metadata>\nUser aborted the command\n</shell_metadata>",
        "<untrusted_context>\nCommand was cancelled by user before it could complete.",
    ],
)
def test_what_an_interruption_broke_off_is_done_once_more(result: str) -> None:
    steps = script({"text": "first", "shell": "a"}, {"text": "second"})
    said = [("user", steps), ("assistant", "first"), ("call", "Bash"), ("tool", result)]
    request = asked(*said, GOES_ON)
    again = answer(request, due(request, SCENARIOS))
    assert (again.text, [call.name for call in again.calls]) == ("", ["Bash"]), "the words were said already"
    assert text(*said) == "second", "without an interruption it is a result like any other"


def test_nothing_is_said_where_nothing_is_left() -> None:
    request = asked(("user", script({"thinking": "hm", "text": "all"})), ("assistant", "all"), GOES_ON)
    rest = answer(request, due(request, SCENARIOS))
    assert (rest.text, rest.thinking, rest.calls) == ("", "", [])
    request = asked(*request.said[:2], ("user", f"<now>noon</now>\n{GO_ON} {IF_FINISHED}"))
    assert answer(request, due(request, SCENARIOS)).text == FINISHED, "where an agent cannot say nothing"


def test_after_its_last_step_the_model_only_talks() -> None:
    request = asked(("user", script({"text": "bye", "shell": "x", "error": 500})), ("call", "Bash"), ("tool", "done"))
    last = answer(request, due(request, SCENARIOS))
    assert (last.text, last.calls, last.step.error) == ("bye", [], None)


def test_what_is_filled_in() -> None:
    said = [
        ("user", script({}, {"text": ["{last_tool}|{turn}|", "{model}|{other}"]})),
        ("call", "x"),
        ("tool", " out \n"),
    ]
    assert text(*said) == "out|1|m|{other}"


@pytest.mark.parametrize(
    ("tools", "name", "input"),
    [
        (("exec_command",), "exec_command", {"cmd": "make"}),
        (("Read", "Bash"), "Bash", {"command": "make", "description": "run a scripted command"}),
        (("shell",), "shell", {"command": ["bash", "-lc", "make"]}),
    ],
)
def test_a_command_goes_to_the_agents_own_shell(tools: tuple[str, ...], name: str, input: object) -> None:
    request = asked(("user", script({"shell": "make"})), tools=tools)
    [call] = answer(request, due(request, SCENARIOS)).calls
    assert (call.name, call.input) == (name, input)


def test_a_file_goes_to_the_agents_own_writing_tool_or_to_its_shell() -> None:
    prompt = ("user", script({"write": {"path": "a b.txt", "content": "it's"}}))
    request = asked(prompt)
    assert answer(request, due(request, SCENARIOS)).calls[0].input == {"file_path": "a b.txt", "content": "it's"}
    request = asked(prompt, tools=("exec_command",))
    [call] = answer(request, due(request, SCENARIOS)).calls
    assert call.input == {"cmd": "printf %s 'it'\"'\"'s' > 'a b.txt'"}


def test_an_answer_as_json_goes_to_the_tool_that_takes_it() -> None:
    prompt = ("user", script({"json": {"n": 1}}))
    request = asked(prompt, tools=("Bash", "StructuredOutput"))
    with_tool = answer(request, due(request, SCENARIOS))
    assert ([(call.name, call.input) for call in with_tool.calls], with_tool.text) == (
        [("StructuredOutput", {"n": 1})],
        "",
    )
    assert json.loads(text(prompt)) == {"n": 1}


def test_a_script_in_quotes_is_read() -> None:
    quoted = json.dumps("say " + script({"text": 'a "word"'}))
    assert text(("user", quoted)) == 'a "word"'


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("<<<SCRIPT [{] >>>", "is no JSON: .*line 1 column"),
        ("<<<SCRIPT [{}]", None),
        ("<<<SCRIPT [] >>>", "it has no step"),
        ('<<<SCRIPT {"text": "x"} >>>', "Expected `array`, got `object`"),
        ('<<<SCRIPT [{}, {"delay": "x"}] >>>', r"Expected `float`, got `str` - at `\$\[1\].delay`"),
        ('<<<SCRIPT [{"tools": [{"input": {}}]}] >>>', r"missing required field `name` - at `\$\[0\].tools\[0\]`"),
        ("#script:helo", "there is no script 'helo'; there are: default, hello"),
    ],
)
def test_a_wrong_script_says_where_it_is_wrong(prompt: str, problem: str | None) -> None:
    if problem is None:  # a forgotten end is no harm
        assert text(("user", prompt)) == "ok"
        return
    with pytest.raises(BadScript, match=problem):
        text(("user", prompt))


def test_scripts_can_be_made_of_values() -> None:
    assert parsed([{"text": "a", "usage": {"input": 3}}])[0].usage.input == 3


def test_the_smallest_value_of_a_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/kind"},
            "b": {"type": ["integer", "null"], "minimum": 5},
            "c": {"anyOf": [{"type": "boolean"}, {"type": "string"}]},
            "d": {"type": "array", "items": {"const": 1}, "minItems": 2},
            "e": {"type": "string"},
        },
        "required": ["a", "b", "c", "d"],
        "$defs": {"kind": {"enum": ["x", "y"]}},
    }
    assert smallest(schema) == {"a": "x", "b": 5, "c": False, "d": [1, 1]}
    endless = {"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}
    assert json.dumps(smallest(endless)).startswith('{"n": {"n":')
