"""Plays recorded frames as the program would write them. The prompt says what else is to happen.

crash       end in the middle, with a word on stderr
login       end before the first frame: not logged in
hang        work for ever after the first words
limit       end with too many turns
other       come back with another session than the one that is resumed
forgotten   know no session that is to be resumed
"""

import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path

frames, log = Path(FRAMES), Path(LOG)  # type: ignore[name-defined]  # noqa: F821  they are put before this text
prompt, argv = sys.stdin.read(), sys.argv[1:]
with log.open("a") as file:
    file.write(json.dumps({"program": sys.argv[0], "argv": argv, "prompt": prompt, "env": dict(os.environ)}) + "\n")
given = next((word for before, word in pairwise(argv) if before in ("continue", "--resume")), None)
word = prompt.split()[-1]
if given and word == "forgotten":
    sys.exit("no session has that id")
if word == "login":
    sys.exit("Error: not logged in. Log in first.")
session = "T-other" if given and word == "other" else given or f"T-{os.getpid()}"
names = {"SESSION": session, "PID": str(os.getpid()), "CWD": str(Path.cwd()), "PROMPT": json.dumps(prompt)[1:-1]}
for number, line in enumerate(frames.read_text().splitlines()):
    for name, value in names.items():
        line = line.replace(name, value)
    if number == 4 and word == "crash":
        sys.exit("something broke")
    if number == 4 and word == "limit":
        line = json.dumps({"type": "result", "subtype": "error_max_turns", "is_error": True, "session_id": session})
    print(line, flush=True)
    if number == 4 and word == "limit":
        break
    if number == 3 and word == "hang":
        time.sleep(3600)
