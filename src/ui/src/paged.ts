// A list of any length, newest first: fetched as far as it is scrolled, and asked for again while its top is seen.

import { useCallback, useEffect, useRef, useState } from "react";
import { get, type Listed } from "./api";
import { type Asked, useAsked } from "./asked";
import { failed } from "./parts/tell";

export interface Page<T> extends Listed<T> {
  next: string | null;
}

export interface Paged<T> {
  /** The first page's question, with all rows that are held. */
  asked: Asked<T[]>;
  /** Whether there are older ones than those that are held. */
  more: boolean;
  onEnd: () => void;
  onTop: (seen: boolean) => void;
}

interface Held<T> { path: string; rows: T[]; next: string | null }

export function usePaged<T>(path: string, keyOf: (row: T) => string, { everyMs, cursor = "after" }: { everyMs: number; cursor?: string }): Paged<T> {
  const [top, setTop] = useState(true);
  // Rows that come in above would push away what somebody reads further down.
  const first = useAsked<Page<T>>(path, top ? everyMs : undefined);
  const [held, setHeld] = useState<Held<T>>();
  const busy = useRef(false);
  const name = useRef(keyOf);
  name.current = keyOf;
  const seen = useRef(top);
  seen.current = top;

  useEffect(() => {
    const page = first.data;
    if (page) setHeld((before) => (before?.path !== path ? { path, rows: page.data, next: page.next } : seen.current ? renewed(before, page, name.current) : before));
  }, [first.data, path]);

  const current = held?.path === path ? held : undefined;
  const onEnd = useCallback(() => {
    if (!current?.next || busy.current) return;
    busy.current = true;
    const { next } = current;
    get<Page<T>>(`${path}${path.includes("?") ? "&" : "?"}${cursor}=${encodeURIComponent(next)}`)
      .then((page) => setHeld((now) => (now?.path === path && now.next === next ? { path, rows: [...now.rows, ...page.data], next: page.next } : now)))
      .catch((problem: unknown) => {
        failed(problem);
        setHeld((now) => (now?.path === path ? { ...now, next: null } : now));
      })
      .finally(() => { busy.current = false; });
  }, [current, path, cursor]);

  return { asked: { ...first, data: current?.rows }, more: Boolean(current?.next), onEnd, onTop: setTop };
}

/** A newer first page above what is held; alone, where the two do not meet. */
function renewed<T>(before: Held<T>, page: Page<T>, keyOf: (row: T) => string): Held<T> {
  const last = page.data.at(-1);
  const at = last && page.next ? before.rows.findIndex((row) => keyOf(row) === keyOf(last)) : -1;
  if (at < 0) return { path: before.path, rows: page.data, next: page.next };
  return { path: before.path, rows: [...page.data, ...before.rows.slice(at + 1)], next: before.next };
}
