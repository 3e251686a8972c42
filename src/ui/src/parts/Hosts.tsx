import { WaffleChart } from "@mantine/charts";
import "@mantine/charts/styles.layer.css";
import { Badge, Group, Paper, Progress, SimpleGrid, Stack, Text, Title, Tooltip } from "@mantine/core";
import { IconBolt, IconMoon, IconTool } from "@tabler/icons-react";
import { colourOf, css } from "../theme";
import { bytes, many, minute } from "../words";
import { Key, Nothing, Panel } from "./Panel";

interface Slots { total: number | null; reserved: Record<string, number>; in_use: Record<string, number>; waiting: Record<string, number> }
interface Loaded { model: string; size_bytes: number | null; expires_at: string | null; protected: boolean; in_flight: number }
export interface Host {
  state: string; dialect: string; tier: string; models: number; reason?: string;
  breakers: Record<string, { state: string; timeouts: number }>;
  slots: Slots; resident: Loaded[]; memory_bytes: number | null; maintenance_until: string | null;
}

const TIERS: Record<string, string> = { local: "your own", balanced: "cloud", premium: "cloud, premium" };
const WIDEST = 16;
const MOST_CELLS = 64;
const sum = (parts: Record<string, number>): number => Object.values(parts).reduce((all, one) => all + one, 0);

/** Where models run: whether each answers, how busy it is, and what it has loaded. */
export function Hosts({ hosts, lanes }: { hosts: Record<string, Host>; lanes: string[] }) {
  const names = Object.keys(hosts);
  return (
    <Panel title="Hosts" hint="Where models run, how busy each is, and what it has loaded">
      {names.length === 0 ? <Nothing>No providers are configured.</Nothing> : (
        <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="sm">
          {names.map((name) => <Card key={name} name={name} host={hosts[name] as Host} lanes={lanes} />)}
        </SimpleGrid>
      )}
    </Panel>
  );
}

function Card({ name, host, lanes }: { name: string; host: Host; lanes: string[] }) {
  const broken = Object.entries(host.breakers).filter(([, breaker]) => breaker.state !== "closed");
  return (
    <Paper withBorder p="sm" role="group" aria-label={`Host ${name}`} className={host.state === "asleep" ? "card silent" : "card"}>
      <Group justify="space-between" wrap="nowrap" align="flex-start" mb={8}>
        <div>
          <Title order={3} size="h5">{name}</Title>
          <Text size="xs" c="dimmed">{TIERS[host.tier] ?? host.tier}, {host.dialect}{host.models > 0 ? `, ${many(host.models, "model")}` : ""}</Text>
        </div>
        <Group gap={4} justify="flex-end">
          <Badge size="sm" variant="light" tt="none" color={host.state === "asleep" ? "red" : host.state === "awake" ? "teal" : "gray"} leftSection={host.state === "asleep" ? <IconMoon size={12} aria-hidden /> : undefined}>{host.state === "awake" ? "answers" : host.state === "asleep" ? "silent" : "asked on demand"}</Badge>
        </Group>
      </Group>
      <Stack gap={10} align="stretch">
        {host.maintenance_until && <Badge color="yellow" variant="light" leftSection={<IconTool size={14} aria-hidden />}>Maintenance until {minute(host.maintenance_until)}</Badge>}
        {broken.map(([model, breaker]) => (
          <Badge key={model} color="orange" variant="light" tt="none" maw="100%" leftSection={<IconBolt size={14} aria-hidden />}>
            {breaker.state === "open" ? "Breaker open" : "Breaker tries again"}: {model}
          </Badge>
        ))}
        {host.state === "asleep" && host.reason ? <Text size="xs" c="dimmed">{host.reason}</Text> : <Busy slots={host.slots} lanes={lanes} />}
        {host.resident.length > 0 && <Memory host={host} />}
      </Stack>
    </Paper>
  );
}

/** A square for each call at the same time that the host takes: those in use in their lane's colour, those kept for a lane striped. */
function Busy({ slots, lanes }: { slots: Slots; lanes: string[] }) {
  const [used, waiting] = [sum(slots.in_use), sum(slots.waiting)];
  const colour = (lane: string) => (lanes.includes(lane) ? colourOf(lanes.indexOf(lane)) : "gray.6");
  const kept = Object.entries(slots.reserved).map(([lane, total]) => ({ lane, free: Math.max(total - (slots.in_use[lane] ?? 0), 0), total })).filter(({ total }) => total > 0);
  const { total } = slots;
  if (total === null) return <Text size="xs" c="dimmed">{used ? `${many(used, "call")} under way, no slot limit` : "No slot limit"}</Text>;
  const cells = Math.min(total, MOST_CELLS);
  const columns = Math.min(cells, WIDEST);
  const data = [
    ...Object.entries(slots.in_use).filter(([, many]) => many > 0).map(([lane, many]) => ({ name: `${lane || "no lane"}: in use`, value: many, color: colour(lane) })),
    ...kept.filter(({ free }) => free > 0).map(({ lane, free }) => ({ name: `kept free for ${lane}`, value: free, color: "var(--lane-kept)" })),
  ];
  return (
    <div>
      <Group justify="space-between" gap="xs" mb={4}>
        <Text size="xs" fw={600} className="number">{used} of {total} slots in use</Text>
        {waiting > 0 && <Badge size="sm" color="orange" variant="light" tt="none">{waiting} waiting</Badge>}
      </Group>
      <WaffleChart
        data={data} total={total} rows={Math.ceil(cells / columns)} columns={columns} gap={4} cellRadius={4} emptyColor="var(--lane-free)"
        withLegend={false} withTooltip aria-label={`${used} of ${total} slots in use${waiting ? `, ${waiting} waiting` : ""}`} className="slots"
      />
      <Group gap="sm" mt={4}>
        {Object.entries(slots.in_use).filter(([, many]) => many > 0).map(([lane, many]) => <Key key={lane} colour={css(colour(lane))} words={`${lane || "no lane"} ${many}`} />)}
        {kept.filter(({ free }) => free > 0).map(({ lane, free }) => <Key key={lane} colour="var(--lane-kept)" words={`${free} kept for ${lane}`} />)}
      </Group>
    </div>
  );
}

/** What is loaded, as parts of the memory there is. */
function Memory({ host }: { host: Host }) {
  const sizes = host.resident.reduce((all, each) => all + (each.size_bytes ?? 0), 0);
  const whole = Math.max(host.memory_bytes ?? sizes, sizes, 1);
  return (
    <div>
      <Text size="xs" fw={600} mb={4} className="number">{bytes(sizes)}{host.memory_bytes ? ` of ${bytes(whole)}` : ""} loaded</Text>
      <Progress.Root size={10} radius="sm">
        {host.resident.map((each) => (
          <Tooltip key={each.model} label={`${each.model}${each.size_bytes ? `, ${bytes(each.size_bytes)}` : ""}${each.protected ? ", kept warm" : ""}`}>
            <Progress.Section value={(100 * (each.size_bytes ?? 0)) / whole} color={each.protected ? "indigo.6" : "indigo.3"} aria-label={`${each.model} ${bytes(each.size_bytes ?? 0)}`} className="part" />
          </Tooltip>
        ))}
      </Progress.Root>
      <Text size="xs" c="dimmed" mt={4}>{host.resident.map((each) => `${each.model}${each.protected ? " (kept warm)" : ""}`).join(", ")}</Text>
    </div>
  );
}
