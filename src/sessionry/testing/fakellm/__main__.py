"""The server as a program: `python -m sessionry.testing.fakellm --port 8765`. Ctrl-C ends it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import click

from sessionry.testing.fakellm.server import ModelServer


@click.command()
@click.option("--port", default=8765, show_default=True, help="0 takes a free one.")
@click.option(
    "--scenarios", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON: scripts by name."
)
@click.option("--key", help="Refuse any other API key with 401.")
def main(port: int, scenarios: Path | None, key: str | None) -> None:
    """Serve the scripted model on loopback. GET /__log has what came; POST /__reset forgets it."""
    try:
        scripts = json.loads(scenarios.read_text(encoding="utf-8")) if scenarios else {}
        server = ModelServer(scripts, port=port, key=key).start()
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    try:
        click.echo(server.url)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


if __name__ == "__main__":
    main()
