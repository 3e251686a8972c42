import { ScrollArea, Table, Text } from "@mantine/core";
import { type Listed } from "../api";
import { useAsked } from "../asked";
import { moment } from "../words";
import { Answered, Nothing, Panel } from "./Panel";

interface Entry { at: string; at_s?: number; actor: string; action: string; subject: string; detail: Record<string, unknown> }

export function Trail() {
  const audit = useAsked<Listed<Entry>>("/admin/v1/audit", 10_000);
  return (
    <Panel title="Who changed what">
      <Answered asked={audit}>
        {({ data }) => data.length === 0 ? <Nothing>Nothing was changed yet.</Nothing> : (
          <ScrollArea.Autosize mah={320} viewportProps={{ tabIndex: 0 }}>
            <Table verticalSpacing={4}>
              <Table.Tbody>
                {data.map((entry, at) => (
                  <Table.Tr key={at}>
                    <Table.Td>{moment(entry.at_s ?? entry.at)}</Table.Td><Table.Td>{entry.actor}</Table.Td><Table.Td>{entry.action}</Table.Td><Table.Td>{entry.subject}</Table.Td>
                    <Table.Td><Text size="xs" c="dimmed" lineClamp={1}>{Object.entries(entry.detail).map(([name, value]) => `${name}: ${String(value)}`).join(", ")}</Text></Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </ScrollArea.Autosize>
        )}
      </Answered>
    </Panel>
  );
}
