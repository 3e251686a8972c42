import { Badge, Box, Group, Table, Text } from "@mantine/core";
import type { Happening } from "../feed";
import { clock, nanos, reason } from "../words";
import { Nothing, Panel } from "./Panel";
import { took } from "./Today";

const SHOWN = 10;

/** The last answers, newest first; on a phone each as two lines. */
export function Latest({ happenings }: { happenings: Happening[] }) {
  const shown = happenings.filter((each) => each.type === "run.completed").slice(0, SHOWN);
  return (
    <Panel title="What just happened" hint="The last answers, newest first">
      {shown.length === 0 ? <Nothing>Nothing yet. Send a request, and it appears here.</Nothing> : (
        <>
          <Table verticalSpacing={6} horizontalSpacing="xs" visibleFrom="sm">
            <Table.Thead>
              <Table.Tr><Table.Th>Time</Table.Th><Table.Th>Lane</Table.Th><Table.Th>Served by</Table.Th><Table.Th>How</Table.Th><Table.Th ta="right">Took</Table.Th><Table.Th ta="right">Cost</Table.Th></Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {shown.map((each) => (
                <Table.Tr key={each.id}>
                  <Table.Td className="number">{clock(each.at_s)}</Table.Td>
                  <Table.Td>{each.lane ?? <Text span c="dimmed" size="sm">none</Text>}</Table.Td>
                  <Table.Td>{each.target ?? each.model ?? ""}</Table.Td>
                  <Table.Td><How each={each} /></Table.Td>
                  <Table.Td ta="right" className="number">{each.elapsed_ms !== null ? took(each.elapsed_ms) : ""}</Table.Td>
                  <Table.Td ta="right" className="number">{each.cost_nanos !== null ? nanos(each.cost_nanos) : ""}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
          <Box hiddenFrom="sm">
            {shown.map((each) => (
              <div key={each.id} className="row line">
                <Group justify="space-between" wrap="nowrap" gap="xs"><Text size="sm" truncate>{each.target ?? each.model ?? ""}</Text><How each={each} /></Group>
                <Group justify="space-between" wrap="nowrap" gap="xs">
                  <Text size="xs" c="dimmed" className="number">{clock(each.at_s)}{each.lane ? `, lane ${each.lane}` : ""}</Text>
                  <Text size="xs" c="dimmed" className="number">{each.elapsed_ms !== null ? took(each.elapsed_ms) : ""}{each.cost_nanos !== null ? `, ${nanos(each.cost_nanos)}` : ""}</Text>
                </Group>
              </div>
            ))}
          </Box>
        </>
      )}
    </Panel>
  );
}

function How({ each }: { each: Happening }) {
  const [colour, words] = each.failed ? ["red", reason(each.why)] : each.why ? ["orange", `stood in: ${reason(each.why)}`] : ["teal", "first choice"];
  return <Badge size="sm" variant="light" color={colour} tt="none" style={{ flexShrink: 0 }}>{words}</Badge>;
}
