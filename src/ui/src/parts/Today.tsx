import { Grid, Group, SimpleGrid, Skeleton, Stack, Text } from "@mantine/core";
import { type ReactNode, Suspense, useEffect, useMemo, useState } from "react";
import { useAsked } from "../asked";
import { BEAT_S, type Beat, SEEN_S } from "../feed";
import { part } from "../part";
import { count, many, share, usd } from "../words";
import { Answered, Figure, Panel } from "./Panel";

interface Usage { data: { day: string; requests: number; failures: number; cost_usd: string; saved_usd: string }[] }

// The charts weigh more than all the rest of this page.
const Requests = part<{ points: Point[]; heard: number }>(async () => ({ default: (await import("./Pulse")).Requests }));
const Latency = part<{ points: Point[] }>(async () => ({ default: (await import("./Pulse")).Latency }));

/** A few seconds of traffic as they are drawn. */
export interface Point { at_s: number; served: number; moved: number; failed: number; p50: number | null; p95: number | null }

export function Today({ admin, beats, heard, pictures }: { admin: boolean; beats: Beat[]; heard: number; pictures: boolean }) {
  const today = new Date().toISOString().slice(0, 10);
  const usage = useAsked<Usage>(`${admin ? "/admin/v1/usage" : "/v1/usage"}?group_by=day&from=${today}`, 5000);
  const points = usePoints(beats);
  const times = useMemo(() => beats.flatMap((beat) => beat.times).sort((a, b) => a - b), [beats]);
  const recent = points.reduce((sum, each) => sum + each.served + each.moved + each.failed, 0);
  return (
    <Panel title="Today" hint={admin ? "All tenants, since midnight UTC" : "Since midnight UTC"}>
      <Stack gap="lg">
        <Answered asked={usage} lines={2}>
          {({ data }) => {
            const day = data[0];
            const [requests, failures, spent, saved] = [day?.requests ?? 0, day?.failures ?? 0, Number(day?.cost_usd ?? 0), Number(day?.saved_usd ?? 0)];
            return (
              <SimpleGrid cols={{ base: 2, md: 4 }}>
                <Figure label="Requests" value={count(requests)} />
                <Figure label="Failed" value={count(failures)} hint={requests ? `${share(failures / requests)} of all` : undefined} />
                <Figure label="Spent" value={usd(spent)} />
                <Figure label="Saved" value={usd(saved)} hint={spent + saved > 0 ? `${share(saved / (spent + saved))} less than always the dearest model` : "against always the dearest model"} />
              </SimpleGrid>
            );
          }}
        </Answered>
        <Grid gap="lg" mb="xs">
          <Grid.Col span={{ base: 12, md: 6 }}>
            <Group justify="space-between" mb="sm"><Text size="sm" fw={600}>Requests, last 5 minutes</Text><Text size="sm" c="dimmed" className="number" data-testid="recent">{many(recent, "request")}</Text></Group>
            <Drawn pictures={pictures}><Requests points={points} heard={heard} /></Drawn>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 6 }}>
            <Group justify="space-between" mb="sm"><Text size="sm" fw={600}>Latency, last 5 minutes</Text><Text size="sm" c="dimmed" className="number">{times.length ? `half under ${within(times, 0.5)}, 95% under ${within(times, 0.95)}` : "nothing answered yet"}</Text></Group>
            <Drawn pictures={pictures}><Latency points={points} /></Drawn>
          </Grid.Col>
        </Grid>
      </Stack>
    </Panel>
  );
}

/** A picture, or the room that it will take. */
export function Drawn({ pictures, height = 190, children }: { pictures: boolean; height?: number; children: ReactNode }) {
  const room = <Skeleton height={height} animate={false} />;
  return pictures ? <Suspense fallback={room}>{children}</Suspense> : room;
}

/** The last minutes in even steps, moving on while nothing happens too. */
function usePoints(beats: Beat[]): Point[] {
  const [step, setStep] = useState(() => Math.floor(Date.now() / 1000 / BEAT_S));
  useEffect(() => {
    const timer = window.setInterval(() => { if (!document.hidden) setStep(Math.floor(Date.now() / 1000 / BEAT_S)); }, 1000);
    return () => window.clearInterval(timer);
  }, []);
  return useMemo(() => {
    const held = new Map(beats.map((beat) => [beat.at_s, beat]));
    const last = Math.max(step * BEAT_S, ...held.keys());
    return Array.from({ length: SEEN_S / BEAT_S }, (_, back) => {
      const at_s = last - SEEN_S + (back + 1) * BEAT_S;
      const beat = held.get(at_s);
      const times = beat ? [...beat.times].sort((a, b) => a - b) : [];
      return { at_s, served: beat?.served ?? 0, moved: beat?.moved ?? 0, failed: beat?.failed ?? 0, p50: at(times, 0.5), p95: at(times, 0.95) };
    });
  }, [beats, step]);
}

const at = (sorted: number[], part: number): number | null => (sorted.length ? (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] as number) : null);
const within = (sorted: number[], part: number): string => took(at(sorted, part) ?? 0);
export const took = (ms: number): string => (ms < 1000 ? `${ms > 0 && ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
