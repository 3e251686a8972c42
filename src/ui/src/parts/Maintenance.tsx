import { Button, Group, Select, Table } from "@mantine/core";
import { useState } from "react";
import { type Listed, put } from "../api";
import { useAsked } from "../asked";
import { until } from "../words";
import { Answered, Nothing, Panel } from "./Panel";
import { tried } from "./tell";

const HOURS: Record<string, number> = { "30 minutes": 0.5, "1 hour": 1, "4 hours": 4, "24 hours": 24 };

export function Maintenance() {
  const open = useAsked<Listed<{ provider: string; until: string }>>("/admin/v1/maintenance", 10_000);
  const ready = useAsked<{ providers: Record<string, unknown> }>("/readyz");
  const [provider, setProvider] = useState<string | null>(null);
  const [length, setLength] = useState<string | null>("1 hour");
  const set = async (name: string, wanted: boolean) => {
    const until = Date.now() / 1000 + 3600 * (HOURS[length ?? "1 hour"] ?? 1);
    await tried(() => put("/admin/v1/maintenance", { provider: name, open: wanted, ...(wanted ? { until } : {}) }), wanted ? "Maintenance is open; it closes by itself." : "Maintenance is closed.");
    open.again();
  };
  return (
    <Panel title="Maintenance" hint="While a host is in maintenance, models that are denied or kept warm there may be loaded and unloaded">
      <Group align="flex-end" mb="sm">
        <Select label="Host" data={Object.keys(ready.data?.providers ?? {})} value={provider} onChange={setProvider} placeholder="Choose" />
        <Select label="For" data={Object.keys(HOURS)} value={length} onChange={setLength} allowDeselect={false} />
        <Button disabled={!provider} onClick={() => provider && void set(provider, true)}>Open</Button>
      </Group>
      <Answered asked={open} lines={1}>
        {({ data }) => data.length === 0 ? <Nothing>No host is in maintenance.</Nothing> : (
          <Table>
            <Table.Tbody>
              {data.map((each) => (
                <Table.Tr key={each.provider}><Table.Td>{each.provider}</Table.Td><Table.Td>until {until(each.until)}</Table.Td><Table.Td ta="right"><Button size="compact-xs" variant="light" onClick={() => void set(each.provider, false)}>Close</Button></Table.Td></Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
      </Answered>
    </Panel>
  );
}
