import { Badge, Button, Code, Drawer, Group, Select, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconDownload } from "@tabler/icons-react";
import { useState } from "react";
import { usePaged } from "../paged";
import { moment, seconds, usd } from "../words";
import { Cell, Extent, LongTable, When } from "./LongTable";
import { Answered, Nothing, Panel } from "./Panel";

type Kept = Record<string, string | number | boolean | null>;

/** The prefix of the gateway's own attributes is configuration. */
function own(row: Kept, name: string): string {
  const key = Object.keys(row).find((each) => each.endsWith(`.${name}`) && !each.startsWith("gen_ai."));
  return key === undefined ? "" : String(row[key] ?? "");
}

const idOf = (row: Kept) => String(row.request_id);

export function Requests() {
  const [tenant, setTenant] = useState("");
  const [status, setStatus] = useState<string | null>(null);
  const [sought] = useDebouncedValue(tenant, 300);
  const [shown, setShown] = useState<Kept>();
  const filters = new URLSearchParams({ limit: "500", ...(sought && { tenant: sought }), ...(status && { status }) });
  const { asked, more, onEnd, onTop } = usePaged<Kept>(`/admin/v1/records?${filters.toString()}`, idOf, { everyMs: 10_000, cursor: "cursor" });

  return (
    <Panel
      title="Requests"
      hint="Every request leaves one record, refused ones included"
      right={
        <Group gap="xs">
          <TextInput size="xs" aria-label="Tenant" placeholder="any tenant" value={tenant} onChange={(event) => setTenant(event.currentTarget.value)} />
          <Select size="xs" aria-label="Status" placeholder="any status" data={["200", "400", "401", "402", "403", "404", "429", "500", "502", "503", "504"]} value={status} onChange={setStatus} clearable w={120} />
          <Button size="xs" variant="light" component="a" href="/admin/v1/records/export" download="records.ndjson" leftSection={<IconDownload size={14} aria-hidden />}>NDJSON</Button>
        </Group>
      }
    >
      <Answered asked={asked}>
        {(rows) => rows.length === 0 ? <Nothing>No request is like that.</Nothing> : (
          <>
            <LongTable
              label="Requests"
              rows={rows}
              keyOf={idOf}
              onChoose={setShown}
              more={more}
              onEnd={onEnd}
              onTop={onTop}
              columns={[
                { name: "Time", width: 2.1, least: 64, cell: (row) => <When at={Number(row.at_s)} /> },
                { name: "Tenant", width: 2, wide: true, cell: (row) => <Cell>{row.tenant}</Cell> },
                { name: "Lane", width: 2, wide: true, cell: (row) => <Cell>{own(row, "lane")}</Cell> },
                { name: "Asked for", width: 3, wide: true, cell: (row) => <Cell>{row["gen_ai.request.model"]}</Cell> },
                { name: "Served by", width: 3.6, cell: (row) => <Cell>{row["gen_ai.response.model"] ? `${own(row, "endpoint")}/${row["gen_ai.response.model"]}` : ""}</Cell> },
                { name: "Status", width: 1.2, least: 44, cell: (row) => <Badge size="sm" variant="light" color={Number(row.status) < 400 ? "teal" : "red"}>{row.status}</Badge> },
                { name: "Took", width: 1.6, least: 58, right: true, cell: (row) => <Cell>{seconds(Number(row.elapsed_ms) / 1000)}</Cell> },
                { name: "Cost", width: 1.6, right: true, wide: true, cell: (row) => <Cell>{usd(Number(own(row, "cost_usd")))}</Cell> },
              ]}
            />
            <Extent rows={rows.length} more={more} />
          </>
        )}
      </Answered>
      <Drawer opened={shown !== undefined} onClose={() => setShown(undefined)} title="The record of one request" position="right" size="lg">
        {shown && <Facts row={shown} />}
      </Drawer>
    </Panel>
  );
}

/** Under the names that logs and exports have them, without what says nothing. */
function Facts({ row }: { row: Kept }) {
  const facts = Object.entries(row).filter(([, value]) => value !== null && value !== "");
  return (
    <Table verticalSpacing={6}>
      <Table.Tbody>
        {facts.map(([name, value]) => (
          <Table.Tr key={name}>
            <Table.Td valign="top"><Code>{name}</Code></Table.Td>
            <Table.Td><Text size="sm" className="fact">{name === "at_s" ? moment(Number(value)) : typeof value === "object" ? JSON.stringify(value) : String(value)}</Text></Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
