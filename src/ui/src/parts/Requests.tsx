import { Badge, Button, Code, Drawer, Group, Select, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useCallback, useEffect, useState } from "react";
import { get } from "../api";
import { clock, seconds, usd } from "../words";
import { Cell, LongTable } from "./LongTable";
import { Nothing, Panel } from "./Panel";
import { failed } from "./tell";

type Kept = Record<string, string | number | boolean | null>;
interface Page { data: Kept[]; next: string | null }

/** The prefix of the gateway's own attributes is configuration. */
function own(row: Kept, name: string): string {
  const key = Object.keys(row).find((each) => each.endsWith(`.${name}`) && !each.startsWith("gen_ai."));
  return key === undefined ? "" : String(row[key] ?? "");
}

export function Requests() {
  const [tenant, setTenant] = useState("");
  const [status, setStatus] = useState<string | null>(null);
  const [sought] = useDebouncedValue(tenant, 300);
  const [page, setPage] = useState<Page>({ data: [], next: null });
  const [shown, setShown] = useState<Kept>();

  const load = useCallback(async (cursor: string | null, before: Kept[]) => {
    const filters = new URLSearchParams({ limit: "500" });
    if (sought) filters.set("tenant", sought);
    if (status) filters.set("status", status);
    if (cursor) filters.set("cursor", cursor);
    try {
      const told = await get<Page>(`/admin/v1/records?${filters.toString()}${sought ? "" : "&"}`);
      setPage({ data: [...before, ...told.data], next: told.next });
    } catch (problem) {
      failed(problem);
      setPage((now) => ({ ...now, next: null }));
    }
  }, [sought, status]);
  useEffect(() => void load(null, []), [load]);

  return (
    <Panel
      title="Requests"
      hint="Every request leaves one record, refused ones included"
      right={
        <Group gap="xs">
          <TextInput size="xs" aria-label="Tenant" placeholder="any tenant" value={tenant} onChange={(event) => setTenant(event.currentTarget.value)} />
          <Select size="xs" aria-label="Status" placeholder="any status" data={["200", "400", "401", "402", "403", "404", "429", "500", "502", "503", "504"]} value={status} onChange={setStatus} clearable w={120} />
          <Button size="xs" variant="light" component="a" href="/admin/v1/records/export" download="records.ndjson">NDJSON</Button>
        </Group>
      }
    >
      {page.data.length === 0 ? <Nothing>No request is like that.</Nothing> : (
        <LongTable
          label="Requests"
          rows={page.data}
          keyOf={(row) => String(row.request_id)}
          onChoose={setShown}
          onEnd={() => { if (page.next) void load(page.next, page.data); }}
          columns={[
            { name: "Time", width: 2, cell: (row) => <Cell>{clock(Number(row.at_s))}</Cell> },
            { name: "Tenant", width: 2, cell: (row) => <Cell>{row.tenant}</Cell> },
            { name: "Lane", width: 2, cell: (row) => <Cell>{own(row, "lane")}</Cell> },
            { name: "Asked for", width: 3, cell: (row) => <Cell>{row["gen_ai.request.model"]}</Cell> },
            { name: "Served by", width: 3, cell: (row) => <Cell>{row["gen_ai.response.model"] ? `${own(row, "endpoint")}/${row["gen_ai.response.model"]}` : ""}</Cell> },
            { name: "Status", width: 1.2, cell: (row) => <Badge size="sm" variant="light" color={Number(row.status) < 400 ? "teal" : "red"}>{row.status}</Badge> },
            { name: "Took", width: 1.3, right: true, cell: (row) => <Cell>{seconds(Number(row.elapsed_ms) / 1000)}</Cell> },
            { name: "Cost", width: 1.6, right: true, cell: (row) => <Cell>{usd(Number(own(row, "cost_usd")))}</Cell> },
          ]}
        />
      )}
      <Drawer opened={shown !== undefined} onClose={() => setShown(undefined)} title="One record" position="right" size="lg">
        <Code block>{JSON.stringify(shown, null, 2)}</Code>
      </Drawer>
    </Panel>
  );
}
