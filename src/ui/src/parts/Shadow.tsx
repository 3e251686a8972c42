import { Badge, Button, Group, Modal, NumberInput, Progress, Select, SimpleGrid, Stack, Table, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { type Listed, put } from "../api";
import { useAsked } from "../asked";
import { count, share, usd } from "../words";
import { Answered, Figure, Nothing, Panel } from "./Panel";
import { tried } from "./tell";

interface Report {
  lane: string; decisions: number; compared: number; agreed: number; agreement: number | null; divergence: Record<string, number>;
  latency: { difference_ms: number | null }; cost: { pairs: number; difference_usd: string };
  executed: number; failed: number; paid_fallbacks: number;
}
interface Lane { stage: string; share?: number | null; staged?: { by: string; reason: string; configured: string } }

const STAGES = ["observe", "shadow", "canary", "active"];
const WORDS: Record<string, string> = { observe: "Recorded only; the older path serves", shadow: "Decides beside the older path, which serves", canary: "Serves a share; the older path the rest", active: "Serves everything" };
const SINCE = { "1 hour": "1h", "24 hours": "24h", "7 days": "7d", everything: "" } as const;

/** What would have been decided beside what the older path chose, and how far each lane is let in. */
export function Shadow() {
  const [since, setSince] = useState<keyof typeof SINCE>("24 hours");
  const [moving, setMoving] = useState<{ lane: string; stage: string }>();
  const report = useAsked<Listed<Report>>(`/admin/v1/shadow?since=${SINCE[since]}`, 10_000);
  const health = useAsked<{ lanes: Record<string, Lane> }>("/admin/v1/health", 10_000);
  return (
    <Stack>
      <Panel title="Stages" hint="How much of each lane's traffic this gateway serves">
        <Answered asked={health}>
          {({ lanes }) => Object.keys(lanes).length === 0 ? <Nothing>No lanes are configured.</Nothing> : (
            <Table.ScrollContainer minWidth={280}>
              <Table verticalSpacing={6}>
                <Table.Tbody>
                  {Object.entries(lanes).map(([name, lane]) => {
                    const at = STAGES.indexOf(lane.stage);
                    return (
                      <Table.Tr key={name}>
                        <Table.Td fw={600}>{name}</Table.Td>
                        <Table.Td><Badge color={lane.stage === "active" ? "teal" : "grape"} variant="light" miw="max-content">{lane.stage}{lane.share ? ` ${share(lane.share)}` : ""}</Badge></Table.Td>
                        <Table.Td visibleFrom="sm"><Text size="sm">{WORDS[lane.stage]}</Text><Text size="xs" c="dimmed">{lane.staged ? `${lane.staged.by}: ${lane.staged.reason} (the configuration says ${lane.staged.configured})` : "as configured"}</Text></Table.Td>
                        <Table.Td>
                          <Group gap={4} justify="flex-end">
                            <Button size="compact-xs" variant="light" disabled={at >= STAGES.length - 1} onClick={() => setMoving({ lane: name, stage: STAGES[at + 1] as string })}>Promote</Button>
                            <Button size="compact-xs" variant="light" color="red" disabled={at <= 0} onClick={() => setMoving({ lane: name, stage: STAGES[at - 1] as string })}>Roll back</Button>
                          </Group>
                        </Table.Td>
                      </Table.Tr>
                    );
                  })}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )}
        </Answered>
      </Panel>
      <Panel title="Shadow report" hint="What was decided here, beside what the older path chose for the same requests" right={<Select size="xs" aria-label="Since" data={Object.keys(SINCE)} value={since} onChange={(value) => setSince((value ?? "24 hours") as keyof typeof SINCE)} allowDeselect={false} w={130} />}>
        <Answered asked={report}>
          {({ data }) => data.length === 0 ? <Nothing>Nothing was compared in this time.</Nothing> : (
            <Stack>
              {data.map((lane) => (
                <div key={lane.lane}>
                  <Group justify="space-between"><Text fw={600}>{lane.lane}</Text><Text size="sm" className="number">{lane.agreement === null ? "nothing to compare yet" : `${share(lane.agreement)} of ${count(lane.compared)} agree`}</Text></Group>
                  <Progress value={100 * (lane.agreement ?? 0)} color="teal" aria-label={`${lane.lane}: agreement`} my={4} />
                  <SimpleGrid cols={{ base: 2, sm: 4 }}>
                    <Figure label="Decisions" value={count(lane.decisions)} />
                    <Figure label="Differ in" value={<Text size="sm">{Object.entries(lane.divergence).filter(([, many]) => many > 0).map(([kind, many]) => `the ${kind}, ${count(many)} times`).join("; ") || "nothing"}</Text>} />
                    <Figure label="Latency" value={lane.latency.difference_ms === null ? "-" : `${count(Math.abs(lane.latency.difference_ms))} ms`} hint={lane.latency.difference_ms === null ? "nothing to compare yet" : `${lane.latency.difference_ms > 0 ? "slower" : "faster"} than the older path`} />
                    <Figure label="Cost" value={lane.cost.pairs ? usd(Math.abs(Number(lane.cost.difference_usd))) : "-"} hint={lane.cost.pairs ? `${Number(lane.cost.difference_usd) > 0 ? "dearer" : "cheaper"} than the older path, in all` : "no prices to compare"} />
                  </SimpleGrid>
                </div>
              ))}
            </Stack>
          )}
        </Answered>
      </Panel>
      {moving && <Move {...moving} onClose={() => { setMoving(undefined); health.again(); }} />}
    </Stack>
  );
}

function Move({ lane, stage, onClose }: { lane: string; stage: string; onClose: () => void }) {
  const [wanted, setWanted] = useState<string | null>(stage);
  const [part, setPart] = useState<number | string>(10);
  const [reason, setReason] = useState("");
  const move = async () => {
    const body = { stage: wanted, reason, ...(wanted === "canary" ? { share: Number(part) / 100 } : {}) };
    if (await tried(() => put(`/admin/v1/lanes/${encodeURIComponent(lane)}/stage`, body), `${lane} is ${wanted} now.`)) onClose();
  };
  return (
    <Modal opened onClose={onClose} title={`Stage of ${lane}`}>
      <form onSubmit={(event) => { event.preventDefault(); void move(); }}>
        <Stack gap="sm">
          <Select label="Stage" data={STAGES} value={wanted} onChange={setWanted} allowDeselect={false} />
          {wanted === "canary" && <NumberInput label="Share" suffix=" %" min={1} max={99} value={part} onChange={setPart} />}
          <TextInput label="Reason" description="It is written to the audit" value={reason} onChange={(event) => setReason(event.currentTarget.value)} required />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" disabled={!reason.trim()}>Set it</Button></Group>
        </Stack>
      </form>
    </Modal>
  );
}
