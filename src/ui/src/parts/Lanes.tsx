import { Badge, Group, SimpleGrid, Text, Tooltip } from "@mantine/core";
import { IconArrowRight, IconBan, IconCheck, IconCoin } from "@tabler/icons-react";
import { Nothing, Panel } from "./Panel";
import { share } from "../words";

export interface Lane { stage: string; share?: number | null; safe: boolean; serving: string | null; reasons: Record<string, string>; targets: string[]; emergency: string[]; pool: string | null }

const STAGES: Record<string, string> = { observe: "observed only", shadow: "shadow: decides, does not serve", canary: "canary" };

/** Each lane as the road its requests take: who is asked first, who stands in, and where the road is closed. */
export function Lanes({ lanes }: { lanes: Record<string, Lane> }) {
  const names = Object.keys(lanes);
  const closed = names.filter((name) => lanes[name]?.serving === null);
  return (
    <Panel title="Lanes" hint="Kinds of traffic: who is asked first, and who stands in" right={names.length > 0 && <Badge variant="light" color={closed.length ? "red" : "teal"} tt="none">{closed.length ? `${closed.length} of ${names.length} cannot be served now` : `all ${names.length} can be served`}</Badge>}>
      {names.length === 0 ? <Nothing>No lanes yet: callers name a model, and get it. [lanes.NAME] in the configuration gives a kind of traffic its own hosts, in order.</Nothing> : (
        <SimpleGrid cols={{ base: 1, md: 2 }} verticalSpacing="lg">{names.map((name) => <Road key={name} name={name} lane={lanes[name] as Lane} />)}</SimpleGrid>
      )}
    </Panel>
  );
}

function Road({ name, lane }: { name: string; lane: Lane }) {
  const colour = lane.serving === null ? "red" : lane.stage === "active" ? "teal" : "grape";
  return (
    <div role="group" aria-label={`Lane ${name}`}>
      <Group gap="xs" mb={6}>
        <span className="lamp" style={{ background: `var(--mantine-color-${colour}-6)` }} />
        <Text fw={600} size="sm">{name}</Text>
        {lane.stage !== "active" && <Badge size="sm" color="grape" variant="light" tt="none">{STAGES[lane.stage] ?? lane.stage}{lane.stage === "canary" && lane.share ? `: ${share(lane.share)} served here` : ""}</Badge>}
        {lane.pool && <Badge size="sm" color="indigo" variant="light" tt="none">chosen for each prompt</Badge>}
      </Group>
      <Group gap={6} align="center" className="road">
        {lane.targets.map((target, at) => (
          <Group key={target} gap={6} wrap="nowrap">
            {at > 0 && !lane.pool && <IconArrowRight size={14} aria-label="then" className="dim" />}
            <Stop target={target} reason={lane.reasons[target]} serving={lane.pool ? !lane.reasons[target] : target === lane.serving} />
          </Group>
        ))}
        {lane.emergency.map((target) => (
          <Group key={target} gap={6} wrap="nowrap"><IconArrowRight size={14} aria-label="and only then" className="dim" /><Stop target={target} paid reason={undefined} serving={false} /></Group>
        ))}
      </Group>
      {Object.entries(lane.reasons).map(([target, reason]) => <Text key={target} size="xs" c="dimmed" mt={4}>{target}: {shorter(reason)}</Text>)}
    </div>
  );
}

function Stop({ target, reason, serving, paid }: { target: string; reason: string | undefined; serving: boolean; paid?: boolean }) {
  const [host, model] = [target.slice(0, target.indexOf("/")), target.slice(target.indexOf("/") + 1)];
  const Icon = reason ? IconBan : paid ? IconCoin : serving ? IconCheck : undefined;
  return (
    <Tooltip label={reason ?? (paid ? "costs money: only when all others have failed" : serving ? "serves now" : "ready to stand in")}>
      <Badge
        tt="none" size="lg" radius="sm" fw={500} className={reason ? "stop closed" : "stop"}
        variant={serving ? "light" : "outline"} color={reason ? "orange" : serving ? "teal" : "gray"}
        leftSection={Icon && <Icon size={14} aria-label={reason ? "closed" : paid ? "emergency" : "serves now"} />}
      >
        <b>{host}</b> {model}
      </Badge>
    </Tooltip>
  );
}

/** Seconds that pass while one reads are no news. */
const shorter = (reason: string): string => reason.replace(/(\d+)\.\d+ seconds/, (_, whole: string) => (Number(whole) < 90 ? `${whole} seconds` : `${Math.round(Number(whole) / 60)} minutes`));
