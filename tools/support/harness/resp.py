"""A small RESP2 client: pipelined requests over one socket, replies as Python values."""

import socket


class ReplyError(Exception):
    """An error reply. `code` is its first word."""

    @property
    def code(self):
        return str(self).split(" ", 1)[0]


class Connection:
    def __init__(self, address, timeout_seconds=10.0):
        self._socket = socket.create_connection(address, timeout=timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = self._socket.makefile("rb", buffering=1 << 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._input.close()
        self._socket.close()

    def send(self, commands):
        self._socket.sendall(b"".join(encoded(command) for command in commands))

    def receive(self):
        """The next reply. An error reply is returned, not raised, so that a pipeline can go on behind it."""
        line = self._line()
        kind, text = line[:1], line[1:]
        if kind == b"+":
            return text.decode()
        if kind == b"-":
            return ReplyError(text.decode())
        if kind == b":":
            return int(text)
        if kind == b"$":
            return self._bulk(int(text))
        if kind == b"*":
            return [self.receive() for _ in range(int(text))] if text != b"-1" else None
        raise ConnectionError(f"not a RESP2 reply: {line[:40]!r}")

    def call(self, *command):
        """One request and its reply; an error reply is raised."""
        self.send([command])
        reply = self.receive()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def _line(self):
        line = self._input.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection ended inside a reply")
        return line[:-2]

    def _bulk(self, count):
        if count < 0:
            return None
        data = self._input.read(count + 2)
        if len(data) != count + 2:
            raise ConnectionError("the connection ended inside a reply")
        return data[:-2]


def encoded(command):
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        data = part if isinstance(part, bytes) else str(part).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def as_map(reply):
    """A RESP2 map: a flat array of keys and values."""
    return dict(zip(reply[::2], reply[1::2]))
