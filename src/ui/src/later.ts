// What is heavy is fetched when the page stands, so that it stands soon.

import { useEffect, useState } from "react";

const PATIENCE_MS = 1000;

/** True a little after `stands` first was: when the browser has nothing better to do. */
export function useLater(stands: boolean): boolean {
  const [due, setDue] = useState(false);
  useEffect(() => {
    if (!stands || due) return;
    // Not every browser tells when it is idle.
    const idle = "requestIdleCallback" in window;
    const waiting = idle ? window.requestIdleCallback(() => setDue(true), { timeout: PATIENCE_MS }) : window.setTimeout(() => setDue(true), 200);
    return () => (idle ? window.cancelIdleCallback(waiting) : window.clearTimeout(waiting));
  }, [stands, due]);
  return due;
}
