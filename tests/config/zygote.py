"""Web servers and workers that start in milliseconds: everything is imported once, and each of them is a fork.

A line of standard input is `web PORT` or `worker`; the answer is the process id. The children are the real thing:
uvicorn with the project's ASGI application, and a Celery worker. TWINS_DATA names the installation.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def main() -> None:
    import uvicorn
    from django.urls import get_resolver

    from config.asgi import application
    from config.celery import app
    from config.supervisor import PROTOCOL

    app.loader.import_default_modules()
    # What the first request would import, a second or two of it, in every child.
    _ = get_resolver().url_patterns
    # Whom nobody waits for must not stay as a zombie.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        name, *arguments = line.split()
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # What a child says must not be taken for an answer.
            silence = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(silence, stream)
            if name == "web":
                options = {"http": PROTOCOL, "access_log": False, "log_level": "warning", "lifespan": "off"}
                uvicorn.run(application, port=int(arguments[0]), **options)
            else:
                # Without a clock: started in here it would be a process of its own and outlive a killed worker.
                app.worker_main(["worker", "--pool=solo", "--without-gossip", "--without-mingle", "--loglevel=ERROR"])
            os._exit(1)
        print(child, flush=True)


if __name__ == "__main__":
    main()
