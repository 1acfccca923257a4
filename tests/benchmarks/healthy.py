"""`python -m tests.benchmarks.healthy --port N`: answers everything with an empty 200."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[-1])), Healthy).serve_forever()
