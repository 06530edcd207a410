"""Handshakes with a server on loopback by Python's ssl: the other side of servers whose key is in the HSM.

    tls_handshakes.py port                                    prints a free port
    tls_handshakes.py wait PORT                               until somebody listens
    tls_handshakes.py shake PORT CA VERSION COUNT [WIDTH]     COUNT times WIDTH full handshakes (1), of TLS VERSION (1.2 or 1.3)

The server must have the certificate CA itself, so the name in it is nobody's business. No session is resumed, and each answer
must be HTTP 200. WIDTH connections are open at the same time, so that as many processes of the server are needed.
"""
import socket
import ssl
import sys
import time


def shake(port, authority, version, count, width):
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = {
        "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3,
    }[version]
    wait_for(port)
    for _ in range(count):
        connections = [connect(context, port) for _ in range(width)]
        for tls in connections:
            assert tls.version() == "TLSv" + version, tls.version()
            assert not tls.session_reused
            with tls:
                tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = tls.recv(64)
                assert b" 200 " in answer, answer
                while tls.recv(65536):
                    pass
    print(count * width, "handshakes,", "TLS", version)


def connect(context, port):
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="localhost")


def wait_for(port):
    """Until somebody listens: a server may still be loading its key."""
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    if sys.argv[1] == "port":
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            print(listener.getsockname()[1])
    elif sys.argv[1] == "wait":
        wait_for(int(sys.argv[2]))
    else:
        shake(int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]), int((sys.argv + ["1"])[6]))
