"""A TLS server of the old kind: it loads its key, forks two workers, and these do the handshakes.

    tls_prefork.py PORT CERTIFICATE KEY

Each answer is the process id of the worker. Ends with SIGTERM.
"""
import os
import signal
import socket
import ssl
import sys


def work(listener, context):
    while True:
        plain, _ = listener.accept()
        plain.settimeout(10)
        try:
            with context.wrap_socket(plain, server_side=True) as tls:
                while b"\r\n\r\n" not in tls.recv(4096):
                    pass
                tls.sendall(b"HTTP/1.0 200 OK\r\n\r\n%d\n" % os.getpid())
        except OSError as error:
            print(os.getpid(), error, flush=True)


def main(port, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.load_cert_chain(certificate, key)
    # Before it listens: the parent, too, must have used the token.
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    workers = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            work(listener, context)
        workers.append(pid)

    def end(_signal, _frame):
        for worker in workers:
            os.kill(worker, signal.SIGTERM)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
