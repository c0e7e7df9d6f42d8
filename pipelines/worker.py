"""A worker process: takes pickled tasks on stdin, answers on stdout, dies with its driver.

In: length-prefixed pickles: tasks, and STOP. Out: ("progress", n), ("state", text) and in the end
("done", failure) or ("stopped", what is saved) likewise.
Shown by: `gristmill run` (it starts these). Limit: one task at a time; a native crash ends the
process, and the driver lays it to the record in the crash marker.

Not multiprocessing: that would import the user's main module again, which a notebook or a script
without a guard does not survive.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import struct
import sys
import threading
from pathlib import Path
from typing import IO, Any, NoReturn

from gristmill.parting import part
from gristmill.stopping import Interrupted, ask, stoppable

HEADER = struct.Struct("<Q")
STOP = "stop"  # save what you have and end, or just end


def send(stream: IO[bytes], message: Any) -> None:
    """Write one message."""
    raw = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(HEADER.pack(len(raw)) + raw)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message; EOFError when the other side has gone."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    (length,) = HEADER.unpack(header)
    raw = stream.read(length)
    if len(raw) < length:
        raise EOFError
    return pickle.loads(raw)


def _listen(stream: IO[bytes], inbox: queue.Queue[Any]) -> None:
    while True:
        try:
            message = receive(stream)
        except EOFError:
            _leave()  # the driver has gone, by Ctrl-C or for good
        except Exception as error:  # a task that cannot be unpickled here fails; the worker lives
            message = error
        if message != STOP:
            inbox.put(message)
        elif not ask():
            _leave()


def _leave() -> NoReturn:
    part()
    os._exit(0)  # what is unpublished will be done again


def main() -> None:
    """Serve tasks until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's: it ends its workers
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not enter the protocol
    inbox: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, inbox), daemon=True).start()

    import pyarrow as pa

    from gristmill import marker
    from gristmill.task import describe, execute

    pa.set_cpu_count(1)  # one core a worker: parallelism is the driver's to decide
    pa.set_io_thread_count(1)
    state: Any = None
    state_of: Any = None
    while True:
        asked = inbox.get()
        if isinstance(asked, Exception):
            send(answers, ("done", describe("", asked)))
            continue
        run, phase, setup, task = asked
        if (run.staging, phase) != state_of:
            state = None  # free the old engine before the new one is built
        mark = Path(run.staging) / phase / f"{task.id}.{os.getpid()}.mark"
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            marker.open_marker(mark)
            if (run.staging, phase) != state_of:
                state = setup() if setup is not None else None
                state_of = (run.staging, phase)
            with stoppable():
                failed = execute(
                    run,
                    phase,
                    task.id,
                    task.call,
                    task.args,
                    state,
                    report=lambda units: send(answers, ("progress", units)),
                    tell=lambda state: send(answers, ("state", state)),
                )
            last: tuple[str, Any] = ("done", failed)
        except Interrupted as stopped:
            last = ("stopped", str(stopped))
        except Exception as error:
            last = ("done", describe(task.id, error))
        marker.close_marker()
        mark.unlink(missing_ok=True)
        send(answers, last)


if __name__ == "__main__":
    main()
