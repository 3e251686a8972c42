import { Badge, Grid, Group, Progress, SimpleGrid, Stack, Table, Text, Tooltip } from "@mantine/core";
import { lazy, Suspense, useMemo } from "react";
import { type Listed } from "../api";
import { useAsked } from "../asked";
import { type Happening, useFeed } from "../feed";
import { Answered, Figure, Nothing, PageHead, Panel } from "../parts/Panel";
import { useSession } from "../session";
import { bytes, clock, count, nanos, seconds, usd } from "../words";

interface Slots { total: number | null; reserved: Record<string, number>; in_use: Record<string, number>; waiting: Record<string, number> }
interface Host {
  state: string; dialect: string; tier: string; models: number; reason?: string;
  breakers: Record<string, { state: string; timeouts: number }>;
  slots: Slots;
  resident: { model: string; size_bytes: number | null; expires_at: string | null; protected: boolean; in_flight: number }[];
  memory_bytes: number | null; maintenance_until: string | null;
}
interface Lane { stage: string; share?: number | null; safe: boolean; serving: string | null; reasons: Record<string, string> }
interface Health { config: string; hosts: Record<string, Host>; lanes: Record<string, Lane>; safe: string[] }
interface Usage { data: { day: string; requests: number; failures: number; cost_usd: string; saved_usd: string }[] }
export interface Budget {
  name: string; from: string; cap_usd: string; period: string; zone: string; alerts: number[];
  key?: string; tenant?: string; project?: string; lane?: string; tier?: string;
  accounts: { account: string; spent_usd: string; held_usd: string; left_usd: string; resets_at_s: number | null }[];
}
export interface Budgets extends Listed<Budget> { kills: { scope: string; reason: string; at_s: number }[] }

// The charts weigh more than all the rest of this page.
const Spark = lazy(() => import("../parts/Spark"));
const AGAIN_MS = 5000;

export default function Overview() {
  const { who } = useSession();
  const { happenings, live } = useFeed();
  return (
    <Stack>
      <PageHead title="Overview">
        <Badge color={live ? "teal" : "gray"} variant="light">{live ? "live" : "not live"}</Badge>
      </PageHead>
      <Today admin={who.admin} happenings={happenings} />
      {who.admin && <Lanes />}
      {who.admin && <Spending />}
      <Latest happenings={happenings} />
    </Stack>
  );
}

function Today({ admin, happenings }: { admin: boolean; happenings: Happening[] }) {
  const today = new Date().toISOString().slice(0, 10);
  const usage = useAsked<Usage>(`${admin ? "/admin/v1/usage" : "/v1/usage"}?group_by=day&from=${today}`, AGAIN_MS);
  const ended = useMemo(() => happenings.filter((each) => each.type === "run.completed" && each.elapsed_ms !== null), [happenings]);
  const times = useMemo(() => ended.map((each) => each.elapsed_ms as number).sort((a, b) => a - b), [ended]);
  const at = (part: number) => (times.length ? seconds((times[Math.min(times.length - 1, Math.floor(part * times.length))] as number) / 1000) : "-");
  return (
    <Panel title="Today" hint="UTC">
      <Answered asked={usage}>
        {({ data }) => {
          const day = data[0];
          return (
            <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }}>
              <Figure label="Requests" value={count(day?.requests ?? 0)} />
              <Figure label="Failed" value={count(day?.failures ?? 0)} />
              <Figure label="Spent" value={usd(Number(day?.cost_usd ?? 0))} />
              <Figure label="Saved" value={usd(Number(day?.saved_usd ?? 0))} hint="against always the dearest" />
              <Figure label="Latency p50" value={at(0.5)} hint={`of the last ${times.length}`} />
              <Stack gap={2}>
                <Figure label="Latency p95" value={at(0.95)} />
                {ended.length > 2 && <Suspense><Spark data={ended.map((each) => each.elapsed_ms as number).reverse()} label="Latency of the last requests" /></Suspense>}
              </Stack>
            </SimpleGrid>
          );
        }}
      </Answered>
    </Panel>
  );
}

function Lanes() {
  const health = useAsked<Health>("/admin/v1/health", AGAIN_MS);
  return (
    <Answered asked={health} lines={6}>
      {({ lanes, hosts }) => (
        <Grid>
          <Grid.Col span={{ base: 12, lg: 5 }}>
            <Panel title="Lanes" hint="Which kind of traffic is safe right now">
              {Object.keys(lanes).length === 0 ? <Nothing>No lanes are configured; models are asked for by name.</Nothing> : (
                <Stack gap="xs">
                  {Object.entries(lanes).map(([name, lane]) => (
                    <div key={name}>
                      <Group gap="xs">
                        <Badge color={lane.safe ? "teal" : lane.stage === "active" ? "red" : "gray"} variant="dot" tt="none">{name}</Badge>
                        {lane.stage !== "active" && <Badge size="sm" color="grape" variant="light">{lane.stage}{lane.share ? ` ${Math.round(lane.share * 100)} %` : ""}</Badge>}
                        <Text size="sm" c="dimmed">{lane.serving ?? "nobody can serve it"}</Text>
                      </Group>
                      {Object.entries(lane.reasons).map(([target, reason]) => <Text key={target} size="xs" c="dimmed" pl="md">{target}: {reason}</Text>)}
                    </div>
                  ))}
                </Stack>
              )}
            </Panel>
          </Grid.Col>
          <Grid.Col span={{ base: 12, lg: 7 }}>
            <Panel title="Hosts" hint="Breakers, slots and what is loaded">
              <Table.ScrollContainer minWidth={480}>
                <Table verticalSpacing="xs">
                  <Table.Thead><Table.Tr><Table.Th>Host</Table.Th><Table.Th>State</Table.Th><Table.Th>Slots</Table.Th><Table.Th>Loaded</Table.Th></Table.Tr></Table.Thead>
                  <Table.Tbody>{Object.entries(hosts).map(([name, host]) => <HostRow key={name} name={name} host={host} />)}</Table.Tbody>
                </Table>
              </Table.ScrollContainer>
            </Panel>
          </Grid.Col>
        </Grid>
      )}
    </Answered>
  );
}

function HostRow({ name, host }: { name: string; host: Host }) {
  const open = Object.entries(host.breakers).filter(([, breaker]) => breaker.state !== "closed");
  const used = Object.values(host.slots.in_use).reduce((sum, one) => sum + one, 0);
  const waiting = Object.values(host.slots.waiting).reduce((sum, one) => sum + one, 0);
  const kept = Object.entries(host.slots.reserved).map(([lane, slots]) => `${slots} for ${lane}`).join(", ");
  return (
    <Table.Tr>
      <Table.Td><Text size="sm" fw={600}>{name}</Text><Text size="xs" c="dimmed">{host.tier}, {host.dialect}</Text></Table.Td>
      <Table.Td>
        <Group gap={4}>
          <Badge size="sm" variant="light" color={host.state === "asleep" ? "red" : host.state === "awake" ? "teal" : "gray"}>{host.state}</Badge>
          {open.map(([model, breaker]) => <Badge key={model} size="sm" color="orange" tt="none">{model} {breaker.state}</Badge>)}
          {host.maintenance_until && <Badge size="sm" color="yellow">maintenance</Badge>}
        </Group>
        {host.reason && <Text size="xs" c="dimmed" lineClamp={2}>{host.reason}</Text>}
      </Table.Td>
      <Table.Td>
        {host.slots.total === null ? <Text size="sm" c="dimmed">no limit</Text> : (
          <Tooltip label={[`${used} of ${host.slots.total} in use`, kept && `reserved: ${kept}`, waiting && `${waiting} waiting`].filter(Boolean).join("; ")}>
            <div>
              <Progress value={(100 * used) / host.slots.total} size="lg" aria-label={`${used} of ${host.slots.total} slots in use`} color={used >= host.slots.total ? "orange" : "teal"} />
              <Text size="xs" c="dimmed" className="number">{used}/{host.slots.total}{waiting ? `, ${waiting} waiting` : ""}</Text>
            </div>
          </Tooltip>
        )}
      </Table.Td>
      <Table.Td>
        {host.resident.length === 0 ? <Text size="sm" c="dimmed">{host.dialect === "ollama" ? "nothing" : "-"}</Text> : (
          <Group gap={4}>
            {host.resident.map((each) => (
              <Badge key={each.model} size="sm" variant={each.protected ? "filled" : "light"} color="indigo" tt="none">
                {each.model}{each.size_bytes ? ` ${bytes(each.size_bytes)}` : ""}{each.protected ? " kept warm" : ""}
              </Badge>
            ))}
          </Group>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

function Spending() {
  const budgets = useAsked<Budgets>("/admin/v1/budgets", AGAIN_MS);
  return (
    <Panel title="Budgets" hint="Spent and held against each cap">
      <Answered asked={budgets}>
        {({ data, kills }) => (
          <Stack gap="sm">
            {kills.map((kill) => <Badge key={kill.scope} color="red" size="lg" tt="none">Hard kill on {kill.scope}: {kill.reason}</Badge>)}
            {data.length === 0 && <Nothing>No budgets are set.</Nothing>}
            {data.flatMap((budget) => budget.accounts.map((account) => {
              const cap = Number(budget.cap_usd);
              const [spent, held] = [Number(account.spent_usd), Number(account.held_usd)];
              const part = cap > 0 ? (100 * spent) / cap : 0;
              return (
                <div key={account.account}>
                  <Group justify="space-between"><Text size="sm">{account.account}</Text><Text size="sm" className="number">{usd(spent)} of {usd(cap)}</Text></Group>
                  <Progress.Root size="lg">
                    <Progress.Section value={part} color={part >= 100 * Math.min(1, ...budget.alerts) ? "orange" : "teal"} aria-label={`${usd(spent)} spent`} />
                    <Progress.Section value={cap > 0 ? (100 * held) / cap : 0} color="gray" aria-label={`${usd(held)} held`} />
                  </Progress.Root>
                </div>
              );
            }))}
          </Stack>
        )}
      </Answered>
    </Panel>
  );
}

function Latest({ happenings }: { happenings: Happening[] }) {
  const shown = happenings.filter((each) => each.type !== "run.started").slice(0, 12);
  return (
    <Panel title="What just happened" hint="Answers, and fallbacks with their reason">
      {shown.length === 0 ? <Nothing>Nothing yet. Send a request, and it appears here.</Nothing> : (
        <Table.ScrollContainer minWidth={480}>
          <Table verticalSpacing={4}>
            <Table.Tbody>
              {shown.map((each) => (
                <Table.Tr key={`${each.id}`}>
                  <Table.Td><Text size="sm" className="number">{clock(each.at_s)}</Text></Table.Td>
                  <Table.Td><Badge size="sm" variant="light" color={each.type === "run.fallback" ? "orange" : each.failed ? "red" : "teal"} tt="none">{each.type === "run.fallback" ? "fallback" : (each.badge ?? (each.failed ? "failed" : "answered"))}</Badge></Table.Td>
                  <Table.Td><Text size="sm">{each.lane ?? ""}</Text></Table.Td>
                  <Table.Td><Text size="sm">{each.target ?? each.model ?? ""}</Text></Table.Td>
                  <Table.Td><Text size="sm" c="dimmed">{each.why ?? ""}</Text></Table.Td>
                  <Table.Td ta="right"><Text size="sm" className="number">{each.elapsed_ms !== null ? seconds(each.elapsed_ms / 1000) : ""}</Text></Table.Td>
                  <Table.Td ta="right"><Text size="sm" className="number">{each.cost_nanos !== null ? nanos(each.cost_nanos) : ""}</Text></Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Panel>
  );
}
