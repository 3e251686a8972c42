// One question to the gateway, asked when it is first needed and again when it may have another answer.

import { useCallback, useEffect, useRef, useState } from "react";
import { get, Refused } from "./api";

export interface Asked<T> {
  data: T | undefined;
  error: string | undefined;
  status: number | undefined;
  again: () => void;
}

/** `everyMs`: how often it is asked again while the page is seen; unset: only by `again()`. */
export function useAsked<T>(path: string | null, everyMs?: number): Asked<T> {
  const [state, setState] = useState<{ path: string | null; data?: T; error?: string; status?: number }>({ path });
  const [turn, setTurn] = useState(0);
  const timer = useRef<number>(undefined);
  const again = useCallback(() => setTurn((now) => now + 1), []);

  useEffect(() => {
    if (path === null) return;
    const ending = new AbortController();
    const look = async () => {
      try {
        const data = await get<T>(path, ending.signal);
        setState({ path, data });
      } catch (error) {
        if (ending.signal.aborted) return;
        const status = error instanceof Refused ? error.status : undefined;
        setState((before) => ({ path, data: before.path === path ? before.data : undefined, error: (error as Error).message, status }));
      }
      if (everyMs !== undefined && !ending.signal.aborted) {
        timer.current = window.setTimeout(() => (document.hidden ? wait() : void look()), everyMs);
      }
    };
    const wait = () => document.addEventListener("visibilitychange", () => void look(), { once: true, signal: ending.signal });
    void look();
    return () => {
      ending.abort();
      window.clearTimeout(timer.current);
    };
  }, [path, everyMs, turn]);

  const current = state.path === path;
  return { data: current ? state.data : undefined, error: current ? state.error : undefined, status: current ? state.status : undefined, again };
}
