"""What Ray starts in the place of a worker: has the fork server fork one, or becomes one.

python -I -S client.py ADDRESS SCRIPT [ARGUMENT]...

Only the standard library's quickest modules are imported: this runs once a worker.
"""

import json
import os
import socket
import sys

_PATIENCE_S = 40.0  # the server may be importing still; Ray gives up a worker that is not there after 60 s


def main() -> None:
    """Ask for a worker; whatever goes wrong, there is one."""
    address, *arguments = sys.argv[1:]
    if not asked(address, arguments):
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - what Ray wanted to run


def asked(address: str, arguments: list[str]) -> bool:
    """Whether the server has forked a worker, which has this process's arguments, environment, folder and output.

    The fork waits for the last word of this process, so that there are never two workers, nor none.
    """
    folder = os.getcwd()  # noqa: PTH109 - pathlib takes longer to import than all else here
    request = json.dumps({"arguments": arguments, "environment": dict(os.environ), "folder": folder}).encode()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_S)
            connection.connect(address)
            socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
            connection.sendall(request)
            forked = connection.recv(1) == b"+"
            if forked:
                connection.sendall(b"!")
            return forked
    except OSError:
        return False


if __name__ == "__main__":
    main()
