"""Where traces go, as written by a person.

Owns: `[telemetry]`. Refuses: metrics, which are asked for at `/metrics`, and records, which rest in the store.
"""

from __future__ import annotations

import msgspec


class TelemetryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """OpenTelemetry spans, with the extra `otel`. Read once, when the gateway starts."""

    endpoint: str = ""
    """Where spans are sent, by OTLP over HTTP (`http://127.0.0.1:4318/v1/traces`); empty: what
    `OTEL_EXPORTER_OTLP_ENDPOINT` says, else nowhere."""
    headers: dict[str, str] = {}
    """Further headers for the collector, such as its key."""
    service: str = "laneway"
    """Name of this service, unless `OTEL_SERVICE_NAME` says another."""
