import { Badge, Grid, Group, Stack, Text } from "@mantine/core";
import { IconArrowRight } from "@tabler/icons-react";
import { useMemo } from "react";
import { type Beat, type Happening, waysOf } from "../feed";
import { part } from "../part";
import { css } from "../theme";
import { clock, many, reason } from "../words";
import { Key, Nothing, Panel } from "./Panel";
import { Drawn } from "./Today";

const Flow = part(() => import("./Flow"));
const SHOWN = 5;

/** Where the last requests went, and which of them had to leave their first choice. */
export function Ways({ beats, happenings, pictures }: { beats: Beat[]; happenings: Happening[]; pictures: boolean }) {
  const ways = useMemo(() => waysOf(beats), [beats]);
  return (
    <Panel title="Where requests went" hint="From lane to host, last 5 minutes">
      <Grid gap="xl">
        <Grid.Col span={{ base: 12, md: 7 }}>
          {ways.length === 0 ? <Nothing>Nothing was asked for in the last 5 minutes.</Nothing> : (
            <>
              <Drawn pictures={pictures} height={200}><Flow ways={ways} /></Drawn>
              <Group gap="md" mt="xs">
                <Key colour={css("teal.6")} words="first choice" /><Key colour={css("orange.5")} words="another one, because the first could not" /><Key colour={css("red.6")} words="failed" />
              </Group>
            </>
          )}
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 5 }}><Fallbacks happenings={happenings} /></Grid.Col>
      </Grid>
    </Panel>
  );
}

interface Turn { lane: string | null; from: string; to: string; why: string; times: number; last_s: number }

/** The last times that somebody else had to serve: from, to and why, alike ones as one. */
function Fallbacks({ happenings }: { happenings: Happening[] }) {
  const turns = useMemo(() => {
    const made = new Map<string, Turn>();
    for (const each of happenings) {
      if (each.type !== "run.fallback" || !each.from || !each.target) continue;
      const key = `${each.lane} ${each.from} ${each.target} ${each.why}`;
      const turn = made.get(key);
      if (turn) turn.times += 1;
      else made.set(key, { lane: each.lane, from: each.from, to: each.target, why: reason(each.why), times: 1, last_s: each.at_s });
    }
    return [...made.values()].slice(0, SHOWN);
  }, [happenings]);
  return (
    <section aria-label="Last fallbacks">
      <Text size="sm" fw={600} mb="xs">Last fallbacks and why</Text>
      {turns.length === 0 ? <Text size="sm" c="dimmed">None since this page was opened.</Text> : (
        <Stack gap={8}>
          {turns.map((turn) => (
            <div key={`${turn.lane} ${turn.from} ${turn.to} ${turn.why}`} className="turn">
              <Group gap={6}>
                <Text size="sm" td="line-through" c="dimmed">{turn.from}</Text>
                <IconArrowRight size={14} aria-label="to" className="dim" />
                <Text size="sm" fw={600}>{turn.to}</Text>
                <Badge size="sm" color="orange" variant="light" tt="none">{turn.why}</Badge>
              </Group>
              <Text size="xs" c="dimmed" className="number">{turn.lane ? `lane ${turn.lane}, ` : ""}{many(turn.times, "time")}, last {clock(turn.last_s)}</Text>
            </div>
          ))}
        </Stack>
      )}
    </section>
  );
}
