// The events feed: what happened to requests, newest first, and the beat of the last minutes, as the gateway tells them.

import { useEffect, useRef, useState } from "react";
import { get } from "./api";
import { useSession } from "./session";

export interface Happening {
  id: string;
  type: string;
  at_s: number;
  lane: string | null;
  model: string | null;
  target: string | null;
  badge: string | null;
  failed: boolean;
  /** A word of the gateway: why it failed, or why the first choice did not serve it. */
  why: string | null;
  /** Of a fallback: the target that was left. */
  from: string | null;
  elapsed_ms: number | null;
  cost_nanos: number | null;
}

/** What ended in a few seconds. */
export interface Beat { at_s: number; served: number; moved: number; failed: number; times: number[]; ways: Map<string, number> }
export interface Feed { happenings: Happening[]; beats: Beat[]; heard: number; live: boolean; lost: boolean }

export const BEAT_S = 5;
export const SEEN_S = 300;
const MOST = 200;
/** Latencies of one beat: more of them make no truer picture. */
const MOST_TIMES = 400;
const EVERY_MS = 250;
const SEP = "\n";

export function useFeed(): Feed {
  const { who, tenant } = useSession();
  const [feed, setFeed] = useState<Feed>({ happenings: [], beats: [], heard: 0, live: false, lost: false });
  const waiting = useRef<Happening[]>([]);

  useEffect(() => {
    const known = new Set<string>();
    const beats = new Map<number, Beat>();
    const ending = new AbortController();
    const take = (fresh: Happening[]) => {
      // Who only asked what would be decided called nobody: that is no request to be shown.
      const news = fresh.filter((each) => !known.has(each.id) && (each.failed || each.target !== null));
      if (news.length === 0) return;
      for (const each of news) {
        known.add(each.id);
        count(beats, each);
      }
      const oldest_s = Date.now() / 1000 - SEEN_S - BEAT_S;
      for (const at_s of beats.keys()) if (at_s < oldest_s) beats.delete(at_s);
      if (known.size > 20_000) known.clear();
      setFeed((before) => ({
        ...before,
        happenings: [...news, ...before.happenings].sort((a, b) => b.at_s - a.at_s).slice(0, MOST),
        beats: [...beats.values()].map((beat) => ({ ...beat })),
        heard: before.heard + news.length,
      }));
    };
    // What was before this page was opened: operators may read it from the records.
    if (who.admin) {
      const from = new Date(Date.now() - SEEN_S * 1000).toISOString();
      get<{ data: Record<string, unknown>[] }>(`/admin/v1/records?limit=1000&from=${from}`, ending.signal).then(({ data }) => take(data.map(recorded))).catch(() => undefined);
    }
    const source = new EventSource(who.admin ? "/admin/v1/events" : "/v1/events");
    const hear = (event: Event) => {
      const { type, lastEventId, data } = event as MessageEvent<string>;
      waiting.current.push(read(type, lastEventId, data));
    };
    for (const type of ["run.fallback", "run.completed"]) source.addEventListener(type, hear);
    source.onopen = () => setFeed((before) => ({ ...before, live: true, lost: false }));
    source.onerror = () => setFeed((before) => ({ ...before, live: false, lost: true }));
    // Many events a second are one picture.
    const timer = window.setInterval(() => {
      const fresh = waiting.current.reverse();
      waiting.current = [];
      take(fresh);
    }, EVERY_MS);
    return () => {
      ending.abort();
      source.close();
      window.clearInterval(timer);
      waiting.current = [];
      setFeed({ happenings: [], beats: [], heard: 0, live: false, lost: false });
    };
  }, [who.admin, tenant]);
  return feed;
}

function count(beats: Map<number, Beat>, each: Happening): void {
  if (each.type !== "run.completed") return;
  const at_s = Math.floor((each.at_s + (each.elapsed_ms ?? 0) / 1000) / BEAT_S) * BEAT_S;
  const beat = beats.get(at_s) ?? { at_s, served: 0, moved: 0, failed: 0, times: [], ways: new Map<string, number>() };
  beats.set(at_s, beat);
  const kind = each.failed ? "failed" : each.why ? "moved" : "served";
  beat[kind] += 1;
  if (!each.failed && each.elapsed_ms !== null && beat.times.length < MOST_TIMES) beat.times.push(each.elapsed_ms);
  const way = [each.lane ?? "no lane", each.failed ? "not served" : (each.target?.split("/")[0] ?? "the gateway"), kind].join(SEP);
  beat.ways.set(way, (beat.ways.get(way) ?? 0) + 1);
}

export interface Way { lane: string; host: string; kind: "served" | "moved" | "failed"; count: number }

/** Which lane's requests went where, over all the beats. */
export function waysOf(beats: Beat[]): Way[] {
  const sums = new Map<string, number>();
  for (const beat of beats) for (const [way, many] of beat.ways) sums.set(way, (sums.get(way) ?? 0) + many);
  return [...sums].map(([way, many]) => {
    const [lane, host, kind] = way.split(SEP) as [string, string, Way["kind"]];
    return { lane, host, kind, count: many };
  });
}

interface Place { provider: string; model: string }
const named = (place: Place | undefined): string | null => (place ? `${place.provider}/${place.model}` : null);

function read(type: string, id: string, data: string): Happening {
  const told = JSON.parse(data) as Record<string, unknown>;
  const moved = type === "run.fallback";
  const ended = completed(told, (name) => told[name]);
  if (!moved) return ended;
  return { ...ended, id: id || `${type}-${ended.id}`, type, at_s: Date.now() / 1000, target: named(told.to as Place), from: named(told.from as Place), why: (told.reason as string | undefined) ?? null };
}

/** A record as the feed would have told it. The prefix of the gateway's own attributes is configuration. */
function recorded(record: Record<string, unknown>): Happening {
  const own = new Map(Object.entries(record).map(([name, value]) => [name.startsWith("gen_ai.") ? name : (name.split(".").at(-1) as string), value]));
  const names: Record<string, string> = { provider: "endpoint", model: "gen_ai.response.model", requested_model: "gen_ai.request.model" };
  return completed(record, (name) => own.get(names[name] ?? name));
}

function completed(told: Record<string, unknown>, of: (name: string) => unknown): Happening {
  const text = (name: string) => (typeof of(name) === "string" && of(name) !== "" ? (of(name) as string) : null);
  const number = (name: string) => (typeof of(name) === "number" ? (of(name) as number) : null);
  const cost = text("cost_usd");
  return {
    id: String(told.request_id),
    type: "run.completed",
    at_s: number("at_s") ?? Date.now() / 1000,
    lane: text("lane"),
    model: text("requested_model"),
    target: text("provider") && text("model") ? `${text("provider")}/${text("model")}` : null,
    badge: text("badge"),
    failed: text("failure") !== null,
    why: text("failure") ?? text("fallback_reason"),
    from: null,
    elapsed_ms: number("elapsed_ms"),
    cost_nanos: cost === null ? null : Number(cost) * 1e9,
  };
}
