// The examples around a decision, with their prompts.

import { useEffect, useState } from "react";
import { get } from "./api";
import type { Places, Receipt } from "./router";
import { useSession } from "./session";

/** Where a sample of `limit` examples lies, with all those that speak about this prompt; again after each lesson. */
export function usePlaces(receipt: Receipt, limit: number, lesson = 0): Places | undefined {
  const { tenant } = useSession();
  const [places, setPlaces] = useState<Places>();
  const near = receipt.neighbours.map((each) => each.example).join(",");
  useEffect(() => {
    if (!near) return;
    const ending = new AbortController();
    get<Places>(`/v1/router/map?limit=${limit}&near=${near}`, ending.signal).then(setPlaces).catch(() => undefined);
    return () => ending.abort();
  }, [near, tenant, limit, lesson]);
  return places;
}
