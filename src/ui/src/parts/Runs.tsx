import { Alert, Badge, Button, Code, Drawer, Group, Select, Stack, Text, Timeline, Title } from "@mantine/core";
import { useState } from "react";
import { remove } from "../api";
import { useAsked } from "../asked";
import { usePaged } from "../paged";
import { useSession } from "../session";
import { clock, fact, usd } from "../words";
import { Cell, Extent, LongTable, When } from "./LongTable";
import { Answered, Figure, Nothing, Panel } from "./Panel";
import { tried } from "./tell";

interface Run {
  id: string; tenant: string; state: string; lane: string | null; model: string; accepted_s: number; started_s: number | null; ended_s: number | null;
  starts: number; served: string | null; cost_usd: string; error: { kind: string; message: string } | null;
  usage: { input_tokens: number; output_tokens: number };
}
interface Step { number: number; at_s: number; kind: string; [fact: string]: unknown }
interface Whole extends Run { steps: Step[]; result: unknown }

const STATES = ["accepted", "running", "succeeded", "failed", "cancelled"];
const COLOURS: Record<string, string> = { accepted: "gray", running: "blue", succeeded: "teal", failed: "red", cancelled: "yellow" };

const idOf = (run: Run) => run.id;

export function Runs() {
  const { who } = useSession();
  const [state, setState] = useState<string | null>(null);
  const [shown, setShown] = useState<string>();
  const base = who.admin ? "/admin/v1/runs" : "/v1/runs";
  const { asked, more, onEnd, onTop } = usePaged<Run>(`${base}?limit=100${state ? `&state=${state}` : ""}`, idOf, { everyMs: 4000 });
  return (
    <Panel title="Runs" hint="Requests that are answered later" right={<Select size="xs" aria-label="State" placeholder="any state" data={STATES} value={state} onChange={setState} clearable w={140} />}>
      <Answered asked={asked}>
        {(rows) => rows.length === 0 ? <Nothing>No runs{state ? ` are ${state}` : " yet"}. POST /v1/runs takes a request to be answered later.</Nothing> : (
          <>
            <LongTable
              label="Runs"
              rows={rows}
              keyOf={idOf}
              onChoose={(run) => setShown(run.id)}
              more={more}
              onEnd={onEnd}
              onTop={onTop}
              columns={[
                { name: "Accepted", width: 2.2, cell: (run) => <When at={run.accepted_s} /> },
                { name: "State", width: 2.4, cell: (run) => <Badge size="sm" color={COLOURS[run.state]} variant="light">{run.state}</Badge> },
                { name: "Lane", width: 2.6, cell: (run) => <Cell>{run.lane ?? ""}</Cell> },
                { name: "Model", width: 2.6, wide: true, cell: (run) => <Cell>{run.served ?? run.model}</Cell> },
                { name: "Tenant", width: 2, wide: true, cell: (run) => <Cell>{run.tenant}</Cell> },
                { name: "Cost", width: 1.5, right: true, wide: true, cell: (run) => <Cell>{usd(Number(run.cost_usd))}</Cell> },
              ]}
            />
            <Extent rows={rows.length} more={more} />
          </>
        )}
      </Answered>
      <Drawer opened={shown !== undefined} onClose={() => setShown(undefined)} title="One run" position="right" size="lg">
        {shown && <One path={`${base}/${shown}`} onEnd={asked.again} />}
      </Drawer>
    </Panel>
  );
}

/** The words of an answer in the shape that the chat front gives. */
function answerOf(result: unknown): string | undefined {
  const content = (result as { choices?: { message?: { content?: unknown } }[] } | null)?.choices?.[0]?.message?.content;
  return typeof content === "string" && content !== "" ? content : undefined;
}

function One({ path, onEnd }: { path: string; onEnd: () => void }) {
  const run = useAsked<Whole>(path, 2000);
  const cancel = async () => {
    if (await tried(() => remove(path), "The run is cancelled.")) onEnd();
    run.again();
  };
  return (
    <Answered asked={run}>
      {(told) => (
        <Stack>
          <Group justify="space-between">
            <Badge color={COLOURS[told.state]} size="lg">{told.state}</Badge>
            {(told.state === "accepted" || told.state === "running") && <Button size="xs" color="red" variant="light" onClick={() => void cancel()}>Cancel it</Button>}
          </Group>
          {told.error && <Alert color="red">{told.error.message}</Alert>}
          <Group gap="xl">
            <Figure label="Cost" value={usd(Number(told.cost_usd))} />
            <Figure label="Tokens" value={told.usage.input_tokens + told.usage.output_tokens} />
            <Figure label="Starts" value={told.starts} />
          </Group>
          <Timeline active={told.steps.length} bulletSize={14} lineWidth={2}>
            {told.steps.map((step) => (
              <Timeline.Item key={step.number} title={step.kind.replaceAll("_", " ")}>
                <Text size="xs" c="dimmed">{clock(step.at_s)}: {Object.entries(step).filter(([name, value]) => !["number", "at_s", "kind"].includes(name) && value !== null && typeof value !== "object").map(([name, value]) => fact(name, value)).join(", ")}</Text>
              </Timeline.Item>
            ))}
          </Timeline>
          {answerOf(told.result) !== undefined && <div><Title order={3} size="h5" mb={4}>Answer</Title><Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{answerOf(told.result)}</Text></div>}
          {told.result !== null && told.result !== undefined && <Code block mah={320} style={{ overflow: "auto" }} tabIndex={0}>{JSON.stringify(told.result, null, 2)}</Code>}
        </Stack>
      )}
    </Answered>
  );
}
