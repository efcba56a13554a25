"""A program that talks in lines of JSON, well and badly: `python -S talkative.py MODE`. Its first line tells its pids."""

import json
import os
import signal
import subprocess
import sys
import time


def say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def child(*, session: bool, env: dict[str, str] | None = None, ignore: bool = False) -> int:
    script = "import signal, time\n"
    if ignore:
        script += "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
    script += "time.sleep(300)"
    argv = [sys.executable, "-S", "-c", script]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(argv, start_new_session=session, env=env, stdin=quiet, stdout=quiet, stderr=quiet).pid


def echo() -> None:
    for line in sys.stdin:
        say({"you said": json.loads(line)})


def ignore_signals() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def main(mode: str) -> None:
    match mode:
        case "echo":
            echo()
        case "numbers":
            for number in range(1000):
                say(number)
        case "long":
            say("x" * 10_000_000)
            say("after")
        case "endless":
            while True:
                sys.stdout.write("x" * 65536)
        case "confused":
            say({"fine": True})
            sys.stdout.write("Welcome to my program!\n")
            sys.stdout.flush()
            time.sleep(300)
        case "latin":
            sys.stdout.buffer.write(b'{"fine": true}\n{"name": "Stra\xdfe"}\n')
            sys.stdout.flush()
            time.sleep(300)
        case "deep":
            sys.stdout.write('{"fine": true}\n' + "[" * 100_000 + "]" * 100_000 + "\n")
            sys.stdout.flush()
            time.sleep(300)
        case "odd":
            asked = json.loads(sys.stdin.readline())
            say({"id": [asked["id"]], "result": "for nobody"})
            say({"id": asked["id"], "error": {"code": "much", "message": "no"}})
            time.sleep(300)
        case "tail":
            sys.stdout.write('\n  \n{"a": 1}\r\n{"b": 2}')
        case "flood":
            sys.stderr.write("first words\n")
            for _ in range(2000):
                sys.stderr.write("e" * 10_000 + "\n")
            sys.stderr.write("last words\n")
            sys.stderr.flush()
            say("done")
        case "dies":
            sys.stderr.write("something\nno such model\n")
            sys.exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "deaf":
            ignore_signals()
            say([os.getpid(), child(session=True, ignore=True)])
            time.sleep(300)
        case "parent":
            say([os.getpid(), child(session=True), child(session=False)])
            echo()
        case "wiped":
            say([os.getpid(), child(session=False, env={})])
            time.sleep(300)
        case "closes":
            os.close(0)
            say("closed")
            time.sleep(300)


if __name__ == "__main__":
    main(sys.argv[1])
