import { Group, ScrollArea, Text } from "@mantine/core";
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
            {data.map((entry, at) => (
              <div key={at} className="row line">
                <Group justify="space-between" gap="xs" align="baseline">
                  <Text size="sm"><b>{entry.actor}</b> {entry.action} {entry.subject}</Text>
                  <Text size="xs" c="dimmed" className="number">{moment(entry.at_s ?? entry.at)}</Text>
                </Group>
                <Text size="xs" c="dimmed" lineClamp={2}>{Object.entries(entry.detail).filter(([name, value]) => name !== "id" && value !== null).map(told).join(", ")}</Text>
              </div>
            ))}
          </ScrollArea.Autosize>
        )}
      </Answered>
    </Panel>
  );
}

/** Instants among the details are told as such. */
function told([name, value]: [string, unknown]): string {
  const instant = name.endsWith("_s") && typeof value === "number" && value > 1e9;
  return instant ? `${name.slice(0, -2)}: ${moment(value)}` : `${name}: ${String(value)}`;
}
