"""A DNS server for tests: it answers for TXT records over UDP, and can be made to fail."""

import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class DnsServer:
    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.fails = False

    def answer(self, query: bytes) -> bytes:
        asked = dns.message.from_wire(query)
        reply = dns.message.make_response(asked)
        reply.flags |= dns.flags.RA
        name = asked.question[0].name
        found = self.records.get(name.to_text(omit_final_dot=True).lower(), [])
        if self.fails:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif not found:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        else:
            parts = (" ".join(f'"{each[at : at + 255]}"' for at in range(0, len(each), 255)) for each in found)
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *parts))
        return reply.to_wire()


@contextmanager
def dns_server() -> Generator[tuple[DnsServer, str]]:
    """Run a server in a thread of its own; yield it with its address."""
    zone = DnsServer()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, socket = self.request
            socket.sendto(zone.answer(query), self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield zone, f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
