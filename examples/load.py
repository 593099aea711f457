"""Sends requests to a server that listens on a socket of a file, until its own input ends.

    python3 load.py app.sock

With a command behind the socket, this process becomes that server, and a process forked from it sends the requests:

    python3 load.py app.sock gunicorn --bind unix:app.sock web_app:app
"""
import os
import signal
import socket
import sys
import threading
import time

CLIENTS = 4
PAUSE = 0.01


def send_requests(path, answered):
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while client.recv(4096):
                    answered.set()
        except OSError:
            # It does not listen yet, or no longer.
            pass
        time.sleep(PAUSE)


if __name__ == "__main__":
    path, *server = sys.argv[1:]
    if server and os.fork() != 0:
        os.execvp(server[0], server)
    answered = threading.Event()
    for _ in range(CLIENTS):
        threading.Thread(target=send_requests, args=(path, answered), daemon=True).start()
    if server:
        answered.wait()
    print("ready", flush=True)
    sys.stdin.read()
    if server:
        os.kill(os.getppid(), signal.SIGTERM)
