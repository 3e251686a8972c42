"""A collector of spans as it stands beside a gateway: OTLP over HTTP, in protobuf.

Owns: reading what it was sent, and keeping it. Refuses: to be anything but willing.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.fakes.server import Answer, Posted, Server


class Collector(Server):
    """`with Collector() as collector`: spans that were sent to `collector.origin` are in `collector.spans()`."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[Mapping[str, str], ExportTraceServiceRequest]] = []

    def answer(self, posted: Posted) -> Answer:
        zipped = posted.headers.get("content-encoding") == "gzip"
        told = ExportTraceServiceRequest()
        told.ParseFromString(gzip.decompress(posted.body) if zipped else posted.body)
        self.requests.append(({**posted.headers, ":path": posted.path}, told))
        return Answer(kind="application/x-protobuf")

    def spans(self) -> list[Span]:
        return [
            span
            for _, told in list(self.requests)
            for resource in told.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
