// The events feed: what happened to requests, newest first, as the gateway tells it.

import { useEffect, useRef, useState } from "react";
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
  why: string | null;
  elapsed_ms: number | null;
  cost_nanos: number | null;
}

const MOST = 500;
const EVERY_MS = 250;

export function useFeed(): { happenings: Happening[]; live: boolean } {
  const { who, tenant } = useSession();
  const [happenings, setHappenings] = useState<Happening[]>([]);
  const [live, setLive] = useState(false);
  const waiting = useRef<Happening[]>([]);

  useEffect(() => {
    const path = who.admin ? "/admin/v1/events" : "/v1/events";
    const source = new EventSource(path);
    const hear = (event: Event) => {
      const { type, lastEventId, data } = event as MessageEvent<string>;
      waiting.current.push(read(type, lastEventId, data));
    };
    for (const type of ["run.started", "run.fallback", "run.completed"]) source.addEventListener(type, hear);
    source.onopen = () => setLive(true);
    source.onerror = () => setLive(false);
    // Many events a second are one picture.
    const timer = window.setInterval(() => {
      if (waiting.current.length === 0) return;
      const fresh = waiting.current.reverse();
      waiting.current = [];
      setHappenings((before) => [...fresh, ...before].slice(0, MOST));
    }, EVERY_MS);
    return () => {
      source.close();
      window.clearInterval(timer);
      setHappenings([]);
    };
  }, [who.admin, tenant]);
  return { happenings, live };
}

interface Place { provider: string; model: string }

function read(type: string, id: string, data: string): Happening {
  const told = JSON.parse(data) as Record<string, unknown>;
  const text = (name: string) => (typeof told[name] === "string" ? (told[name] as string) : null);
  const number = (name: string) => (typeof told[name] === "number" ? (told[name] as number) : null);
  const place = (name: string) => told[name] as Place | undefined;
  const [from, to] = [place("from"), place("to")];
  const cost = text("cost_usd");
  const served = text("provider") ? `${text("provider")}/${text("model")}` : null;
  return {
    id: id || `${type}-${text("request_id")}`,
    type,
    at_s: number("at_s") ?? Date.now() / 1000,
    lane: text("lane"),
    model: text("requested_model"),
    target: to ? `${to.provider}/${to.model}` : served,
    badge: text("badge"),
    failed: text("failure") !== null,
    why: from ? `${from.provider}/${from.model}: ${text("reason") ?? ""}` : (text("failure") ?? text("fallback_reason")),
    elapsed_ms: number("elapsed_ms"),
    cost_nanos: cost === null ? null : Number(cost) * 1e9,
  };
}
