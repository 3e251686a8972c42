import { Group, ScrollArea, Text } from "@mantine/core";
import { type Listed } from "../api";
import { useAsked } from "../asked";
import { fact, moment, scoped } from "../words";
import { Answered, Nothing, Panel } from "./Panel";

interface Entry { at: string; at_s?: number; actor: string; action: string; subject: string; detail: Record<string, unknown> }

/** What was done, as a person tells it; the subject follows. */
const DONE: Record<string, string> = {
  "budgets.create": "made the budget",
  "budgets.change": "changed the budget",
  "budgets.delete": "removed the budget",
  "budgets.kill": "stopped paid calls for",
  "budgets.unkill": "allowed paid calls again for",
  "budgets.adjust": "corrected what was spent of",
  "routing-alpha": "turned the dial of",
  "routing-floor": "set the quality floor of",
  "lanes.stage": "changed the stage of lane",
  "memory.teach": "taught",
  "memory.import": "brought examples into",
  "memory.change": "changed an example in",
  "memory.delete": "deleted examples from",
  "memory.undo": "took a batch back from",
  "memory.feedback": "said how good an answer was, to",
  "memory.judge": "scored answers for",
  maintenance: "set maintenance of",
  "cancel run": "cancelled run",
};

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
                  <Text size="sm"><b>{entry.actor}</b> {DONE[entry.action] ?? entry.action.replaceAll(/[._-]/g, " ")} {scoped(entry.subject.replace(/^memory:/, "the memory of "))}</Text>
                  <Text size="xs" c="dimmed" className="number">{moment(entry.at_s ?? entry.at)}</Text>
                </Group>
                <Text size="xs" c="dimmed" lineClamp={2}>{Object.entries(entry.detail).filter(([name, value]) => name !== "id" && value !== null).map(([name, value]) => fact(name, value)).join(", ")}</Text>
              </div>
            ))}
          </ScrollArea.Autosize>
        )}
      </Answered>
    </Panel>
  );
}
